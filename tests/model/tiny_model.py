"""A model with random weights, small enough to score an exam in milliseconds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.calibration import PUBLISHED_MIRAI
from model.card import ModelCard
from model.checkpoint import save_network
from model.network import Mirai, NetworkConfig
from model.preprocessing import VERSION, PictureFormat

TINY = NetworkConfig(widths=(4, 4, 8, 8), hidden=8, embedding=2, heads=2)


def tiny_card(**fields: Any) -> ModelCard:
    """A card of the tiny network, not clinical."""
    standard: dict[str, Any] = {
        "name": "tiny",
        "description": "Random weights.",
        "intended_use": "Tests.",
        "clinical": False,
        "banner": "Not for clinical use.",
        "weights_sha256": "",
        "preprocessing": VERSION,
        "network": asdict(TINY),
        "picture": asdict(PictureFormat(rows=64, columns=52)),
        "calibration": PUBLISHED_MIRAI,
    }
    return ModelCard(**{**standard, **fields})


def install_tiny_model(folder: Path, **fields: Any) -> ModelCard:
    """Write the tiny model into `folder`, the same weights every time."""
    torch.manual_seed(5)
    return save_network(Mirai(TINY).eval(), tiny_card(**fields), folder)


def install_sensitive_model(folder: Path) -> ModelCard:
    """The tiny model with a last layer that makes much of what bfloat16 rounds away."""
    torch.manual_seed(5)
    network = Mirai(TINY).eval()
    with torch.no_grad():
        network.risk.base.weight.mul_(100)
        network.risk.hazard.weight.mul_(100)
    return save_network(network, tiny_card(), folder)
