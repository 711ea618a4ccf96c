"""An EHR that behaves as a FHIR server does, as far as the night asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote

from cds.errors import EhrNotFound, MammoTrendError
from fhir_mappings.dates import instant
from tests.builders import imaging_study, searchset
from tests.cds.builders import NOW, fhir_patient

Json = dict[str, Any]


class ChartEhr:
    """An Ehr of ImagingStudies and Patients, searched by patient, by `_lastUpdated` and by identifier, in pages.

    `failing` are errors by what is asked for: a path, `changes`, or `list of <patient>`.
    """

    def __init__(self, *patients: str, page_size: int = 200) -> None:
        self.patients = {patient_id: fhir_patient(patient_id) for patient_id in patients}
        self.studies: dict[str, Json] = {}
        self.endpoints: dict[str, Json] = {}
        self.failing: dict[str, MammoTrendError] = {}
        self.asked: list[str] = []
        self.page_size = page_size

    def opening(self) -> Callable[[], AbstractContextManager[ChartEhr]]:
        """What `NightEhr.open` is."""
        return lambda: nullcontext(self)

    def put(self, patient_id: str, uid: str, at: datetime = NOW - timedelta(days=9), **elements: Any) -> None:
        """File a study, or change it, at a moment of the server's own clock."""
        particulars: Json = {"started": "2026-05-03", "id": f"s-{uid}", **elements}
        study = imaging_study(patient_id, study_uid=uid, **particulars)
        self.studies[uid] = {**study, "meta": {"lastUpdated": instant(at)}}

    def read(self, path: str) -> Json:
        """A Patient or an Endpoint."""
        self._ask(path)
        kind, _, resource_id = path.partition("/")
        found = (self.patients if kind == "Patient" else self.endpoints).get(unquote(resource_id))
        if found is None:
            raise EhrNotFound("the EHR does not have what was asked for")
        return found

    def search(self, query: str) -> Json:
        """Everything that matches, as one Bundle."""
        kind, _, parameters = query.partition("?")
        asked = dict(parse_qsl(parameters))
        if kind == "Patient":
            self._ask(f"patient by {asked['identifier']}")
            return searchset(*self.patients.values())  # one that ignores the question, as some do
        self._ask(f"list of {asked['patient']}")
        wanted = f"Patient/{asked['patient']}"
        return searchset(*(study for study in self.studies.values() if study["subject"]["reference"] == wanted))

    def pages(self, query: str) -> Iterator[Json]:
        """What has changed since a moment, a page at a time; `changes` fails after the first page."""
        since = dict(parse_qsl(query.partition("?")[2])).get("_lastUpdated", "ge").removeprefix("ge")
        self.asked.append(f"changes since {since}")
        found = [study for study in self.studies.values() if study.get("meta", {}).get("lastUpdated", "Z") >= since]
        for first in range(0, max(len(found), 1), self.page_size):
            if first or self.page_size >= len(found):
                self._ask("changes")
            yield searchset(*found[first : first + self.page_size])

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.failing:
            raise self.failing[what]
