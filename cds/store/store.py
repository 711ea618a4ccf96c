"""The questions that are asked of the store, each in one short transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Engine, update
from sqlmodel import Session, col, func, select

from cds.store import registration
from cds.store.database import insert_into
from cds.store.records import exclusion_rows, pending_exam, refused_exam, score_values, scored_exam
from cds.store.registration import SHORTEST_WAIT, NewExam, is_backing_off
from cds.store.tables import Exam, Score, Scoring, ScoringState
from model.domain import PendingExam, RefusedExam, ScoredExam

__all__ = ["BELONGS_TO_ANOTHER", "NewExam", "ScoringJob", "Store"]

FIRST_RETRY = SHORTEST_WAIT
LONGEST_RETRY = timedelta(hours=6)

BELONGS_TO_ANOTHER = (
    "the same study is on record for another patient of this EHR; "
    "the next nightly run clears it if the EHR moved the study"
)


@dataclass(frozen=True)
class ScoringJob:
    """One claimed errand: fetch this study, score it, report back before the lease ends."""

    scoring_id: int
    study_uid: str
    dicomweb_root: str | None
    performed_on: date | None
    attempts: int
    patient_identifiers: tuple[str, ...] = field(default=(), repr=False)


class Store:
    """Exams, scores and the scoring queue in one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, exams: Sequence[NewExam], model: str, now: datetime, *, urgent: bool = False) -> None:
        """Remember exams and queue those that `model` has not seen.

        Registering again changes nothing but urgency and what the EHR says better now: then a held or refused exam
        is tried again at once. An urgent one that waits for its next attempt is tried at once too, at most once a
        minute. A study on record for another patient stays as it is, unless the new exam may move it.
        """
        registration.register(self._engine, exams, model, now, urgent=urgent)

    def outcomes(
        self, ehr: str, patient_id: str, study_uids: Sequence[str], model: str
    ) -> list[ScoredExam | RefusedExam | PendingExam]:
        """What is known of these studies, for this patient only; one on record for another patient is held."""
        query = (
            select(Exam, Scoring, Score)
            .join(Scoring, (col(Scoring.exam_id) == Exam.id) & (col(Scoring.model) == model), isouter=True)
            .join(Score, (col(Score.study_uid) == Exam.study_uid) & (col(Score.model) == model), isouter=True)
            .where(Exam.ehr == ehr, col(Exam.study_uid).in_(study_uids))
        )
        with Session(self._engine) as session:
            rows = session.exec(query).all()
            return [_outcome(exam, scoring, score, patient_id) for exam, scoring, score in rows]

    def claim(self, model: str, now: datetime, lease: timedelta, due_by: datetime | None = None) -> ScoringJob | None:
        """Take the next due exam: urgent ones first, then in the order they were queued. None when nothing is due.

        The claim counts as an attempt and is due again after `lease`, so an exam whose worker died is not lost.
        With `due_by` only what was due by then is taken.
        """
        latest = now if due_by is None else min(now, due_by)
        due = (
            select(Scoring.id)
            .where(Scoring.model == model, Scoring.state == ScoringState.QUEUED, col(Scoring.due_at) <= latest)
            .order_by(col(Scoring.urgent).desc(), col(Scoring.due_at), col(Scoring.id))
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(Scoring)
            .where(col(Scoring.id) == due.scalar_subquery())
            .values(due_at=now + lease, attempts=col(Scoring.attempts) + 1, finished_at=None)
            .returning(col(Scoring.id))
        )
        with Session(self._engine) as session:
            scoring_id = session.execute(claim).scalar_one_or_none()
            session.commit()
            return self._job(session, scoring_id) if scoring_id is not None else None

    def _job(self, session: Session, scoring_id: int) -> ScoringJob:
        query = select(Exam, Scoring).join(Scoring, col(Scoring.exam_id) == Exam.id).where(Scoring.id == scoring_id)
        exam, scoring = session.exec(query).one()
        return ScoringJob(
            scoring_id,
            exam.study_uid,
            exam.dicomweb_root,
            exam.performed_on,
            scoring.attempts,
            tuple(exam.patient_identifiers),
        )

    def save_score(self, job: ScoringJob, exam: ScoredExam) -> None:
        """Keep a score and close its errand, in one transaction. A score that is there already stays as it is."""
        with Session(self._engine) as session:
            # Two EHRs may know the study, and two workers score it at the same moment: the first one's is kept.
            session.execute(insert_into(session, Score).values(score_values(exam)).on_conflict_do_nothing())
            _change(session, _still_held(job), state=ScoringState.SCORED, problem=None, finished_at=exam.scored_at)

    def save_refusal(self, job: ScoringJob, exam: RefusedExam, now: datetime) -> None:
        """Keep why an exam cannot be scored."""
        values = {"state": ScoringState.REFUSED, "problem": None, "finished_at": now}
        with Session(self._engine) as session:
            _change(session, _still_held(job), **values, exclusions=exclusion_rows(exam))

    def save_failure(self, job: ScoringJob, problem: str, now: datetime) -> None:
        """Leave the exam queued with the reason, to be tried again after a wait that doubles up to six hours."""
        wait = min(FIRST_RETRY * 2 ** min(job.attempts - 1, 20), LONGEST_RETRY)
        with Session(self._engine) as session:
            _change(session, _still_held(job), problem=problem, finished_at=now, due_at=now + wait)

    def make_due(self, model: str, now: datetime) -> None:
        """Have every exam whose last attempt failed tried again now. One that a worker has is left to it."""
        with Session(self._engine) as session:
            _change(session, (col(Scoring.model) == model) & is_backing_off(now), due_at=now)

    def queued(self, model: str) -> dict[str | None, int]:
        """How many exams wait, by the problem of their last attempt; None for those without one."""
        query = (
            select(Scoring.problem, func.count())
            .where(Scoring.model == model, Scoring.state == ScoringState.QUEUED)
            .group_by(col(Scoring.problem))
        )
        with Session(self._engine) as session:
            return dict(session.exec(query).all())

    def count(self, model: str, state: ScoringState) -> int:
        """How many exams of this model are in this state."""
        with Session(self._engine) as session:
            query = select(func.count()).select_from(Scoring).where(Scoring.model == model, Scoring.state == state)
            return session.exec(query).one()


def _outcome(
    exam: Exam, scoring: Scoring | None, score: Score | None, patient_id: str
) -> ScoredExam | RefusedExam | PendingExam:
    if exam.patient_id != patient_id:
        return PendingExam(exam.study_uid, None, BELONGS_TO_ANOTHER)  # nothing else of the other patient's exam
    if scoring is None:
        return PendingExam(exam.study_uid, exam.performed_on, None, exam.imaging_study)
    # Only an errand that is closed shows its score: another EHR's says nothing about this EHR's patient.
    if scoring.state == ScoringState.SCORED and score is not None:
        return scored_exam(score, exam)
    return refused_exam(scoring, exam) if scoring.state == ScoringState.REFUSED else pending_exam(scoring, exam)


def _still_held(job: ScoringJob) -> ColumnElement[bool]:
    """The job's errand, unless its lease ended and another worker has it, or the EHR has corrected the exam since."""
    claim = (col(Scoring.id) == job.scoring_id) & (col(Scoring.attempts) == job.attempts)
    return claim & (col(Scoring.state) == ScoringState.QUEUED)


def _change(session: Session, which: ColumnElement[bool], **values: object) -> None:
    session.execute(update(Scoring).where(which).values(values))
    session.commit()
