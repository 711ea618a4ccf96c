"""The mammography units a model was validated on, and what is said of any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from model.domain import AcquisitionDevice


@dataclass(frozen=True)
class ValidatedDevice:
    """One kind of unit, by how its Manufacturer and ManufacturerModelName begin; case does not matter."""

    manufacturer: str
    model_name: str

    def covers(self, device: AcquisitionDevice) -> bool:
        """Whether a unit is of this kind."""
        return _begins(device.manufacturer, self.manufacturer) and _begins(device.model_name, self.model_name)


MIRAI_DEVICES: Final = tuple(
    ValidatedDevice(manufacturer, model_name)
    for manufacturer in ("Hologic", "Lorad")
    for model_name in ("Selenia", "Lorad Selenia")
)
"""Selenia and Selenia Dimensions, which the published Mirai was made for; Lorad is the older name of the same maker."""


def not_validated(device: AcquisitionDevice, validated: Sequence[ValidatedDevice]) -> str | None:
    """A sentence about a unit outside the list, None for one inside it."""
    if any(kind.covers(device) for kind in validated):
        return None
    name = " ".join(part for part in (device.manufacturer, device.model_name) if part)
    if not name:
        return (
            "The images do not name their mammography unit, so it is not known whether the model was validated on it."
        )
    return f"The model was not validated on this mammography unit ({name})."


def _begins(text: str, start: str) -> bool:
    words, wanted = text.casefold().split(), start.casefold().split()
    return [word.strip(",.;") for word in words[: len(wanted)]] == wanted
