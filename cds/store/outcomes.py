"""What is known of a patient's exams, read from the store and from nothing else."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement
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


def asked_for(session: Session, ehr: str, patient_id: str, keys: Collection[str], model: str) -> dict[str, Outcome]:
    """The outcomes of the exams with these keys, and of the patient's further ones that an archive brought, by key."""
    # The EHR stands in both halves: SQLite finds each half by its index so, and else reads every exam of the EHR.
    named = (col(Exam.ehr) == ehr) & col(Exam.key).in_(keys)
    hers = (col(Exam.ehr) == ehr) & (col(Exam.patient_id) == patient_id)
    brought = hers & (col(Exam.source) == ExamSource.PACS) & col(Exam.listed)
    rows = _rows(session, model, named | brought)
    return {row[0].key: outcome(row, patient_id) for row in rows}


def of_patient(session: Session, ehr: str, patient_id: str, model: str) -> list[Row]:
    """Everything that is on record for the patient, locked where the database can until the transaction ends."""
    hers = (col(Exam.ehr) == ehr) & (col(Exam.patient_id) == patient_id) & col(Exam.listed)
    return _rows(session, model, hers, lock=True)


def _rows(session: Session, model: str, which: ColumnElement[bool], *, lock: bool = False) -> list[Row]:
    query = (
        select(Exam, Scoring, Score)
        .join(Scoring, (col(Scoring.exam_id) == Exam.id) & (col(Scoring.model) == model), isouter=True)
        .join(Score, col(Score.id) == Scoring.score_id, isouter=True)
        .where(which)
        .order_by(col(Exam.id))
    )
    rows = session.exec(query.with_for_update(of=Exam, key_share=True) if lock else query).all()
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
