"""What archives list by QIDO-RS, read with distrust: keys may be ignored, pages may repeat, lists may not end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.uid import UID

from cds.errors import PacsError
from cds.pacs.archive import FoundStudy
from cds.pacs.connection import ArchiveClient
from fhir_mappings.elements import text
from fhir_mappings.references import is_dicom_uid

MAX_PAGES = 50
STUDIES_A_PAGE = 500
MAMMOGRAPHY = "MG"
_DIGITS = 9
"""Of a number of images; a longer one is none, and no database keeps it."""
_INSTANCES = "00201208"
_MODALITY, _MODALITIES, _STUDY_UID, _SOP_UID = "00080060", "00080061", "0020000D", "00080018"
Row = Mapping[str, Any]
Page = tuple[Sequence[Row], bool]
"""What an archive lists at once, and whether it says that there is more."""


@dataclass(frozen=True)
class ListedInstance:
    """One object of a study; texts are empty where the archive does not say."""

    uid: str
    sop_class: str
    series_uid: str
    modality: str

    @property
    def is_mammogram(self) -> bool:
        """Whether it is an image of a mammography series."""
        # PS3.4 B.5: the standard's image classes, and only they, are named "... Image Storage".
        return self.modality == MAMMOGRAPHY if self.modality else "Image Storage" in UID(self.sop_class).name


def is_askable(value: str) -> bool:
    """Whether a value can be asked for and means itself: no wildcard, no list, and not the empty one that means all.

    PS3.4 C.2.2.2; a comma makes a list for some archives, though the standard has that for UIDs alone.
    """
    return bool(value.strip()) and value.isprintable() and not set(value) & set("*?\\,")


def listed_instances(client: ArchiveClient, study_uid: str) -> list[ListedInstance]:
    """Every object of the study."""

    def ask(offset: int | None) -> Page:
        page = client.search_for_instances(study_uid, offset=offset, fields=[_MODALITY])
        return page, client.was_cut

    return [_instance(row) for row in _rows(ask, _SOP_UID)]


def listed_studies(client: ArchiveClient, root: str, filters: Mapping[str, str]) -> Iterator[FoundStudy]:
    """The mammography studies that an archive gives for these keys; whether they fit the keys is not checked."""
    asked = {"ModalitiesInStudy": MAMMOGRAPHY, **filters}

    def ask(offset: int | None) -> Page:
        page = client.search_for_studies(
            limit=STUDIES_A_PAGE, offset=offset, fields=[_MODALITIES, _INSTANCES], search_filters=asked
        )
        return page, client.was_cut

    for row in _rows(ask, _STUDY_UID, STUDIES_A_PAGE):
        if is_dicom_uid(_text(row, _STUDY_UID)) and _is_mammography(client, row):
            yield _study(row, root)


def _rows(ask: Callable[[int | None], Page], key: str, limit: int | None = None) -> Iterator[Row]:
    """Row by row, each once, asked for until a page brings nothing new: not every archive honours `offset`."""
    seen: set[str] = set()
    is_cut = False
    for _ in range(MAX_PAGES):
        was_cut = is_cut
        page, is_cut = ask(len(seen) or None)
        new = {uid: row for row in page if (uid := _text(row, key)) and uid not in seen}
        if not new and limit is not None and len(page) == limit:
            raise PacsError("the archive gives the first page of its list again and again, so the rest is not known")
        if not new and (is_cut or was_cut):
            raise PacsError("the archive cuts its list and gives no more of it; have it give more, or page by `offset`")
        if not new:
            return
        seen |= new.keys()
        yield from new.values()
    raise PacsError(f"the archive's list does not end within {MAX_PAGES} pages; ask for less, or ask its administrator")


def _is_mammography(client: ArchiveClient, row: Row) -> bool:
    modalities = _values(row, _MODALITIES)
    if modalities:
        return MAMMOGRAPHY in modalities
    # Some archives leave the modalities out of their lists (and some ignore them as a key): the objects tell.
    return any(one.modality == MAMMOGRAPHY for one in listed_instances(client, _text(row, _STUDY_UID)))


def _study(row: Row, root: str) -> FoundStudy:
    instances = _text(row, _INSTANCES)
    return FoundStudy(
        study_uid=_text(row, _STUDY_UID),
        root=root,
        # IssuerOfPatientID (0010,0021) is not compared: where an archive keeps several hospitals' patients under one
        # ID each, the ID alone is not enough. EHRs name no DICOM issuer, so a site would have to say whose IDs count.
        patient_id=_text(row, "00100020"),
        accession_number=_text(row, "00080050"),
        performed_on=_date(_text(row, "00080020")),
        instances=int(instances) if instances.isdecimal() and len(instances) <= _DIGITS else None,
    )


def _instance(row: Row) -> ListedInstance:
    return ListedInstance(
        uid=_text(row, _SOP_UID),
        sop_class=_text(row, "00080016"),
        series_uid=_text(row, "0020000E"),
        modality=_text(row, _MODALITY),
    )


def _date(written: str) -> date | None:
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _text(row: Row, tag: str) -> str:
    return next(iter(_values(row, tag)), "")


def _values(row: Row, tag: str) -> list[str]:
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [text(str(value)) for value in values if value is not None] if isinstance(values, list) else []
