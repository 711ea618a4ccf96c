"""Pictures made on the card: whether they have the CPU's bits, and how long sending and making them takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import torch
from pydicom import Dataset
from torch import Tensor

from benchmarks.gpu.subject import Subject
from benchmarks.running_record import Step
from benchmarks.timing import Finding, Row, copy_seconds, median_seconds, waiting
from model.device_pictures import DevicePictures
from model.inference import RiskNetwork
from model.phantom import dicom_images
from model.preprocessing import PictureFormat, Windowed, finished, opened

KINDS = {"12 bits": ("u2", 0, 4095), "16 bits": ("u2", 0, 65535), "16 bits, signed": ("i2", -32768, 32767)}


def steps(subject: Subject) -> Iterator[Step]:
    """The bits first: a card that makes other pictures may be as fast as it likes."""
    yield f"{subject.name}: pictures made on it and on the CPU", lambda: [_same_bits(subject)]
    yield f"{subject.name}: decode, send and preprocess", partial(_times, subject)
    yield f"{subject.name}: preprocess while the network computes", partial(_at_the_same_time, subject)


def _same_bits(subject: Subject) -> Finding:
    make = DevicePictures(torch.device(subject.device))
    views = dict(_noise(subject)) | {f"phantom {n}": view for n, view in enumerate(_views(subject))}
    with ThreadPoolExecutor() as threads:
        same = threads.map(lambda view: _is_same(make(view, subject.form), view, subject.form), views.values())
        others = [name for name, is_same in zip(views, same, strict=True) if not is_same]
    found = f"DIFFERENT, of {len(views)}: {'; '.join(others)}" if others else f"the same bits in all of {len(views)}"
    return Finding(f"{subject.name}: pictures made on it and on the CPU", found)


def _is_same(made: Tensor, view: Windowed, form: PictureFormat) -> bool:
    """Bit for bit, so that not even the sign of a zero differs."""
    return bool(np.array_equal(made.cpu().numpy().view(np.uint32), finished(view, form).view(np.uint32)))


def _noise(subject: Subject) -> Iterator[tuple[str, Windowed]]:
    """In every size and kind of stored values, the network's size and the exam's, too."""
    random = np.random.default_rng(20261129)
    sizes = ((one.rows, one.columns) for one in (subject.form, subject.exam))
    for rows, columns in (*sizes, *subject.detectors):
        for kind, (dtype, lowest, highest) in KINDS.items():
            stored = random.integers(lowest, highest, (rows, columns), dtype=dtype, endpoint=True)
            table = np.sort(random.integers(0, 65535, highest - lowest + 1, dtype=np.int32, endpoint=True))
            yield f"{rows} x {columns}, {kind}", Windowed(stored, lowest, table)


@cache
def _images(subject: Subject) -> tuple[Dataset, ...]:
    return tuple(dicom_images(subject.exam))


def _views(subject: Subject) -> list[Windowed]:
    return [opened(image) for image in _images(subject)]


def _times(subject: Subject) -> Iterator[Row]:
    """Of one exam, its four views one after the other and then by a thread each."""
    device, views = torch.device(subject.device), _views(subject)
    size = sum(view.stored.nbytes for view in views)
    decode = median_seconds(lambda: _views(subject), subject.rounds)
    what = f"{subject.name}: decode on one core, and the tables of grey levels, an exam"
    yield Row(what, decode, copy_seconds(size), "one copy in memory")

    timed = partial(_seconds, device, subject.rounds)
    ready = [_pinned(view, device) for view in views]
    sent = timed(lambda: [_sent(words, device) for words in ready])
    rate = f"{size / sent / 1e9:.1f} GB/s"
    yield Row(f"{subject.name}: send the pixels of an exam from page-locked memory", sent, remark=rate)
    floor = "sending the pixels from page-locked memory"
    locked = timed(lambda: [_sent(_pinned(view, device), device) for view in views])
    yield Row(f"{subject.name}: copy the pixels of an exam to page-locked memory and send them", locked, sent, floor)
    make = DevicePictures(device)
    one = timed(lambda: [make(view, subject.form) for view in views])
    yield Row(f"{subject.name}: send and preprocess an exam, one thread", one, sent, floor)
    with ThreadPoolExecutor(len(views)) as threads:
        each = timed(lambda: list(threads.map(lambda view: make(view, subject.form), views)))
    yield Row(f"{subject.name}: send and preprocess an exam, a thread a view", each, sent, floor)


def _at_the_same_time(subject: Subject) -> Iterator[Row]:
    """A batch through the network while the pictures of as many exams are made, beside each by itself."""
    card, views, exams = subject.card(), _views(subject), subject.pictures(subject.exams_at_once)
    make, network = DevicePictures(card.device), RiskNetwork(subject.network(), card)
    many = [view for _ in exams for view in views]
    with ThreadPoolExecutor(len(views)) as threads:

        def made() -> None:
            list(threads.map(lambda view: make(view, subject.form), many))

        def both() -> None:
            waits = [threads.submit(make, view, subject.form) for view in many]
            network.raw_risks(exams)
            for one in waits:
                one.result()

        works: Sequence[Callable[[], object]] = (both, made, lambda: network.raw_risks(exams))
        together, pictures, forward = (_seconds(card.device, subject.rounds, work) / len(exams) for work in works)
    what = f"{subject.name}: send and preprocess while the network computes, an exam, {card.precision}"
    told = f"one after the other they take {1000 * (pictures + forward):.2f} ms"
    yield Row(what, together, max(pictures, forward), "the slower of the two alone", told)


def _seconds(device: torch.device, rounds: int, work: Callable[[], object]) -> float:
    return median_seconds(waiting(device, work), rounds)


def _pinned(view: Windowed, device: torch.device) -> Tensor:
    words = torch.from_numpy(np.require(view.stored, requirements=["C", "W"]).view("i2"))
    return words.pin_memory() if device.type == "cuda" else words.clone()


def _sent(words: Tensor, device: torch.device) -> Tensor:
    return words.to(device, non_blocking=True)
