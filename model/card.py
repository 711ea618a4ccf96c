"""The model card beside every checkpoint: what the model is and what it may be used for. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from model.calibration import PUBLISHED_MIRAI, Calibration
from model.devices import ValidatedDevice
from model.domain import YEARS, ModelVersion
from model.errors import CheckpointBroken
from model.release.published import NAME, PUBLISHED
from model.site_calibration import CalibratedAtSite

CARD_NAME: Final = "card.json"
WEIGHTS_NAME: Final = "model.safetensors"
DEMO_MODEL: Final = Path(__file__).parent / "checkpoints" / "phantom-demo"
"""The small synthetic model that ships with the package."""

LONGEST_BANNER: Final = 200
"""In characters. A longer text loses its end on a card, and in a banner that may be what it must not be used for."""

_WIDEST_LAYER = 8192
_PICTURE_SIDES = range(32, 4097)
"""Rows or columns: the network halves them five times over, and the published Mirai has 2048."""


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


def read_card(folder: Path, published: Mapping[str, str] = PUBLISHED) -> ModelCard:
    """The card of the model in `folder`; raises CheckpointBroken with what is wrong.

    `published` are the checksums that the files of a clinical Mirai had, with what each file is.
    """
    try:
        fields = json.loads((folder / CARD_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise CheckpointBroken(f"no {CARD_NAME} in the model folder {folder.name!r}; check the setting `model`") from e
    except (OSError, RecursionError, ValueError) as e:
        raise CheckpointBroken(f"{CARD_NAME} of the model {folder.name!r} cannot be read: {type(e).__name__}") from e
    try:
        calibration = _calibration(fields.pop("calibration"))
        devices = tuple(ValidatedDevice(**device) for device in fields.pop("validated_devices", ()))
        card = ModelCard(**fields, validated_devices=devices, calibration=calibration)
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise CheckpointBroken(f"{CARD_NAME} of the model {folder.name!r} is not a model card: {e}") from e
    card = _checked(card)
    _check_origin(card, published)
    return card


def _calibration(said: dict[str, Any]) -> Calibration:
    """The curves as they were written; raises ValueError where they were edited since."""
    slopes, intercepts = tuple(said["slopes"]), tuple(said["intercepts"])
    if not all(map(_is_number, (*slopes, *intercepts))):
        raise ValueError("its calibration has something other than a number for a slope or an intercept")
    calibration = Calibration(said["version"], slopes, intercepts)
    if said.get("sha256") != calibration.sha256:
        raise ValueError("its calibration is not as it was written; import the model again")
    return calibration


def _check_origin(card: ModelCard, published: Mapping[str, str]) -> None:
    """What was imported is clinical only as it was published: a card with other files or curves was edited by hand."""
    files = card.training.get("files")
    if not card.clinical or (files is None and card.name != NAME):
        return
    origins = files if isinstance(files, dict) else {}
    said = {role: origin.get("sha256") for role, origin in origins.items() if isinstance(origin, dict)}
    if said != {role: sha256 for sha256, role in published.items()} or card.calibration != PUBLISHED_MIRAI:
        raise CheckpointBroken(
            f"the card of {card.name!r} says that it is clinical, but its files or its calibration are not the "
            "published ones; import the model again"
        )


def _checked(card: ModelCard) -> ModelCard:
    """Only a literal `true` makes a model clinical: a card with the words "yes" or 1 was edited by hand."""
    words = (card.name, card.banner, card.weights_sha256, card.preprocessing, card.calibration.version)
    # It goes into charts as it is, where a control character or a mark of direction would change what is read.
    if not all(isinstance(word, str) and word.isprintable() for word in words):
        raise CheckpointBroken("the model card has something other than a line of text for a name or a checksum")
    if not _describes_network(card.network) or not _describes_pictures(card.picture):
        raise CheckpointBroken(f"the card of {card.name!r} does not describe the network and its pictures")
    texts, facts = (card.description, card.intended_use), (card.measured, card.training)
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(fact, dict) for fact in facts):
        raise CheckpointBroken(f"the card of {card.name!r} does not say what it is for and how it was made")
    # A unit's words are compared with how these begin: an empty one would cover the units of every maker.
    if not all(_is_name(word) for unit in card.validated_devices for word in (unit.manufacturer, unit.model_name)):
        raise CheckpointBroken(f"the card of {card.name!r} lists a validated device without its maker or its model")
    if not isinstance(card.clinical, bool):
        raise CheckpointBroken(f"the card of {card.name!r} says clinical: {card.clinical!r}; it must be true or false")
    if not card.banner and not card.clinical:
        raise CheckpointBroken(f"the card of {card.name!r} is not clinical and so needs a banner for every result")
    if len(card.banner) > LONGEST_BANNER:
        raise CheckpointBroken(f"the banner of the card of {card.name!r} is longer than {LONGEST_BANNER} characters")
    if not _is_promise(card.self_check):
        raise CheckpointBroken(f"the self-check of the card of {card.name!r} is not {len(YEARS)} risks")
    card = replace(card, self_check=tuple(card.self_check))
    widths = card.network.get("widths")
    return replace(card, network={**card.network, "widths": tuple(widths)}) if isinstance(widths, list) else card


def _describes_network(sizes: Any) -> bool:
    """Whether these can be arguments of NetworkConfig; which of them fit together, it says itself."""
    if not isinstance(sizes, dict):
        return False
    widths, relu = sizes.get("widths", []), sizes.get("relu_after_pool", True)
    others = [value for name, value in sizes.items() if name not in ("widths", "relu_after_pool")]
    is_list = isinstance(widths, list | tuple) and type(relu) is bool
    return is_list and all(type(size) is int and 0 < size <= _WIDEST_LAYER for size in (*widths, *others))


def _describes_pictures(form: Any) -> bool:
    """Whether these can be arguments of PictureFormat."""
    if not isinstance(form, dict) or not form.keys() <= {"rows", "columns", "mean", "std"}:
        return False
    sides = [form[name] for name in ("rows", "columns") if name in form]
    is_scaled = _is_number(form.get("mean", 0)) and _is_number(form.get("std", 1)) and form.get("std", 1) > 0
    return is_scaled and all(type(side) is int and side in _PICTURE_SIDES for side in sides)


def _is_name(word: Any) -> bool:
    return isinstance(word, str) and word.isprintable() and bool(word.strip())


def _is_number(value: Any) -> bool:
    """JSON's `true`, NaN and whole numbers of any length are numbers to Python."""
    return type(value) in (int, float) and abs(value) < 1e9


def _is_promise(risks: Any) -> bool:
    is_whole = isinstance(risks, list | tuple) and len(risks) in (0, len(YEARS))
    return is_whole and all(_is_number(risk) and 0 <= risk <= 1 for risk in risks)


def write_card(card: ModelCard, folder: Path) -> None:
    """Write the card beside the weights it describes."""
    (folder / CARD_NAME).write_text(json.dumps(asdict(card), indent=2) + "\n", encoding="utf-8")
