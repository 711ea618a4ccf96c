"""The model card beside every checkpoint: what the model is and what it may be used for. Needs no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from model.calibration import Calibration
from model.devices import ValidatedDevice
from model.domain import YEARS, ModelVersion
from model.errors import CheckpointBroken
from model.site_calibration import CalibratedAtSite

CARD_NAME: Final = "card.json"
WEIGHTS_NAME: Final = "model.safetensors"
DEMO_MODEL: Final = Path(__file__).parent / "checkpoints" / "phantom-demo"
"""The small synthetic model that ships with the package."""


@dataclass(frozen=True)
class ModelCard:
    """Who the model is. `network` and `picture` are the keyword arguments of NetworkConfig and PictureFormat.

    `clinical` is True only for a model validated on patients; every other one is refused in active mode.
    """

    name: str
    description: str
    intended_use: str
    clinical: bool
    banner: str
    weights_sha256: str
    preprocessing: str
    network: dict[str, Any]
    picture: dict[str, Any]
    calibration: Calibration | CalibratedAtSite
    """The model's own, as its card has it, or that with the site's over it."""
    measured: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    validated_devices: tuple[ValidatedDevice, ...] = ()
    self_check: tuple[float, ...] = ()
    """Raw risks of the built-in exam (`model.self_check`), which every machine must reproduce before it scores."""

    @property
    def version(self) -> ModelVersion:
        """The identity under which this model's scores are stored and compared."""
        return ModelVersion(
            self.name, self.weights_sha256, self.preprocessing, self.calibration.identity, self.clinical
        )


def read_card(folder: Path) -> ModelCard:
    """The card of the model in `folder`; raises CheckpointBroken with what is wrong."""
    try:
        fields = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise CheckpointBroken(f"no {CARD_NAME} in the model folder {folder.name!r}; check the setting `model`") from e
    except (OSError, UnicodeDecodeError, ValueError) as e:
        raise CheckpointBroken(f"{CARD_NAME} of the model {folder.name!r} cannot be read: {type(e).__name__}") from e
    try:
        calibration = fields.pop("calibration")
        slopes, intercepts = tuple(calibration["slopes"]), tuple(calibration["intercepts"])
        devices = tuple(ValidatedDevice(**device) for device in fields.pop("validated_devices", ()))
        card = ModelCard(
            **fields, validated_devices=devices, calibration=Calibration(calibration["version"], slopes, intercepts)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise CheckpointBroken(f"{CARD_NAME} of the model {folder.name!r} is not a model card: {e}") from e
    return _checked(card)


def _checked(card: ModelCard) -> ModelCard:
    """Only a literal `true` makes a model clinical: a card with the words "yes" or 1 was edited by hand."""
    words = (card.name, card.banner, card.weights_sha256, card.preprocessing, card.calibration.version)
    # It goes into charts as it is, where a control character or a mark of direction would change what is read.
    if not all(isinstance(word, str) and word.isprintable() for word in words):
        raise CheckpointBroken("the model card has something other than a line of text for a name or a checksum")
    if not all(isinstance(sizes, dict) for sizes in (card.network, card.picture)):
        raise CheckpointBroken(f"the card of {card.name!r} does not describe the network and its pictures")
    if not isinstance(card.clinical, bool):
        raise CheckpointBroken(f"the card of {card.name!r} says clinical: {card.clinical!r}; it must be true or false")
    if not card.banner and not card.clinical:
        raise CheckpointBroken(f"the card of {card.name!r} is not clinical and so needs a banner for every result")
    promised = card.self_check
    if (
        not isinstance(promised, list | tuple)
        or len(promised) not in (0, len(YEARS))
        or not all(map(_is_risk, promised))
    ):
        raise CheckpointBroken(f"the self-check of the card of {card.name!r} is not {len(YEARS)} risks")
    card = replace(card, self_check=tuple(promised))
    widths = card.network.get("widths")
    return replace(card, network={**card.network, "widths": tuple(widths)}) if isinstance(widths, list) else card


def _is_risk(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def write_card(card: ModelCard, folder: Path) -> None:
    """Write the card beside the weights it describes."""
    (folder / CARD_NAME).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
