"""What might make the network faster and is not in use: other layouts of memory, graphs, a compiler. Each may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.gpu.subject import Subject
from benchmarks.running_record import Step
from benchmarks.timing import Row, medians_in_turn, waiting
from model.domain import STANDARD_VIEWS
from model.inference import FoldedEncoder
from model.precision import Precision
from model.processor import Processor

CHANNELS_LAST, NCHW = torch.channels_last, torch.contiguous_format
Encode = Callable[[], Any]
Make = Callable[[Processor, FoldedEncoder, Tensor], Encode]
"""What makes the way that is tried of the encoder in use, for these pictures."""


class WholePictures(nn.Module):
    """The folded encoder with its stem in one piece and torch's own pooling: fewer kernels, more memory."""

    def __init__(self, encoder: FoldedEncoder, layout: torch.memory_format) -> None:
        super().__init__()
        self.stem, self.blocks, self.layout = encoder.stem, encoder.blocks, layout
        self.to(memory_format=layout)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 1, H, W) -> features."""
        x = x.to(self.stem.weight.dtype).contiguous(memory_format=self.layout)
        pooled = F.max_pool2d(F.relu(self.stem(x)), 3, 2, padding=1)
        return torch.amax(self.blocks(pooled), dim=(2, 3)).float()


def steps(subject: Subject) -> Iterator[Step]:
    """Each beside the encoder as it is in use, measured in turn."""
    precisions = (Precision.BF16, Precision.TF32, Precision.FLOAT32)
    tried: dict[str, Make] = {
        "its stem in one piece, channels_last": partial(_whole, layout=CHANNELS_LAST),
        "its stem in one piece, NCHW": partial(_whole, layout=NCHW),
        "as a CUDA graph": _as_a_graph,
    }
    for name, make in tried.items():
        for precision in precisions:
            what = f"{subject.name}: the encoder, {name}, an exam, {precision}"
            yield what, partial(_beside_that_in_use, subject, what, precision, make)
    for precision in precisions:
        what = f"{subject.name}: the encoder, kernels chosen by trying (cudnn.benchmark), an exam, {precision}"
        yield what, partial(_kernels_tried, subject, what, precision)
    for precision in precisions[:2]:  # last, because a compiler may take all the time there is
        what = f"{subject.name}: the encoder, in one piece, channels_last, compiled, an exam, {precision}"
        yield what, partial(_beside_that_in_use, subject, what, precision, _compiled)


def _beside_that_in_use(subject: Subject, what: str, precision: Precision, make: Make) -> Iterator[Row]:
    card = subject.card(precision)
    pictures, encoder, changed = _pictures(subject, card), _encoder(subject, card), _encoder(subject, card)
    with torch.inference_mode():
        card.set_rounding()
        other = make(card, changed, pictures)
        expected = encoder(pictures)
        difference = float((other() - expected).abs().max() / expected.abs().max())
    yield _row(subject, what, card, other, partial(encoder, pictures), f"features differ by {difference:.0e} at most")


def _row(subject: Subject, what: str, card: Processor, other: Encode, in_use: Encode, remark: str = "") -> Row:
    """Of one exam; both measured in turn."""
    with torch.inference_mode():
        works = [waiting(card.device, work) for work in (other, in_use)]
        seconds, beside = (one / _exams(card) for one in medians_in_turn(works, subject.rounds))
    return Row(what, seconds, beside, "the encoder as it is in use", remark)


def _exams(card: Processor) -> int:
    """Whose pictures go through the encoder of a worker together."""
    return max(1, card.pictures_at_once // len(STANDARD_VIEWS))


def _pictures(subject: Subject, card: Processor) -> Tensor:
    return subject.pictures(_exams(card)).flatten(0, 1)


def _encoder(subject: Subject, card: Processor) -> FoldedEncoder:
    encoder = FoldedEncoder(subject.network().encoder, card.pictures_at_once)
    return encoder.to(card.device, card.encoder_type).requires_grad_(False)


def _whole(_card: Processor, encoder: FoldedEncoder, pictures: Tensor, layout: torch.memory_format) -> Encode:
    return partial(WholePictures(encoder, layout), pictures)


def _as_a_graph(card: Processor, encoder: FoldedEncoder, pictures: Tensor) -> Encode:
    """Recorded once, on the same memory, and then started as a whole."""
    if card.device.type != "cuda":
        raise NotHere("graphs are for CUDA")
    aside = torch.cuda.Stream(card.device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(card.device))
    with torch.cuda.stream(aside):
        encoder(pictures)  # what is allocated and chosen only once must not be recorded
    torch.cuda.current_stream(card.device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        features = encoder(pictures)

    def replayed() -> Any:
        graph.replay()
        return features

    return replayed


def _compiled(card: Processor, encoder: FoldedEncoder, pictures: Tensor) -> Encode:
    backend = "inductor" if card.device.type == "cuda" else "eager"  # a dry run does not wait for a C++ compiler
    return partial(torch.compile(WholePictures(encoder, CHANNELS_LAST), backend=backend), pictures)


def _kernels_tried(subject: Subject, what: str, precision: Precision) -> Iterator[Row]:
    """cuDNN's choice among its kernels by trying them, beside its choice by its own rules."""
    card = subject.card(precision)
    pictures, encoder = _pictures(subject, card), _encoder(subject, card)

    def encode(*, tried: bool) -> None:
        torch.backends.cudnn.benchmark = tried
        encoder(pictures)

    card.set_rounding()
    yield _row(subject, what, card, partial(encode, tried=True), partial(encode, tried=False))


class NotHere(Exception):
    """This device does not have what is tried."""
