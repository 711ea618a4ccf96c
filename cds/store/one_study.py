"""One study under two keys: an accession number in the EHR, and the UID that an archive, or later the EHR, gives it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from cds.store.database import lock_before_reading
from cds.store.queueing import reopen
from cds.store.tables import Exam, ExamSource, Scoring, ScoringState
from fhir_mappings.imaging_studies import exam_key
from fhir_mappings.references import is_dicom_uid

if TYPE_CHECKING:
    from cds.store.registration import NewExam


def names(exam: Exam | NewExam) -> set[str]:
    """All keys under which an exam may be on record."""
    return {name for name in (exam.key, exam.study_uid, exam_key(None, exam.accession_number)) if name}


def is_same(one: Exam | NewExam, other: Exam | NewExam) -> bool:
    """Whether two exams are one study: of one accession number there may be several, each with a UID of its own."""
    differ = one.study_uid and other.study_uid and one.study_uid != other.study_uid
    return not differ and not names(one).isdisjoint(names(other))


def as_on_record(engine: Engine, unknown: Sequence[NewExam], now: datetime) -> dict[NewExam, NewExam]:
    """Those of these exams whose study is on record under another key, each with the one under which it is known now.

    What an archive brings goes with the EHR's exam. The EHR's own word gives an exam its key: of one that it had named
    by its accession number only, or that an archive brought.
    """
    found = {}
    for exam, row in _others(engine, unknown).items():
        if exam.source is ExamSource.PACS:
            found[exam] = replace(exam, key=row.key)
        else:
            _rename(engine, row, exam, now)
            found[exam] = exam
    return found


def _others(engine: Engine, unknown: Sequence[NewExam]) -> dict[NewExam, Exam]:
    ehrs, patients = {exam.ehr for exam in unknown}, {exam.patient_id for exam in unknown}
    known_as = {name for exam in unknown for name in names(exam)}
    in_ehr = col(Exam.ehr).in_(ehrs)
    # The EHR stands in each part: SQLite finds each by its index so.
    by_name = in_ehr & col(Exam.key).in_(known_as) | in_ehr & col(Exam.study_uid).in_(known_as)
    brought = in_ehr & col(Exam.patient_id).in_(patients) & (col(Exam.source) == ExamSource.PACS)
    with Session(engine, expire_on_commit=False) as session:
        rows = session.exec(select(Exam).where(by_name | brought).order_by(col(Exam.id))).all()
    return {exam: row for exam in unknown for row in reversed(rows) if _goes_with(row, exam)}


def _goes_with(row: Exam, exam: NewExam) -> bool:
    if row.ehr != exam.ehr or row.key == exam.key or not is_same(row, exam):
        return False
    if exam.source is ExamSource.PACS:
        return row.source == ExamSource.EHR
    is_unnamed = not is_dicom_uid(row.key) if exam.study_uid else row.source == ExamSource.PACS
    return row.patient_id == exam.patient_id and is_unnamed


def _rename(engine: Engine, row: Exam, exam: NewExam, now: datetime) -> None:
    """Somebody else may be at the same: then there is nothing to do any more."""
    still = select(Exam).where(Exam.id == row.id, Exam.key == row.key).with_for_update()
    with suppress(IntegrityError), Session(engine) as session:
        lock_before_reading(session)
        for kept in session.exec(still):
            if kept.study_uid is None:
                waiting = [ScoringState.QUEUED, ScoringState.REFUSED]
                reopen(session, col(Scoring.exam_id) == kept.id, waiting, now)
            kept.key, kept.study_uid = exam.key, exam.study_uid or kept.study_uid
        session.commit()
