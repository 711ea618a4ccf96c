"""All archives of a site as one: which is asked, in which order, and what an answer is worth when one is silent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import TypeVar

from pydicom import Dataset

from cds.errors import PacsError, PatientUnclear, StudyAmbiguous, StudyNotFound, UntrustedServer
from cds.origins import listed
from cds.pacs.archive import FoundStudy, OnListed, unheard
from cds.pacs.completeness import is_image
from cds.pacs.dicomweb import DicomWebArchive
from cds.pacs.listings import is_askable

log = logging.getLogger(__name__)
T = TypeVar("T")
A_DAY = timedelta(days=1)


class Archives:
    """An ImageArchive of several, in the order of their rank; for any number of threads."""

    def __init__(self, archives: Sequence[DicomWebArchive]) -> None:
        self._archives = {archive.url: archive for archive in archives}

    def retrieve_study(self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard) -> list[Dataset]:
        """Every image of the study, from the archive of this root, or from the first that has it."""
        return self._first(root, lambda archive: _with_images(archive.retrieve_study(study_uid, on_listed)))

    def headers(self, study_uid: str, root: str | None = None) -> list[Dataset]:
        """The header of every object of the study, without pixels."""
        return self._first(root, lambda archive: _with_images(archive.headers(study_uid)))

    def image_uids(self, study_uid: str, root: str | None = None) -> frozenset[str]:
        """The SOP Instance UIDs of the study's mammograms."""
        return self._first(root, lambda archive: archive.image_uids(study_uid))

    def find_by_accession(self, accession_number: str, patient_ids: Sequence[str]) -> FoundStudy:
        """The one study of this patient with this accession number.

        All archives must have answered: a silent one may hold a second study with the number, and then the one that
        is found may be the wrong one.
        """
        if not is_askable(accession_number):
            raise StudyNotFound("the exam's accession number cannot be asked for; correct its ImagingStudy in the EHR")
        wanted = accession_number.strip()
        fitting = [
            study
            for archive in self._archives.values()
            for study in archive.studies({"AccessionNumber": wanted})
            if study.accession_number == wanted
        ]
        return _only_one(fitting, patient_ids)

    def find_by_patient(self, patient_ids: Sequence[str]) -> list[FoundStudy]:
        """All studies of the patient who has these IDs, each once; all archives must have answered."""
        asked = _askable(patient_ids)
        found = (
            study
            for archive in self._archives.values()
            for patient_id in asked
            for study in archive.studies({"PatientID": patient_id})
            if study.patient_id == patient_id
        )
        return list(_each_once(found))

    def find_since(self, day: date, before: date | None = None) -> Iterator[FoundStudy]:
        """Every study dated on this day or later, and before the other one, each once.

        What could not be asked is raised after the rest.
        """
        return _each_once(self._listed_between(day, before - A_DAY if before else date.max))

    def store_report(self, report: Dataset, root: str) -> None:
        """Store a report in the archive of this root; the same one a second time changes nothing."""
        self._archive(root).store(report)

    def _listed_between(self, first: date, last: date) -> Iterator[FoundStudy]:
        # PS3.4 C.2.2.2.5: a range without an end is of that day and later.
        days = f"{first:%Y%m%d}-" if last == date.max else f"{first:%Y%m%d}-{last:%Y%m%d}"
        problems: list[PacsError | UntrustedServer] = []
        for archive in self._archives.values():
            try:
                for study in archive.studies({"StudyDate": days}):
                    if study.performed_on is not None and first <= study.performed_on <= last:
                        yield study
            except (PacsError, UntrustedServer) as problem:
                problems.append(problem)
        if problems:
            raise problems[0]

    def _first(self, root: str | None, ask: Callable[[DicomWebArchive], T]) -> T:
        """The answer of the first archive that has the study. A study UID means one study wherever it is found.

        A root that is not the site's is never asked; it may be the one that an archive of the site had once.
        """
        problem: PacsError | UntrustedServer = StudyNotFound("no archive of the site has the study")
        try:
            if root is not None:
                return ask(self._archive(root))
        except UntrustedServer as elsewhere:
            problem = elsewhere
        for archive in self._archives.values():
            try:
                return ask(archive)
            except StudyNotFound:
                continue
            except (PacsError, UntrustedServer) as could_not_look:
                problem = could_not_look
        raise problem

    def _archive(self, root: str) -> DicomWebArchive:
        return self._archives[listed(root, self._archives)]


def _with_images(found: list[Dataset]) -> list[Dataset]:
    """What an archive has of a study; one that holds no more than reports of it, such as our own, lacks it."""
    if not any(map(is_image, found)):
        raise StudyNotFound("the archive has no image of the study, only other objects; it is asked again later")
    return found


def _only_one(fitting: Sequence[FoundStudy], patient_ids: Sequence[str]) -> FoundStudy:
    if not fitting:
        raise StudyNotFound("no archive of the site has a mammography study with the exam's accession number")
    hers = list(_each_once(study for study in fitting if study.patient_id and study.patient_id in patient_ids))
    if not hers:
        raise PatientUnclear(
            "the study with the exam's accession number carries no patient ID that the EHR lists for this patient; "
            "correct the PACS or the EHR"
        )
    if len(hers) > 1:
        raise StudyAmbiguous(
            f"{len(hers)} studies of the patient have the exam's accession number; "
            "name the study's UID in its ImagingStudy in the EHR"
        )
    return hers[0]


def _askable(patient_ids: Sequence[str]) -> list[str]:
    asked = list(dict.fromkeys(one.strip() for one in patient_ids if is_askable(one)))
    left_out = sum(not is_askable(one) for one in patient_ids)
    if left_out:
        log.warning("%d of a patient's IDs cannot be asked for: wildcards, lists or nothing at all", left_out)
    if not asked:
        raise PatientUnclear("the EHR lists no patient ID that an archive can be asked for; correct it in the EHR")
    return asked


def _each_once(studies: Iterator[FoundStudy]) -> Iterator[FoundStudy]:
    """The same study in two archives is one study: that of the archive of the higher rank."""
    seen: set[str] = set()
    for study in studies:
        if study.study_uid not in seen:
            seen.add(study.study_uid)
            yield study
