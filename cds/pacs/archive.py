"""What the service asks of a site's image archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pydicom

OnListed = Callable[[int], None]
"""Told how many images of a study are about to be fetched; it may wait until there is room for them."""


def unheard(_images: int) -> None:
    """For whoever does not count them."""


@dataclass(frozen=True)
class FoundStudy:
    """A mammography study as an archive lists it; texts are empty and the rest None where it does not say."""

    study_uid: str
    root: str
    patient_id: str
    accession_number: str
    performed_on: date | None
    instances: int | None


class ImageArchive(Protocol):
    """Where exams' images come from, and where reports of them go.

    A `root` is the address of one archive of the site; None asks one after the other until one has the study. Every
    method raises PacsError, or UntrustedServer for a root that is not the site's; StudyNotFound and an empty answer
    are given only where every archive that was to be asked has answered.
    """

    def retrieve_study(
        self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
    ) -> list[pydicom.Dataset]:
        """Every image of the study, whole and as it is stored; tomosynthesis by its header, without pixels.

        `on_listed` is called before its pixels are asked for, once for each archive that has it.
        """
        ...

    def headers(self, study_uid: str, root: str | None = None) -> list[pydicom.Dataset]:
        """The header of every object of the study, without pixels."""
        ...

    def image_uids(self, study_uid: str, root: str | None = None) -> frozenset[str]:
        """The SOP Instance UIDs of the study's mammograms: a late or replaced image changes them, a report does not."""
        ...

    def find_by_accession(self, accession_number: str, patient_ids: Sequence[str]) -> FoundStudy:
        """The one study of this patient with this accession number.

        Raises StudyNotFound, StudyAmbiguous, or PatientUnclear where it is not known to be hers.
        """
        ...

    def find_by_patient(self, patient_ids: Sequence[str]) -> list[FoundStudy]:
        """All studies of the patient who has these IDs; PatientUnclear where none of them can be asked for."""
        ...

    def find_since(self, day: date, before: date | None = None) -> Iterator[FoundStudy]:
        """Every study dated on this day or later, and before the other one."""
        ...

    def store_report(self, report: pydicom.Dataset, root: str) -> None:
        """Store a report; the same one a second time changes nothing. ReportRejected where it is not accepted."""
        ...
