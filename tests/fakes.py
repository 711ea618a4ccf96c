"""Stand-ins for the outside systems, with the same Protocols as the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from itertools import chain
from typing import Any

import pydicom

from cds.errors import EhrNotFound, MammoTrendError, StudyNotFound
from cds.pacs.archive import FoundStudy, OnListed, unheard

Json = dict[str, Any]


class FakeArchive:
    """An ImageArchive of studies by UID, of studies by accession number, and of a list; an error in it is raised."""

    def __init__(self, studies: Mapping[str, Sequence[pydicom.Dataset] | MammoTrendError]) -> None:
        self.studies = dict(studies)
        self.by_accession: dict[str, FoundStudy | MammoTrendError] = {}
        self.listed: list[FoundStudy | MammoTrendError] = []
        self.asked: list[tuple[str, str | None]] = []
        self.stored: list[tuple[pydicom.Dataset, str]] = []

    def retrieve_study(
        self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
    ) -> list[pydicom.Dataset]:
        """The study as it was given, or its error."""
        self.asked.append((study_uid, root))
        images = self.headers(study_uid)
        on_listed(len(images))
        return images

    def headers(self, study_uid: str, root: str | None = None) -> list[pydicom.Dataset]:
        """The same, for who needs no pixels."""
        answer = self.studies.get(study_uid, StudyNotFound("the archive does not have the study"))
        if isinstance(answer, MammoTrendError):
            raise answer
        return list(answer)

    def image_uids(self, study_uid: str, root: str | None = None) -> frozenset[str]:
        """Those of the study's mammograms."""
        return frozenset(str(one.SOPInstanceUID) for one in self.headers(study_uid) if one.get("Modality") == "MG")

    def find_by_accession(self, accession_number: str, patient_ids: Sequence[str]) -> FoundStudy:
        """What was given for the number."""
        answer = self.by_accession.get(accession_number, StudyNotFound("the archive does not have the study"))
        if isinstance(answer, MammoTrendError):
            raise answer
        return answer

    def find_by_patient(self, patient_ids: Sequence[str]) -> list[FoundStudy]:
        """Those of the list that carry one of the IDs."""
        return [study for study in self._list() if study.patient_id in patient_ids]

    def find_since(self, day: date, before: date | None = None) -> Iterator[FoundStudy]:
        """Those of the list of this day or later, and before the other one."""
        last = before or date.max
        return (study for study in self._list() if study.performed_on and day <= study.performed_on < last)

    def store_report(self, report: pydicom.Dataset, root: str) -> None:
        """Keep it."""
        self.stored.append((report, root))

    def _list(self) -> Iterator[FoundStudy]:
        for study in self.listed:
            if isinstance(study, MammoTrendError):
                raise study
            yield study


class FakeEhr:
    """An Ehr with an answer for each path or query; one that is an error is raised, one that is a list is pages."""

    def __init__(self, answers: Mapping[str, Json | MammoTrendError | Sequence[Json | MammoTrendError]] = {}) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []

    def opening(self) -> Callable[[], AbstractContextManager[FakeEhr]]:
        """What `NightEhr.open` is."""
        return lambda: nullcontext(self)

    def read(self, path: str) -> Json:
        """The answer given for the path."""
        return next(self.pages(path))

    def search(self, query: str) -> Json:
        """The answer given for the query, its pages as one Bundle."""
        first, *rest = self.pages(query)
        return {**first, "entry": [*chain(*(page.get("entry", []) for page in (first, *rest)))]} if rest else first

    def pages(self, query: str) -> Iterator[Json]:
        """The pages given for the query, up to one that is an error."""
        self.asked.append(query)
        answer = self.answers.get(query, EhrNotFound("the EHR does not have what was asked for"))
        for page in answer if isinstance(answer, Sequence) else [answer]:
            if isinstance(page, MammoTrendError):
                raise page
            yield page
