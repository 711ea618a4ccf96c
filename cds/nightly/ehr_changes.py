"""Finding the exams that an EHR has changed since it was last read, patient by patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import quote

from cds.assessment import new_exams
from cds.ehr.client import Ehr
from cds.errors import EhrAnswerBroken, EhrNotFound, EhrRefused, EhrUnreachable, told
from cds.nightly.night import Found
from cds.store.database_faults import concerns_all
from cds.store.runs import RunRecords
from cds.store.store import Store
from fhir_mappings.bundles import bundle_resources, distinct, total_found
from fhir_mappings.dates import instant, last_updated
from fhir_mappings.elements import Json, counted
from fhir_mappings.endpoints import endpoint_references
from fhir_mappings.imaging_studies import ImagingHistory, key_of, read_imaging_studies
from fhir_mappings.patients import Patient, read_patient
from fhir_mappings.subjects import subject_id

CHANGED = "ImagingStudy?modality=MG&_count=200"
HERS = "ImagingStudy?patient={patient_id}&modality=MG&_count=200"
MOST_SILENT = 3
"""After so many patients in a row for whom an EHR did not answer it is not asked again in the same run."""
OVERLAP = timedelta(minutes=10)
"""A server may show a change some minutes after the moment that it writes on it."""


@dataclass(frozen=True)
class NightEhr:
    """An EHR with the access of the nightly run. `open` gives a connection for one run; leaving it closes it.

    Another `server` under the same name has changes of its own, of which none is read yet.
    """

    name: str
    open: Callable[[], AbstractContextManager[Ehr]]
    time_zone: tzinfo = UTC
    server: str = ""

    @property
    def source(self) -> str:
        """What it is called where it is noted up to when its changes are read."""
        return f"{self.former_source} at {self.server}" if self.server else self.former_source

    @property
    def former_source(self) -> str:
        """What it was called there whichever server it was, before they were told apart."""
        return f"ehr {self.name}"


@dataclass(frozen=True)
class EhrChanges:
    """Registers the exams of every patient of whom an EHR has changed a mammography study since the last look.

    One EHR that fails does not stop the others, and one patient that fails is looked at again the next time.
    """

    ehrs: Sequence[NightEhr]
    store: Store
    runs: RunRecords
    model: str
    now: Callable[[], datetime]

    def __call__(self, found: Found) -> None:
        """Look at every EHR."""
        for ehr in self.ehrs:
            try:
                with ehr.open() as client:
                    self._look(ehr, client, found)
            except Exception as fault:  # noqa: BLE001 # one EHR's unforeseen fault must not keep the night from the others
                found.problems.append(f"{ehr.name}: {not_looked_at(fault)}")

    def _look(self, ehr: NightEhr, client: Ehr, found: Found) -> None:
        since = self._read_up_to(ehr)
        changes = _Changes()
        try:
            for page in client.pages(changed_since(since)):
                changes.add(page)
        finally:
            # What was listed before an answer failed is not listed in vain.
            found.problems.extend(f"{ehr.name}: {problem}" for problem in changes.problems())
            failed = list(self._look_at_patients(ehr, client, changes, found))
        changes.check_whole()
        self._move_watermark(ehr.source, since, changes, failed)

    def _read_up_to(self, ehr: NightEhr) -> datetime | None:
        self.runs.rename_source(ehr.former_source, ehr.source)
        since = self.runs.watermark(ehr.source)
        # Only a clock that has since been put back wrote a moment to come: what was filed before it may be unread.
        return since if since is None or since <= self.now() + OVERLAP else None

    def _look_at_patients(self, ehr: NightEhr, client: Ehr, changes: _Changes, found: Found) -> Iterator[str]:
        """Register the exams of each patient; yields those who could not be looked at.

        Once the EHR has been silent a few times in a row, or the look is to end, the rest are left to the next one.
        """
        reader = PatientReader(ehr, client, self.store, self.model, self.now)
        silent, left = 0, 0
        for patient_id in changes.patients:
            if silent == MOST_SILENT or found.stop.is_set():
                left += 1
                yield patient_id
                continue
            try:
                problems = reader.look_at(patient_id, found, changes.keys.get(patient_id, ()))
            except Exception as fault:  # noqa: BLE001 # nor one patient's
                silent = silent + 1 if isinstance(fault, EhrUnreachable) else 0
                found.problems.append(f"{ehr.name}: a patient: {not_looked_at(fault)}")
                yield patient_id
            else:
                silent = 0
                found.problems.extend(f"{ehr.name}: a patient: {problem}" for problem in problems)
        if left:
            found.problems.append(f"{ehr.name}: {counted(left, 'patient is', 'patients are')} left to the next run")

    def _move_watermark(self, source: str, since: datetime | None, changes: _Changes, failed: Sequence[str]) -> None:
        """Only over what is safely stored, and never past our own clock: an EHR's may have been ahead for a while."""
        moments = [changes.patients[patient_id] for patient_id in failed]
        # Of what could not be read it is not known when it changed.
        if changes.newest is None or changes.unread or None in moments:
            return
        reached = min([changes.newest, self.now(), *(moment for moment in moments if moment)])
        if since is None or reached > since:
            self.runs.move_watermark(source, reached)


