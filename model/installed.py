"""Which models are installed: folders with a card below the models folder, and the demo that ships. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.card import CARD_NAME, DEMO_MODEL, ModelCard, read_card
from model.errors import CheckpointBroken


@dataclass(frozen=True)
class InstalledModel:
    """A model folder, with its card or with what is wrong with it."""

    name: str
    folder: Path
    card: ModelCard | None
    problem: str = ""


def installed_models(models_folder: Path) -> tuple[InstalledModel, ...]:
    """The demo model, then the others by name; one that cannot be read is listed with its problem."""
    try:
        found = sorted(folder for folder in models_folder.iterdir() if (folder / CARD_NAME).is_file())
    except OSError:
        found = []  # no model has been imported yet
    visible = [folder for folder in found if not folder.name.startswith(".")]
    others = [folder for folder in visible if folder.resolve() != DEMO_MODEL.resolve()]
    return tuple(_installed(folder) for folder in [DEMO_MODEL, *others])


def _installed(folder: Path) -> InstalledModel:
    try:
        return InstalledModel(folder.name, folder, read_card(folder))
    except CheckpointBroken as e:
        return InstalledModel(folder.name, folder, None, str(e))


def model_folder(name_or_folder: Path, models_folder: Path) -> Path:
    """The folder of an installed model by its name, or the folder itself where a path is given."""
    if len(name_or_folder.parts) == 1 and not (name_or_folder / CARD_NAME).is_file():
        if str(name_or_folder) == DEMO_MODEL.name:
            return DEMO_MODEL
        return models_folder / name_or_folder
    return name_or_folder
