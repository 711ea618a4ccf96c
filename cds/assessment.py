"""The one way from references of exams to what is known of them, for the hook, which cannot wait, and the night."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cds.store.store import NewExam, Store
from fhir_mappings.imaging_studies import ExamReference, ImagingHistory
from fhir_mappings.patients import Patient
from model.domain import Assessment, ModelVersion, PendingExam, RefusedExam, ScoredExam
from model.trajectory import trajectory

POLL_S = 0.05
NO_STUDY_UID = "the EHR gives no DICOM study UID for it, so its images cannot be found"

Outcome = ScoredExam | RefusedExam | PendingExam


@dataclass(frozen=True)
class Assessor:
    """Looks up what is stored, queues what is not, and waits for the worker no longer than it is allowed.

    `is_over` says whether a five-year risk (a fraction) is over the site's threshold; `now` is the clock, `sleep` and
    `monotonic_s` are for waiting.
    """

    store: Store
    model: ModelVersion
    is_over: Callable[[float], bool]
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    monotonic_s: Callable[[], float] = time.monotonic

    def assess(
        self,
        ehr: str,
        patient: Patient,
        exams: ImagingHistory,
        *,
        wait_s: float,
        urgent: bool,
        hers_alone: Collection[str] = (),
    ) -> Assessment:
        """All that is known of the patient's exams after at most `wait_s` seconds. Scores nothing itself.

        `hers_alone` are the study UIDs that the EHR, read by ourselves just now, files under this patient and no
        other: those on record for another patient are moved to her. What came with a call moves nothing.
        """
        found = {exam.study_uid: exam for exam in exams.exams if exam.study_uid}
        new = [_new_exam(ehr, patient, exam, study_uid, study_uid in hers_alone) for study_uid, exam in found.items()]
        self.store.register(new, self.model.key, self.now(), urgent=urgent)
        by_study = {outcome.study_uid: outcome for outcome in self._outcomes(ehr, patient, list(found), wait_s)}
        # In the order of the references, so that the same exams read the same whatever the database's order.
        outcomes = [_dated(by_study[study_uid], exam) for study_uid, exam in found.items()]
        lost = [
            PendingExam(None, exam.performed_on, NO_STUDY_UID, exam.resource)
            for exam in exams.exams
            if not exam.study_uid
        ]
        return self._assessment([*outcomes, *lost])

    def make_due(self, now: datetime) -> None:
        """Have every exam whose last attempt failed tried again now."""
        self.store.make_due(self.model.key, now)

    def queued(self) -> dict[str | None, int]:
        """How many exams wait, by the problem of their last attempt; None for those without one."""
        return self.store.queued(self.model.key)

    def _outcomes(self, ehr: str, patient: Patient, study_uids: Sequence[str], wait_s: float) -> list[Outcome]:
        """Polls: a worker may be another process, and its commit is the only sign it gives."""
        ends = self.monotonic_s() + wait_s
        while True:
            outcomes = self.store.outcomes(ehr, patient.id, study_uids, self.model.key) if study_uids else []
            left = ends - self.monotonic_s()
            if left <= 0 or not any(_is_under_way(outcome) for outcome in outcomes):
                return outcomes
            self.sleep(min(POLL_S, left))

    def _assessment(self, outcomes: Sequence[Outcome]) -> Assessment:
        return Assessment(
            trajectory=trajectory([exam for exam in outcomes if isinstance(exam, ScoredExam)], self.is_over),
            refused=tuple(exam for exam in outcomes if isinstance(exam, RefusedExam)),
            pending=tuple(exam for exam in outcomes if isinstance(exam, PendingExam)),
        )


def _is_under_way(outcome: Outcome) -> bool:
    """Queued without a problem: an exam that is held will not be ready in a second, so nobody waits for it."""
    return isinstance(outcome, PendingExam) and outcome.problem is None


def _dated(outcome: Outcome, exam: ExamReference) -> Outcome:
    """An outcome without a date of its own has the one that this patient's EHR gives."""
    if isinstance(outcome, ScoredExam) or outcome.performed_on is not None:
        return outcome
    return replace(outcome, performed_on=exam.performed_on, imaging_study=exam.resource)


def _new_exam(ehr: str, patient: Patient, exam: ExamReference, study_uid: str, may_move: bool) -> NewExam:
    return NewExam(
        ehr=ehr,
        patient_id=patient.id,
        study_uid=study_uid,
        accession_number=exam.accession_number,
        imaging_study=exam.resource,
        performed_on=exam.performed_on,
        dicomweb_root=exam.dicomweb_root,
        patient_identifiers=patient.identifiers,
        may_move=may_move,
    )
