"""Finding exams where the EHR may not tell of them: in the archives, by arrival and by patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from urllib.parse import quote

from cds.errors import MammoTrendError, PacsError, UntrustedServer
from cds.nightly.ehr_changes import NightEhr, PatientReader, not_looked_at
from cds.nightly.night import Found
from cds.pacs.archive import FoundStudy, ImageArchive
from cds.store.arrivals import ArrivalRecords
from cds.store.runs import RunRecords
from cds.store.store import NewExam, Store
from cds.store.tables import ExamSource
from fhir_mappings.bundles import bundle_resources
from fhir_mappings.elements import counted
from fhir_mappings.patients import Patient, read_patient

ARCHIVES = "archives"
"""Up to when all of them are read, among the sources of `RunRecords`."""
LONGEST_SILENCE = timedelta(days=90)
"""So much is made up for where all was not read for long."""


@dataclass(frozen=True)
class ArchivePriors:
    """Asks the archives for a patient's earlier mammograms, by the identifiers that her EHR gives."""

    archive: ImageArchive
    store: Store
    model: str
    now: Callable[[], datetime]

    def find(self, ehr: str, patient_id: str) -> int:
        """Queue the exams that are not on record; how many those were. Raises PacsError where it cannot look."""
        identifiers = self.store.patient_identifiers(ehr, patient_id)
        studies = self.archive.find_by_patient(identifiers) if identifiers else []
        exams = [_brought(ehr, patient_id, identifiers, study) for study in studies]
        return self.store.register(exams, self.model, self.now())


def _brought(ehr: str, patient_id: str, identifiers: Sequence[str], study: FoundStudy) -> NewExam:
    return NewExam(
        ehr=ehr,
        patient_id=patient_id,
        key=study.study_uid,
        study_uid=study.study_uid,
        accession_number=study.accession_number,
        performed_on=study.performed_on,
        dicomweb_root=study.root,
        patient_identifiers=tuple(identifiers),
        source=ExamSource.PACS,
    )


class PatientUnknown(MammoTrendError):
    """No EHR knows the patient of a study, or more than one patient could be meant."""


