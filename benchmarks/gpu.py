"""What a GPU takes for an exam, part by part and precision by precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from pydicom import Dataset

from benchmarks.timing import Row, copy_seconds, matrix_rate, median_seconds, waiting
from model.device_pictures import DevicePictures
from model.inference import RiskNetwork
from model.network import Mirai, NetworkConfig
from model.phantom import PhantomExam, dicom_images
from model.precision import Precision
from model.preprocessing import PictureFormat, Windowed, opened
from model.processor import Processor, processor

FULL_SIZE_FLOP = 985e9
"""Of one exam: 123.2 thousand million multiply-adds a picture, counted twice, four times."""


def rows(exam: PhantomExam, rounds: int) -> Iterator[Row]:
    """Decode, preprocessing on the device, and the forward in every precision; nothing where there is no GPU."""
    if torch.cuda.is_available():
        yield from _on(torch.device("cuda"), list(dicom_images(exam)), PictureFormat(), rounds)


def _on(device: torch.device, images: list[Dataset], form: PictureFormat, rounds: int) -> Iterator[Row]:
    views = [opened(image) for image in images]
    size = sum(view.stored.nbytes for view in views)
    decode = median_seconds(lambda: [opened(image) for image in images], rounds)
    yield Row(
        "GPU: decode on one core, and the tables of grey levels", decode, copy_seconds(size), "one copy in memory"
    )
    pictures, card = DevicePictures(device), processor(str(device))
    make = waiting(device, lambda: [pictures(view, form) for view in views])
    sent = median_seconds(waiting(device, lambda: _sent(views, device)), rounds)
    yield Row(f"GPU: send and preprocess on {card.name}", median_seconds(make, rounds), sent, "sending the pixels")
    exams = torch.stack([torch.stack([pictures(view, form) for view in views])] * card.exams_at_once)
    network = Mirai(NetworkConfig()).eval()
    for precision in Precision:
        yield _forward(network, replace(card, precision=precision), exams, rounds)


def _forward(network: Mirai, card: Processor, exams: torch.Tensor, rounds: int) -> Row:
    fast = RiskNetwork(network, card)
    seconds = median_seconds(waiting(card.device, lambda: fast.raw_risks(exams)), rounds) / len(exams)
    card.set_rounding()
    rate = matrix_rate(8192, device=card.device, kind=card.encoder_type)
    what = f"GPU: forward of one exam of {len(exams)} together, {card.precision}"
    floor = f"985 GFLOP as a matrix product, {rate / 1e12:.0f} TFLOP/s"
    return Row(what, seconds, FULL_SIZE_FLOP / rate, floor)


def _sent(views: list[Windowed], device: torch.device) -> list[torch.Tensor]:
    return [torch.from_numpy(view.stored.view("i2")).pin_memory().to(device, non_blocking=True) for view in views]
