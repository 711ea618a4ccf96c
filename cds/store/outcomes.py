"""What is known of a patient's exams, read from the store and from nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import Connection, bindparam
from sqlmodel import col

from cds.store.known_exams import NOT_OF_MODEL, KnownExam, StoredExam, StoredScore, query, read
from cds.store.records import pending_exam, refused_exam, scored_exam
from cds.store.tables import Exam, ExamSource, Scoring, ScoringState
from model.domain import PendingExam, RefusedExam, ScoredExam

log = logging.getLogger(__name__)

Outcome = ScoredExam | RefusedExam | PendingExam

BELONGS_TO_ANOTHER = (
    "the same study is on record for another patient of this EHR; "
    "the next nightly run clears it if the EHR moved the study"
)
DAMAGED_SCORE = "its stored score is damaged and is not used"

_IN_EHR = col(Exam.ehr) == bindparam("ehr")
_HERS = _IN_EHR & (col(Exam.patient_id) == bindparam("patient_id")) & col(Exam.listed)
# The EHR stands in both halves: SQLite finds each half by its index so, and else reads every exam of the EHR.
_ASKED_FOR = query(
    _IN_EHR & col(Exam.key).in_(bindparam("keys", expanding=True)) | _HERS & (col(Exam.source) == ExamSource.PACS)
)
_OF_PATIENT = query(_HERS).with_for_update(of=Exam, key_share=True)
_OF_OTHER_MODELS = query(_HERS & (col(Scoring.state) == ScoringState.SCORED), NOT_OF_MODEL)


def asked_for(connection: Connection, ehr: str, patient_id: str, keys: Collection[str], model: str) -> list[KnownExam]:
    """The exams with these keys, whoever's they are, and the patient's further ones that an archive brought."""
    return read(connection, _ASKED_FOR, ehr=ehr, patient_id=patient_id, keys=list(keys), model=model)


def of_patient(connection: Connection, ehr: str, patient_id: str, model: str) -> list[KnownExam]:
    """Everything that is on record for the patient, locked where the database can until the transaction ends."""
    return read(connection, _OF_PATIENT, ehr=ehr, patient_id=patient_id, model=model)


def of_other_models(connection: Connection, ehr: str, patient_id: str, model: str) -> list[KnownExam]:
    """The patient's exams that other models have scored, each once for every one of those models.

    Not where the images were replaced or the study was moved since: its errands are then queued again, for all models.
    """
    return read(connection, _OF_OTHER_MODELS, ehr=ehr, patient_id=patient_id, model=model)


def outcome(known: KnownExam, patient_id: str) -> Outcome:
    """One exam as this patient may see it; of another patient's exam nothing but that it is one."""
    exam, errand, score = known
    if exam.patient_id != patient_id or not exam.listed:
        return PendingExam(exam.study_uid, None, BELONGS_TO_ANOTHER)
    if errand is None:
        return PendingExam(exam.study_uid, exam.performed_on, None, exam.imaging_study)
    # Only an errand that is closed shows its score: another EHR's says nothing about this EHR's patient.
    if errand.state == ScoringState.SCORED and score is not None:
        return _as_stored(score, exam)
    return refused_exam(errand, exam) if errand.state == ScoringState.REFUSED else pending_exam(errand, exam)


def _as_stored(score: StoredScore, exam: StoredExam) -> Outcome:
    """A score, or that what is stored is none: only a damaged or altered database has that, of one exam or of many."""
    try:
        return scored_exam(score, exam)
    except (KeyError, TypeError, ValueError) as fault:
        log.error("a stored score is damaged, its exam is held: %s", type(fault).__name__)
        return PendingExam(exam.study_uid, exam.performed_on, DAMAGED_SCORE, exam.imaging_study)
