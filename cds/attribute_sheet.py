"""The source attributes of a model: what its own file tells of each, and what the site's studies have found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cds.errors import ModelNotUsable, StudyNotPossible
from cds.study.telling.evidence import Evidence, evidence
from model.card import ModelCard
from model.errors import ModelError
from model.source_attributes import GROUPS, REGULATION, Attribute, Group, Told, read_source_attributes

NOT_AVAILABLE = "not available"


@dataclass(frozen=True)
class Row:
    """One attribute; `told` is None where the model's file says nothing, and `local` is of this site's studies."""

    attribute: Attribute
    told: Told | None
    local: tuple[str, ...]

    @property
    def is_available(self) -> bool:
        """Whether anything is known of it."""
        return self.told is not None or bool(self.local)


@dataclass(frozen=True)
class AttributeSheet:
    """All 31 in the order of the regulation, of one model version.

    `banner` is what its card says above every result. `unused` says of each study of the site why nothing is told of
    it; `problem` why none could be looked at.
    """

    model: str
    version: str
    banner: str
    groups: tuple[tuple[Group, tuple[Row, ...]], ...]
    unused: tuple[str, ...] = ()
    problem: str = ""

    def rows(self) -> Iterator[Row]:
        """Every attribute, without the groups."""
        return (row for _, rows in self.groups for row in rows)


def attribute_sheet(model_folder: Path, card: ModelCard, studies_folder: Path | None) -> AttributeSheet:
    """The sheet of the model in a folder, whose card has the site's calibration; raises ModelNotUsable."""
    try:
        told = read_source_attributes(model_folder, card.name)
    except ModelError as e:
        raise ModelNotUsable(str(e)) from e
    found, problem = _evidence(studies_folder, card.version.key)
    groups = tuple(
        (group, tuple(Row(one, told.get(one.key), found.said.get(one.key, ())) for one in group.attributes))
        for group in GROUPS
    )
    return AttributeSheet(card.name, card.version.key, card.banner, groups, found.unused, problem)


def _evidence(folder: Path | None, model: str) -> tuple[Evidence, str]:
    # What the model's own file tells is told in any case.
    try:
        return evidence(folder, model), ""
    except StudyNotPossible as e:
        return Evidence(), str(e)


def as_json(sheet: AttributeSheet) -> dict[str, object]:
    """The sheet for a program; what is not available is null."""
    return {
        "regulation": REGULATION,
        "model": sheet.model,
        "version": sheet.version,
        "banner": sheet.banner or None,
        "attributes": [_row_as_json(group, row) for group, rows in sheet.groups for row in rows],
        "studies_not_used": list(sheet.unused),
        "studies_not_read": sheet.problem or None,
    }


def _row_as_json(group: Group, row: Row) -> dict[str, object]:
    return {
        "key": row.attribute.key,
        "paragraph": row.attribute.paragraph,
        "group": group.title,
        "title": row.attribute.title,
        "text": row.told.text if row.told else None,
        "source": row.told.source if row.told else None,
        "at_this_site": list(row.local),
    }
