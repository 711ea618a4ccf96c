"""What is measured: the full size on a GPU; or, to see that all of it runs, a tiny one on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.random_model import FULL_EXAM, random_model
from model.card import DEMO_MODEL
from model.domain import STANDARD_VIEWS
from model.network import Mirai, NetworkConfig
from model.phantom import PhantomExam
from model.precision import Precision
from model.preprocessing import PictureFormat
from model.processor import Processor, processor


@dataclass(frozen=True)
class Subject:
    """A network and exams of a size, on a device, and how much is measured.

    `checked`: the model of the accuracy check, if not this network. `together`: pictures that go through the encoder at
    once. `matrix`: the size of a matrix product. `detectors`: rows and columns of pictures of other sizes than the
    network's and the exam's. A part may take its limit times `patience`. `threads` fetch the exams of a pipeline, of
    which there are `night`.
    """

    name: str
    device: str
    config: NetworkConfig
    form: PictureFormat
    exam: PhantomExam
    checked: Path | None
    together: tuple[int, ...]
    matrix: int
    detectors: tuple[tuple[int, int], ...]
    patience: float
    rounds: int
    night: int
    threads: int

    def card(self, precision: Precision = Precision.FLOAT32) -> Processor:
        """The device as a worker uses it."""
        return processor(self.device, precision)

    @property
    def exams_at_once(self) -> int:
        """As many as a worker scores together; more than one in a dry run, too."""
        return max(2, self.card().exams_at_once)

    def network(self) -> Mirai:
        """One with random weights, whose arithmetic is the real one."""
        torch.manual_seed(0)
        return Mirai(self.config).eval()

    def pictures(self, exams: int) -> Tensor:
        """Noise on the device, (exams, 4, 1, rows, columns): zeros would cost a card less power, and so less time."""
        shape = (exams, len(STANDARD_VIEWS), 1, self.form.rows, self.form.columns)
        return torch.randn(*shape, device=self.device)

    @contextmanager
    def model(self) -> Iterator[Path]:
        """The folder of a model with such a network."""
        with random_model(self.config, self.form) as folder:
            yield folder


FULL = Subject(
    name="GPU",
    device="cuda",
    config=NetworkConfig(),
    form=PictureFormat(),
    exam=FULL_EXAM,
    checked=DEMO_MODEL,
    together=(1, 4, 8, 16, 32, 64),
    matrix=8192,
    detectors=((4096, 3328), (2294, 1914), (5928, 4728), (300, 200)),
    patience=1,
    rounds=10,
    night=64,
    threads=16,
)
TINY = Subject(
    name="dry run",
    device="cpu",
    config=NetworkConfig(widths=(8, 8, 8, 8), hidden=16, embedding=4, heads=2),
    form=PictureFormat(64, 52),
    exam=replace(FULL_EXAM, rows=300, columns=200),
    checked=None,
    together=(1, 8),
    matrix=64,
    detectors=((130, 99), (40, 31)),
    patience=10,
    rounds=1,
    night=4,
    threads=2,
)
