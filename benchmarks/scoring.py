"""Seconds per exam by stage, the network against its plain reference, and the memory that an exam takes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import Dataset
from torch import Tensor

from benchmarks.random_model import DEMO_EXAM, FULL_EXAM, full_size_model
from benchmarks.timing import Row, copy_seconds, flop, matrix_rate, median_seconds, medians_in_turn
from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from model.card import DEMO_MODEL
from model.checkpoint import load_network
from model.decoding import stored_pixels
from model.inference import optimised
from model.network import Mirai
from model.phantom import PhantomExam, dicom_images, file_bytes
from model.preprocessing import PictureFormat, picture
from model.provenance import pixel_digest
from model.scorer import Scorer
from model.stages import Stage

Result = TypeVar("Result")

CPU = torch.device("cpu")
COPY = "one copy in memory"


def rows(rounds: int) -> Iterator[Row]:
    """The demo model on demo exams, then the full-size network with random weights on full-size exams."""
    rate = matrix_rate()
    yield from _stages("demo model", DEMO_EXAM, DEMO_MODEL, rate, rounds)
    with full_size_model() as full:
        yield from _stages("full size", FULL_EXAM, full, rate, rounds)
        yield _peak_memory(full)


def _stages(name: str, exam: PhantomExam, model: Path, rate: float, rounds: int) -> Iterator[Row]:
    images: list[Dataset] = list(dicom_images(exam))
    size = sum(len(image.PixelData) for image in images)
    with _archive(images) as archive:
        seconds = median_seconds(lambda: archive.retrieve_study(exam.study_uid), rounds)
        yield Row(f"{name}: {Stage.FETCH} ({size / 1e6:.0f} MB)", seconds, copy_seconds(size), COPY)
    network, card = load_network(model, CPU)
    form = PictureFormat(**card.picture)
    decode = median_seconds(lambda: _in_threads(stored_pixels, images), rounds)
    yield Row(f"{name}: {Stage.DECODE}", decode, copy_seconds(size), COPY)
    both = median_seconds(lambda: _pictures(images, form), rounds)
    batch = torch.from_numpy(np.stack(_pictures(images, form))[None])
    plain, forward = _forwards(network, batch, rounds)
    share = f"{100 * (both - decode) / forward:.1f} % of the forward"
    yield Row(f"{name}: {Stage.PREPROCESS}", both - decode, copy_seconds(size), COPY, share)
    scorer = Scorer(model, "cpu")
    prepare = median_seconds(lambda: scorer.prepare(images, at=datetime.now(UTC)), rounds)
    digests = median_seconds(lambda: _in_threads(lambda image: pixel_digest(stored_pixels(image)), images), rounds)
    share = f"{1000 * (digests - decode):.0f} ms of it are the digests of the pixels"
    yield Row(f"{name}: prepare, with the gate and the digests", prepare, copy_seconds(size), COPY, share)
    needed, in_use = flop(network, batch.shape), flop(optimised(network), batch.shape)
    floor = f"matrix product, {rate / 1e9:.0f} GFLOP/s"
    yield Row(f"{name}: reference {Stage.FORWARD} ({needed / 1e9:.0f} GFLOP)", plain, needed / rate, floor)
    faster = f"{plain / forward:.2f} times faster, {_difference(network, batch):.0e} on the logits"
    yield Row(f"{name}: {Stage.FORWARD} ({in_use / 1e9:.0f} GFLOP)", forward, in_use / rate, floor, faster)
    reload = median_seconds(lambda: optimised(load_network(model, CPU)[0]), rounds)
    again = f"an exam is {(prepare + forward + reload) / (prepare + forward):.2f} times as long where each loads them"
    yield Row(f"{name}: loading the weights, saved for every exam but the first", reload, remark=again)


def _forwards(network: Mirai, batch: Tensor, rounds: int) -> tuple[float, float]:
    """Medians of the reference and of what is in use, measured in turn: a busy machine is busy for both."""
    fast = optimised(network)
    with torch.inference_mode():
        plain, forward = medians_in_turn([lambda: network(batch), lambda: fast(batch)], rounds)
    return plain, forward


def _difference(network: Mirai, batch: Tensor) -> float:
    with torch.inference_mode():
        return float((network(batch) - optimised(network)(batch)).abs().max())


def _pictures(images: Sequence[Dataset], form: PictureFormat) -> list[NDArray[np.float32]]:
    return _in_threads(lambda image: picture(image, form), images)


def _in_threads(work: Callable[[Dataset], Result], images: Sequence[Dataset]) -> list[Result]:
    """As the scorer does it: a view each, on as many threads as the network has."""
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        return list(threads.map(work, images))


def _peak_memory(model: Path) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(dicom_images(FULL_EXAM)):
            (Path(folder) / f"{number}.dcm").write_bytes(file_bytes(image))
        command = [sys.executable, "-m", "benchmarks.peak_memory", str(model), folder]
        printed: list[str] = []
        seconds = median_seconds(lambda: printed.append(_output(command)), rounds=1)
    peak = f"{int(printed[-1]) / 1e6:.0f} MB at most"
    return Row("full size: a fresh process scores one exam", seconds, remark=peak)


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own command


@contextmanager
def _archive(images: list[Dataset]) -> Iterator[DicomWebArchive]:
    with tempfile.TemporaryDirectory() as folder:
        store = DicomFolder(Path(folder))
        for image in images:
            store.add(image)
        with serve(dicomweb_app(store)) as root:
            yield DicomWebArchive(ArchiveRoot(root))