@dataclass(frozen=True)
class ArchivePoll:
    """Takes the studies of the last `days` days that an archive lists, once each has stood still for `stable`.

    After a time without polls, or with an archive that was silent, also those of as many days before that time.
    """

    archive: ImageArchive
    ehrs: Sequence[NightEhr]
    store: Store
    runs: RunRecords
    arrivals: ArrivalRecords
    model: str
    now: Callable[[], datetime]
    stable: timedelta
    days: int

    def __call__(self, found: Found) -> None:
        """Look at every study; one that fails is looked at again the next time, and so is a list that does."""
        now = self.now()
        last = self.runs.watermark(ARCHIVES)
        if last is None:
            # An archive that is silent from the first day on is made up for, too.
            self.runs.move_watermark(ARCHIVES, now)
        is_whole, reached = True, now
        for first, before in self._lists(now, last or now, found):
            if found.stop.is_set():
                return
            try:
                for day in self._look_at(self.archive.find_since(first, before), found):
                    seen_until = datetime.combine(day + self._window, time(), UTC)
                    if now.date() - seen_until.date() <= LONGEST_SILENCE:
                        reached = min(reached, seen_until)
            except (PacsError, UntrustedServer) as problem:
                is_whole = False
                if (said := f"the archives' new studies: {problem}") not in found.problems:  # one for all lists
                    found.problems.append(said)
        if is_whole and not found.stop.is_set():
            self.runs.move_watermark(ARCHIVES, reached)

    @property
    def _window(self) -> timedelta:
        return timedelta(days=self.days)

    def _lists(self, now: datetime, last: datetime, found: Found) -> Iterator[tuple[date, date | None]]:
        """The usual list; then what has left it since all was read, the youngest first, in lists of as many days."""
        today, before = now.date(), now.date() - self._window
        yield before, None
        # Only a clock that has since been put back wrote a moment to come: nobody knows what was read before.
        earliest = last.date() if last <= now else today - LONGEST_SILENCE
        if today - earliest > LONGEST_SILENCE:
            found.problems.append(
                f"the archives' new studies: all were last read on {earliest}; of those dated before "
                f"{today - LONGEST_SILENCE - self._window} only what an EHR lists is found"
            )
            earliest = today - LONGEST_SILENCE
        while before > earliest - self._window:
            first = max(before - self._window, earliest - self._window)
            yield first, before
            before = first

    def _look_at(self, studies: Iterable[FoundStudy], found: Found) -> Iterator[date]:
        """Act on those that came to rest; the days of those that are to be looked at again."""
        for study in studies:
            if found.stop.is_set():
                return
            still = self.arrivals.see(study.study_uid, study.instances or 0, self.now())
            if still is None:
                continue
            if still < self.stable or not self._act_on(study, still, found):
                yield study.performed_on or self.now().date()

    def _act_on(self, study: FoundStudy, still: timedelta, found: Found) -> bool:
        """Whether that came to an end; one that is nobody's is looked at for as long as a list is."""
        try:
            if not self.store.is_known(study.study_uid):
                self._take(study, found)
            uids = "\n".join(sorted(self.archive.image_uids(study.study_uid, study.root)))
        except Exception as fault:  # noqa: BLE001 # one study's unforeseen fault must not keep the poll from the others
            found.problems.append(f"a study of an archive: {not_looked_at(fault)}")
            return isinstance(fault, PatientUnknown) and still >= self._window
        # With the patient ID: where the archive corrects it, the images are another woman's.
        images = sha256("\n".join((uids, study.patient_id)).encode()).hexdigest()
        if self.arrivals.images(study.study_uid) not in (None, images):
            self.store.reopen_study(study.study_uid, self.now())
        self.arrivals.take(study.study_uid, images)
        return True

    def _take(self, study: FoundStudy, found: Found) -> None:
        """Register a study under the patient whom an EHR knows by the patient ID on it."""
        ehr, patient = self._owner(study.patient_id)
        with ehr.open() as client:
            reader = PatientReader(ehr, client, self.store, self.model, self.now)
            found.problems.extend(f"{ehr.name}: a patient: {said}" for said in reader.look_at(patient.id, found))
        exam = _brought(ehr.name, patient.id, patient.identifiers, study)
        found.exams += self.store.register([exam], self.model, self.now())

    def _owner(self, dicom_id: str) -> tuple[NightEhr, Patient]:
        """Every EHR is asked: two hospitals may number two women alike, and the study names neither hospital."""
        owners = [(ehr, patient) for ehr in self.ehrs if dicom_id and (patient := _known_as(dicom_id, ehr))]
        if len(owners) > 1:
            raise PatientUnknown(f"{len(owners)} EHRs have a patient with the patient ID on its images")
        if not owners:
            raise PatientUnknown(
                "no EHR knows a patient by the patient ID on its images; correct the archive or the EHR"
            )
        return owners[0]


def _known_as(dicom_id: str, ehr: NightEhr) -> Patient | None:
    """The one patient who has this identifier, by our own comparison: a server may have ignored the question."""
    with ehr.open() as client:
        bundle = client.search(f"Patient?identifier={quote(dicom_id, safe='')}")
    listing = bundle_resources(bundle, "Patient")
    if listing.problems:
        raise PatientUnknown(f"who has the patient ID on its images is not known: {listing.problems[0]}")
    patients = [read_patient(resource, str(resource.get("id"))) for resource in listing.resources]
    hers = [one for one in patients if dicom_id and dicom_id in one.identifiers and not one.replaced]
    if len(hers) > 1:
        raise PatientUnknown(f"{counted(len(hers), 'patient has', 'patients have')} the patient ID on its images")
    return hers[0] if hers else None
