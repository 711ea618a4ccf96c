"""Seconds per exam by stage: fetch over DICOMweb, decode, preprocess, forward."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset

from benchmarks.timing import Row, matrix_rate, median_seconds
from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.pacs.dicomweb import ArchiveRoot, DicomWebArchive
from model.card import DEMO_MODEL
from model.checkpoint import load_network
from model.decoding import stored_pixels
from model.network import Mirai, NetworkConfig
from model.phantom import PhantomExam, dicom_images
from model.preprocessing import PictureFormat, chest_wall_right, normalise, resize, window

FULL_SIZE_FLOP = 985e9
"""Multiply-adds counted twice, of the published network on four pictures of 2048 x 1664."""


def rows(rounds: int) -> Iterator[Row]:
    """The demo model on demo exams, then the full-size network with random weights on full-size exams."""
    rate = matrix_rate()
    demo, card = load_network(DEMO_MODEL, torch.device("cpu"))
    small = PhantomExam(9_100_001, date(2026, 1, 1), 0.3)
    yield from _stages(
        "demo model", small, demo, PictureFormat(**card.picture), _flop(demo, card.picture), rate, rounds
    )
    full = PhantomExam(9_100_002, date(2026, 1, 1), 0.3, rows=3328, columns=2560)
    network = Mirai(NetworkConfig()).eval()
    yield from _stages("full size", full, network, PictureFormat(), FULL_SIZE_FLOP, rate, rounds)


def _stages(
    name: str, exam: PhantomExam, network: Mirai, form: PictureFormat, flop: float, rate: float, rounds: int
) -> Iterator[Row]:
    images: list[Dataset] = list(dicom_images(exam))
    size = sum(len(image.PixelData) for image in images)
    with _archive(images) as archive:
        seconds = median_seconds(lambda: archive.retrieve_study(exam.study_uid), rounds)
        yield Row(f"{name}: fetch ({size / 1e6:.0f} MB)", seconds, _copy_seconds(size), "one copy in memory")
    yield Row(f"{name}: decode", median_seconds(lambda: [stored_pixels(image) for image in images], rounds))
    stored = [stored_pixels(image) for image in images]

    def preprocess() -> list[np.ndarray]:
        pairs = zip(stored, images, strict=True)
        return [normalise(chest_wall_right(resize(window(s, image), form)), form) for s, image in pairs]

    yield Row(f"{name}: preprocess", median_seconds(preprocess, rounds), _copy_seconds(size), "one copy in memory")
    batch = torch.from_numpy(np.stack(preprocess())[None])
    with torch.inference_mode():
        seconds = median_seconds(lambda: network(batch), rounds)
    yield Row(
        f"{name}: forward ({flop / 1e9:.0f} GFLOP)", seconds, flop / rate, f"matrix product, {rate / 1e9:.0f} GFLOP/s"
    )


def _flop(network: Mirai, picture: dict[str, float]) -> float:
    """Counted by torch itself on one exam."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 4, 1, int(picture["rows"]), int(picture["columns"])))
    return float(counter.get_total_flops())


def _copy_seconds(size: int) -> float:
    source = np.zeros(size, dtype=np.uint8)
    return median_seconds(source.copy, 5)


@contextmanager
def _archive(images: list[Dataset]) -> Iterator[DicomWebArchive]:
    with tempfile.TemporaryDirectory() as folder:
        store = DicomFolder(Path(folder))
        for image in images:
            store.add(image)
        with serve(dicomweb_app(store)) as root, DicomWebArchive(ArchiveRoot(root)) as archive:
            yield archive
