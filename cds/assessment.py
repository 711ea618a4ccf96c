"""The one way from references of exams to what is known of them, for the hook, which cannot wait, and the night."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cds.store.outcomes import BELONGS_TO_ANOTHER, Outcome
from cds.store.store import NewExam, Store
from fhir_mappings.imaging_studies import ExamReference, ImagingHistory
from fhir_mappings.patients import Patient
from model.domain import Assessment, ModelVersion, PendingExam, RefusedExam, ScoredExam, Trajectory

POLL_S = 0.05
NO_STUDY_UID = "the EHR gives it no study UID or accession number, or several, so it cannot be found"

Join = Callable[[Iterable[ScoredExam]], Trajectory | None]
"""Scores to the line that they make, by the site's rules: `model.trajectory.trajectory` with its settings."""


@dataclass(frozen=True)
class Assessor:
    """Looks up what is stored, queues what is not, and waits for the worker no longer than it is allowed.

    `now` is the clock, `sleep` and `monotonic_s` are for waiting.
    """

    store: Store
    model: ModelVersion
    join: Join
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    monotonic_s: Callable[[], float] = time.monotonic

    def assess(self, ehr: str, patient: Patient, exams: ImagingHistory, *, wait_s: float, urgent: bool) -> Assessment:
        """All that is known of the patient's exams after at most `wait_s` seconds. Scores nothing itself."""
        found = {exam.key: exam for exam in exams.exams if exam.key}
        asked = [replace(exam, images=None, of_call=True) for exam in new_exams(ehr, patient, exams)]
        by_key = _standing(self.store.look_up(ehr, patient.id, asked, self.model.key, self.now(), urgent=urgent), exams)
        if wait_s > 0 and any(map(_is_under_way, by_key.values())):
            by_key = self._awaited(ehr, patient, exams, wait_s)
        # In the order of the references, so that the same exams read the same whatever the database's order.
        listed = [_dated(by_key.pop(key), exam) for key, exam in found.items()]
        lost = [
            PendingExam(None, exam.performed_on, NO_STUDY_UID, exam.resource) for exam in exams.exams if not exam.key
        ]
        return assessment([*listed, *by_key.values(), *lost], self.join)

    def _awaited(self, ehr: str, patient: Patient, exams: ImagingHistory, wait_s: float) -> dict[str, Outcome]:
        """Polls: a worker may be another process, and its commit is the only sign it gives."""
        keys, ends = [exam.key for exam in exams.exams if exam.key], self.monotonic_s() + wait_s
        while True:
            self.sleep(min(POLL_S, max(ends - self.monotonic_s(), 0)))
            outcomes = _standing(self.store.outcomes(ehr, patient.id, keys, self.model.key), exams)
            if self.monotonic_s() >= ends or not any(map(_is_under_way, outcomes.values())):
                return outcomes


def _standing(outcomes: Mapping[str, Outcome], exams: ImagingHistory) -> dict[str, Outcome]:
    """Without what an archive brought and the EHR lists as withdrawn."""
    return {key: outcome for key, outcome in outcomes.items() if key not in exams.withdrawn}


def new_exams(ehr: str, patient: Patient, exams: ImagingHistory) -> list[NewExam]:
    """A patient's exams as they are registered; those that nothing could be found by are left out."""
    return [_new_exam(ehr, patient, exam, exam.key) for exam in exams.exams if exam.key]


def _new_exam(ehr: str, patient: Patient, exam: ExamReference, key: str) -> NewExam:
    return NewExam(
        ehr=ehr,
        patient_id=patient.id,
        key=key,
        study_uid=exam.study_uid,
        accession_number=exam.accession_number,
        imaging_study=exam.resource,
        performed_on=exam.performed_on,
        dicomweb_root=exam.dicomweb_root,
        patient_identifiers=patient.identifiers,
        images=exam.images,
    )


def assessment(outcomes: Iterable[Outcome], join: Join) -> Assessment:
    """What the outcomes of a patient's exams come to; a study that is on record under two keys counts once."""
    told = list(_each_study_once(outcomes))
    return Assessment(
        trajectory=join([exam for exam in told if isinstance(exam, ScoredExam)]),
        refused=tuple(exam for exam in told if isinstance(exam, RefusedExam)),
        pending=tuple(exam for exam in told if isinstance(exam, PendingExam)),
    )


def _each_study_once(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    """Of one study that is on record twice what says most; that it is on record for somebody else says most of all."""
    by_study: dict[object, Outcome] = {}
    for number, outcome in enumerate(outcomes):
        key = outcome.study_uid or number
        if key not in by_study or _says(outcome) > _says(by_study[key]):
            by_study[key] = outcome
    return by_study.values()


def _says(outcome: Outcome) -> int:
    if isinstance(outcome, PendingExam):
        return 3 if outcome.problem == BELONGS_TO_ANOTHER else 0
    return 2 if isinstance(outcome, ScoredExam) else 1


def _is_under_way(outcome: Outcome) -> bool:
    """Queued without a problem: an exam that is held will not be ready in a second, so nobody waits for it."""
    return isinstance(outcome, PendingExam) and outcome.problem is None


def _dated(outcome: Outcome, exam: ExamReference) -> Outcome:
    """An outcome without a date of its own has the one that this patient's EHR gives."""
    if isinstance(outcome, ScoredExam) or outcome.performed_on is not None:
        return outcome
    return replace(outcome, performed_on=exam.performed_on, imaging_study=exam.resource)
