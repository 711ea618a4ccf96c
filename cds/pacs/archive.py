"""What the service asks of a site's image archives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pydicom


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

    def retrieve_study(self, study_uid: str, root: str | None = None) -> list[pydicom.Dataset]:
        """Every image of the study, whole and as it is stored; tomosynthesis by its header, without pixels."""
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

    def find_since(self, day: date) -> Iterator[FoundStudy]:
        """Every study dated on this day or later."""
        ...

    def store_report(self, report: pydicom.Dataset, root: str) -> None:
        """Store a report; the same one a second time changes nothing. ReportRejected where it is not accepted."""
        ...
