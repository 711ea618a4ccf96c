"""Stand-ins for the outside systems, with the same Protocols as the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pydicom

from cds.errors import EhrNotFound, MammoTrendError, StudyNotFound

Json = dict[str, Any]


class FakeArchive:
    """An ImageArchive of studies by UID; one that is an error is raised."""

    def __init__(self, studies: Mapping[str, Sequence[pydicom.Dataset] | MammoTrendError]) -> None:
        self.studies = dict(studies)
        self.asked: list[tuple[str, str | None]] = []

    def retrieve_study(self, study_uid: str, root: str | None = None) -> list[pydicom.Dataset]:
        """The study as it was given, or its error."""
        self.asked.append((study_uid, root))
        answer = self.studies.get(study_uid, StudyNotFound("the archive does not have the study"))
        if isinstance(answer, MammoTrendError):
            raise answer
        return list(answer)


class FakeEhr:
    """An Ehr with an answer for each path or query; one that is an error is raised."""

    def __init__(self, answers: Mapping[str, Json | MammoTrendError] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[str] = []

    def opening(self) -> Callable[[], AbstractContextManager[FakeEhr]]:
        """What `NightEhr.open` is."""
        return lambda: nullcontext(self)

    def read(self, path: str) -> Json:
        """The answer given for the path."""
        return self._answer(path)

    def search(self, query: str) -> Json:
        """The answer given for the query."""
        return self._answer(query)

    def _answer(self, asked: str) -> Json:
        self.asked.append(asked)
        answer = self.answers.get(asked, EhrNotFound("the EHR does not have what was asked for"))
        if isinstance(answer, MammoTrendError):
            raise answer
        return answer