@dataclass
class _Changes:
    """The patients of a list of changed studies, each with the earliest moment of her changes and the studies' keys."""

    patients: dict[str, datetime | None] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    newest: datetime | None = None
    nobodys: int = 0
    unread: list[str] = field(default_factory=list)
    listed: list[Json] = field(default_factory=list)
    total: int = 0

    def add(self, page: object) -> None:
        listing = bundle_resources(page, "ImagingStudy", whole=False)
        self.unread.extend(listing.problems)
        self.listed += [{name: study.get(name) for name in ("resourceType", "id")} for study in listing.resources]
        self.total = max(self.total, total_found(page))
        for study in listing.resources:
            moment, patient_id = last_updated(study), subject_id(study)
            if moment and (self.newest is None or moment > self.newest):
                self.newest = moment
            if patient_id is None:
                self.nobodys += 1
                continue
            known = self.patients.get(patient_id, moment)
            self.patients[patient_id] = _earlier(known, moment)
            if key := key_of(study):
                self.keys.setdefault(patient_id, set()).add(key)

    def check_whole(self) -> None:
        """Raise EhrAnswerBroken where the pages hold less than the server counts: what is missing may be new."""
        listed = distinct(self.listed)
        if listed < self.total:
            raise EhrAnswerBroken(
                f"it counts {counted(self.total, 'changed study', 'changed studies')} and listed {listed}; "
                "all are read again in the next run"
            )

    def problems(self) -> list[str]:
        named = [counted(self.nobodys, "study names", "studies name") + " no patient"] if self.nobodys else []
        return [*dict.fromkeys(self.unread), *named]


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(one, other) if one and other else None


@dataclass(frozen=True)
class PatientReader:
    """Reads one patient's whole list of mammograms from her EHR and brings the store in line with it."""

    ehr: NightEhr
    client: Ehr
    store: Store
    model: str
    now: Callable[[], datetime]
    endpoints: dict[str, Json] = field(default_factory=dict)

    def look_at(self, patient_id: str, found: Found, named: Collection[str] = ()) -> tuple[str, ...]:
        """Register the patient's exams; returns what of her list could not be read. Raises what could not be had.

        `named` are those that the EHR has just said she has: her list without them is not believed.
        """
        patient, exams = self._read(patient_id)
        if set(named) - {exam.key for exam in exams.exams} - exams.withdrawn:
            raise EhrAnswerBroken("her list lacks a study that the list of changes names; both are read again")
        news = new_exams(self.ehr.name, patient, exams)
        keys = [exam.key for exam in news]
        # A study on record for somebody else is hers only if the EHR does not list it there.
        for other in sorted(self.store.other_owners(self.ehr.name, patient_id, keys)):
            self._give_up(other, patient_id, keys)
        self.store.identify(self.ehr.name, patient_id, patient.identifiers, self.now())
        found.patients += 1
        found.exams += self.store.register(news, self.model, self.now())
        self._unlist(patient_id, exams)
        still = self.store.other_owners(self.ehr.name, patient_id, keys)
        shared = ("a study is filed under another patient too; correct the EHR",) if still else ()
        return (*exams.problems, *shared)

    def _read(self, patient_id: str) -> tuple[Patient, ImagingHistory]:
        return read_patient(self.client.read(f"Patient/{patient_id}"), patient_id), self._list(patient_id)

    def _give_up(self, other: str, mover: str, keys: Collection[str]) -> None:
        """Take from a patient what the EHR now lists under another.

        Of one who was merged into that other it may know nothing any more, or list the other's in her place.
        """
        try:
            self._unlist(other, self._list(other, beside=[mover]), elsewhere=keys)
        except EhrNotFound:
            self.store.unlist(self.ehr.name, other, None, self.now(), keys)

    def _list(self, patient_id: str, beside: Collection[str] = ()) -> ImagingHistory:
        query = HERS.format(patient_id=quote(patient_id, safe=""))
        bundle = self.client.search(query)
        endpoints = [self._endpoint(reference) for reference in endpoint_references(bundle)]
        return read_imaging_studies(bundle, patient_id, endpoints, self.ehr.time_zone, beside)

    def _endpoint(self, reference: str) -> Json:
        """Read by itself, once a run: an EHR that does not know `_include` for it would refuse the whole search."""
        if reference not in self.endpoints:
            try:
                self.endpoints[reference] = self.client.read(reference)
            except (EhrNotFound, EhrRefused):  # then the site's archives are asked one after the other
                self.endpoints[reference] = {"resourceType": "Endpoint", "id": reference.partition("/")[2]}
        return self.endpoints[reference]

    def _unlist(self, patient_id: str, exams: ImagingHistory, elsewhere: Collection[str] = ()) -> None:
        """Take from a patient what the EHR no longer lists of her; what it lists `elsewhere`, from an archive too."""
        listed = {exam.key for exam in exams.exams if exam.key}
        if exams.problems:
            # A list that could not be read whole says nothing of what it lacks.
            self.store.unlist(self.ehr.name, patient_id, None, self.now(), exams.withdrawn)
        else:
            gone = exams.withdrawn.union(elsewhere) - listed
            self.store.unlist(self.ehr.name, patient_id, listed, self.now(), gone)
        self.store.withdraw(self.ehr.name, patient_id, exams.withdrawn, self.now())


def not_looked_at(fault: Exception) -> str:
    """Why, in words. Raises a fault of the store that concerns all that is looked at."""
    if concerns_all(fault):
        raise fault
    return told(fault)


def changed_since(since: datetime | None) -> str:
    """The search for the mammography studies that an EHR has changed since a moment, or for all of them."""
    return CHANGED if since is None else f"{CHANGED}&_lastUpdated=ge{instant(since - OVERLAP)}"
