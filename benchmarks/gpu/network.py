"""The card's matrix rate in each precision; the network's share of it, by precision and by pictures together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import torch
from torch import Tensor, nn

from benchmarks.gpu.subject import Subject
from benchmarks.running_record import Step
from benchmarks.timing import Row, flop, matrix_rate, median_seconds, waiting
from model.domain import STANDARD_VIEWS
from model.inference import RiskNetwork, optimised
from model.precision import Precision
from model.processor import Processor

PUBLISHED_FLOP = 985e9
"""Of an exam in the published network at full size. Ours does 944: its stem sees one channel instead of three alike."""

Rates = dict[Precision, float]


def steps(subject: Subject) -> Iterator[Step]:
    """First what no forward can beat, then the forward as it is in use, then with fewer and more pictures together."""
    rates: Rates = {}
    for precision in Precision:
        yield f"{subject.name}: the matrix rate, {precision}", partial(_rate, subject, precision, rates)
    for precision in Precision:
        yield f"{subject.name}: forward, {precision}", partial(_in_use, subject, precision, rates)
    for precision in Precision:
        for together in subject.together:
            what = f"{subject.name}: {together} pictures together, {precision}"
            yield what, partial(_together, subject, what, together, precision, rates)


def _rate(subject: Subject, precision: Precision, rates: Rates) -> Iterator[Row]:
    card = subject.card(precision)
    card.set_rounding()
    rates[precision] = matrix_rate(subject.matrix, device=card.device, kind=card.encoder_type)
    what = f"{subject.name}: {PUBLISHED_FLOP / 1e9:.0f} GFLOP, an exam's, as matrix products, {precision}"
    size = f"{subject.matrix} x {subject.matrix}"
    told = f"{_tflop(rates[precision])}, the fastest product of 20, {size}"
    yield Row(what, PUBLISHED_FLOP / rates[precision], remark=told)


def _in_use(subject: Subject, precision: Precision, rates: Rates) -> Iterator[Row]:
    """As a worker scores, the risks brought back from the card."""
    card, exams = subject.card(precision), subject.pictures(subject.exams_at_once)
    fast = RiskNetwork(subject.network(), card)
    seconds = median_seconds(waiting(card.device, lambda: fast.raw_risks(exams)), subject.rounds) / len(exams)
    what = f"{subject.name}: forward of one exam of {len(exams)} together, {precision}"
    memory = peak_memory(card.device, lambda: fast.raw_risks(exams))
    yield _row(subject, what, seconds, rates.get(precision), memory)


def _together(subject: Subject, what: str, together: int, precision: Precision, rates: Rates) -> Iterator[Row]:
    """So many pictures in the encoder at once, of as many exams as that takes."""
    card, exams = subject.card(precision), subject.pictures(max(1, together // len(STANDARD_VIEWS)))
    fast = optimised(subject.network(), together, card.encoder_type).to(card.device)
    seconds = forward_seconds(card, fast, exams, subject.rounds)
    memory = peak_memory(card.device, lambda: _forward(card, fast, exams))
    yield _row(subject, f"{what}, forward of one exam of {len(exams)}", seconds, rates.get(precision), memory)


def forward_seconds(card: Processor, network: nn.Module, exams: Tensor, rounds: int) -> float:
    """Of one exam of those given."""
    return median_seconds(waiting(card.device, lambda: _forward(card, network, exams)), rounds) / len(exams)


@torch.inference_mode()
def _forward(card: Processor, network: nn.Module, exams: Tensor) -> Tensor:
    card.set_rounding()
    result: Tensor = network(exams)
    return result


def _row(subject: Subject, what: str, seconds: float, rate: float | None, memory: str) -> Row:
    """Beside what the arithmetic of the network as it runs takes at the card's matrix rate."""
    if rate is None:
        return Row(what, seconds, remark=memory)
    in_use, published = _flop(subject)
    share, of_published = (100 * one / seconds / rate for one in (in_use, published))
    floor = f"{in_use / 1e9:.0f} GFLOP as matrix products, {_tflop(rate)}"
    counted = f"{share:.0f} % of the matrix rate, {of_published:.0f} % with the published {published / 1e9:.0f} GFLOP"
    return Row(what, seconds, in_use / rate, floor, f"{counted}; {memory}")


@cache
def _flop(subject: Subject) -> tuple[float, float]:
    """Of an exam, in the network as it runs and in the published one."""
    shape, network = (1, len(STANDARD_VIEWS), 1, subject.form.rows, subject.form.columns), subject.network()
    return flop(optimised(network), shape), flop(network, shape)


def peak_memory(device: torch.device, work: Callable[[], object]) -> str:
    """What one go takes of the card at most, with weights and pictures, in words."""
    if device.type != "cuda":
        return "no memory of a card"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return f"{torch.cuda.max_memory_allocated(device) / 1e9:.1f} GB of the card at most"


def _tflop(rate: float) -> str:
    return f"{rate / 1e12:.3g} TFLOP/s"
