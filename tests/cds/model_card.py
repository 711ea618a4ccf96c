"""Model cards without weights: enough for everything that does not score."""

from __future__ import annotations

from pathlib import Path

from model.card import ModelCard, write_card
from tests.cds.builders import CALIBRATION, MODEL

BANNER = "Synthetic model for tests. Not for clinical use."


def model_folder(folder: Path, *, clinical: bool = False) -> Path:
    """A folder with a model's card in it, of the version that the builders' scores are of."""
    folder.mkdir(parents=True, exist_ok=True)
    card = ModelCard(
        name=MODEL.name,
        description="for tests",
        intended_use="tests",
        clinical=clinical,
        banner="" if clinical else BANNER,
        weights_sha256=MODEL.weights,
        preprocessing=MODEL.preprocessing,
        network={},
        picture={},
        calibration=CALIBRATION,
    )
    write_card(card, folder)
    return folder
