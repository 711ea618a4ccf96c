"""A model with random weights, whose arithmetic is the real one; and exams in the size of real ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from model.card import DEMO_MODEL, ModelCard, read_card
from model.checkpoint import save_network
from model.network import Mirai, NetworkConfig
from model.phantom import PhantomExam
from model.preprocessing import PictureFormat

DEMO_EXAM = PhantomExam(9_100_001, date(2026, 1, 1), 0.3)
FULL_EXAM = replace(DEMO_EXAM, woman=9_100_002, rows=3328, columns=2560)


@contextmanager
def full_size_model() -> Iterator[Path]:
    """The folder of one with the published architecture."""
    with random_model(NetworkConfig(), PictureFormat()) as folder:
        yield folder


@contextmanager
def random_model(network: NetworkConfig, pictures: PictureFormat) -> Iterator[Path]:
    """The folder of a model of these sizes."""
    with tempfile.TemporaryDirectory() as folder:
        save_network(Mirai(network).eval(), _card(network, pictures), Path(folder))
        yield Path(folder)


def _card(network: NetworkConfig, pictures: PictureFormat) -> ModelCard:
    return replace(read_card(DEMO_MODEL), name="random", network=asdict(network), picture=asdict(pictures))
