"""What is known of a patient's exams, read from the store and from nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlmodel import Session, col, select

from cds.store.records import pending_exam, refused_exam, scored_exam
from cds.store.tables import Exam, ExamSource, Score, Scoring, ScoringState
from model.domain import PendingExam, RefusedExam, ScoredExam

Outcome = ScoredExam | RefusedExam | PendingExam
Row = tuple[Exam, Scoring | None, Score | None]

BELONGS_TO_ANOTHER = (
    "the same study is on record for another patient of this EHR; "
    "the next nightly run clears it if the EHR moved the study"
)


def _exams(which: ColumnElement[bool]) -> Any:  # sqlmodel's types know no row that an outer join leaves out
    return (
        select(Exam, Scoring, Score)
        .join(Scoring, (col(Scoring.exam_id) == Exam.id) & (col(Scoring.model) == bindparam("model")), isouter=True)
        .join(Score, col(Score.id) == Scoring.score_id, isouter=True)
        .where(which)
        .order_by(col(Exam.id))
    )


# Made once: to put a statement together takes longer than to run it, and a hook waits.
_IN_EHR = col(Exam.ehr) == bindparam("ehr")
_HERS = _IN_EHR & (col(Exam.patient_id) == bindparam("patient_id")) & col(Exam.listed)
# The EHR stands in both halves: SQLite finds each half by its index so, and else reads every exam of the EHR.
_ASKED_FOR = _exams(
    _IN_EHR & col(Exam.key).in_(bindparam("keys", expanding=True)) | _HERS & (col(Exam.source) == ExamSource.PACS)
)
_OF_PATIENT = _exams(_HERS).with_for_update(of=Exam, key_share=True)


def asked_for(session: Session, ehr: str, patient_id: str, keys: Collection[str], model: str) -> list[Row]:
    """The exams with these keys, whoever's they are, and the patient's further ones that an archive brought."""
    wanted = {"ehr": ehr, "patient_id": patient_id, "keys": list(keys), "model": model}
    return _by_key(session.exec(_ASKED_FOR, params=wanted))


def of_patient(session: Session, ehr: str, patient_id: str, model: str) -> list[Row]:
    """Everything that is on record for the patient, locked where the database can until the transaction ends."""
    wanted = {"ehr": ehr, "patient_id": patient_id, "model": model}
    return _by_key(session.exec(_OF_PATIENT, params=wanted))


def _by_key(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row[0].key)


def outcome(row: Row, patient_id: str) -> Outcome:
    """One exam as this patient may see it; of another patient's exam nothing but that it is one."""
    exam, scoring, score = row
    if exam.patient_id != patient_id or not exam.listed:
        return PendingExam(exam.study_uid, None, BELONGS_TO_ANOTHER)
    if scoring is None:
        return PendingExam(exam.study_uid, exam.performed_on, None, exam.imaging_study)
    # Only an errand that is closed shows its score: another EHR's says nothing about this EHR's patient.
    if scoring.state == ScoringState.SCORED and score is not None:
        return scored_exam(score, exam)
    return refused_exam(scoring, exam) if scoring.state == ScoringState.REFUSED else pending_exam(scoring, exam)
