"""Exams and the scoring queue: the questions that are asked of them, each in one short transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Engine, and_, case, literal, update
from sqlmodel import Session, col, func, select

from cds.store import outcomes, queueing, registration, stage_times
from cds.store.assessments import IMAGES_OF_ANOTHER, take_back
from cds.store.audit import AccessEvent, Action, note
from cds.store.database import insert_into
from cds.store.known_exams import KnownExam, by_key
from cds.store.outcomes import BELONGS_TO_ANOTHER, Outcome
from cds.store.queueing import MOST_LOST, in_order, is_waiting
from cds.store.records import exclusion_rows, images_digest, score_values
from cds.store.registration import NewExam
from cds.store.stage_times import Spent
from cds.store.tables import Exam, ExamSource, Priority, Score, Scoring, ScoringState, Stage
from cds.store.waiting import longest_due, wait_after
from model.domain import ExclusionReason, RefusedExam, ScoredExam

__all__ = ["BELONGS_TO_ANOTHER", "EVERYTHING", "NewExam", "Outcome", "ScoringJob", "Selection", "Store"]


@dataclass(frozen=True)
class Selection:
    """Which exams a run is about: of one patient, performed on or after a day, or all of them."""

    patient_id: str | None = field(default=None, repr=False)
    since: date | None = None

    def exams(self) -> ColumnElement[bool]:
        """The condition on the table of exams."""
        hers = col(Exam.patient_id) == self.patient_id if self.patient_id is not None else literal(True)
        # An exam without a date may be one of these.
        late = (
            (col(Exam.performed_on) >= self.since) | col(Exam.performed_on).is_(None) if self.since else literal(True)
        )
        return hers & late & col(Exam.listed)


EVERYTHING = Selection()


@dataclass(frozen=True)
class ScoringJob:
    """One claimed errand: find this study, fetch it, score it, report back before the lease ends.

    `study_uid` is None where an archive must first be asked by the accession number. `lost` is how many workers, one
    after the other, ended without a word while they had it.
    """

    scoring_id: int
    ehr: str
    patient_id: str = field(repr=False)
    study_uid: str | None
    accession_number: str | None = field(repr=False)
    dicomweb_root: str | None
    performed_on: date | None
    attempts: int
    patient_identifiers: tuple[str, ...] = field(default=(), repr=False)
    lost: int = 0


class Store:
    """Exams, scores and the scoring queue in one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def register(self, exams: Sequence[NewExam], model: str, now: datetime, *, urgent: bool = False) -> int:
        """Remember exams and queue those that `model` has not seen; how many were not known before.

        Registering again changes nothing but urgency and what the EHR says better now: then a held or refused exam
        is tried again at once, and one whose images changed is scored again. An urgent one that waits for its next
        attempt is tried at once too, at most once a minute. What the patient has in the backlog comes forward with
        what is new of her. A study that the EHR lists under another patient stays as it is.
        """
        return registration.register(self._engine, exams, model, now, urgent=urgent)

    def unlist(
        self, ehr: str, patient_id: str, listed: Collection[str] | None, now: datetime, gone: Collection[str] = ()
    ) -> int:
        """Note which of a patient's exams her EHR no longer lists, retracting what was concluded; how many.

        What an archive brought goes only if it is `gone`: listed as withdrawn, or under another patient. So does
        everything where it is not known what is `listed`.
        """
        return registration.unlist(self._engine, ehr, patient_id, listed, now, gone)

    def withdraw(self, ehr: str, patient_id: str, keys: Collection[str], now: datetime) -> None:
        """Note studies that a patient's EHR lists only as withdrawn: no archive brings them."""
        registration.withdraw(self._engine, ehr, patient_id, keys, now)

    def identify(self, ehr: str, patient_id: str, identifiers: Collection[str], now: datetime) -> None:
        """Have what archives brought of a patient compared with the identifiers that her EHR gives her now."""
        registration.identify(self._engine, ehr, patient_id, identifiers, now)

    def reopen_study(self, study_uid: str, now: datetime) -> int:
        """Queue a study again whose images in the archive have changed; how many errands that are."""
        return registration.reopen_study(self._engine, study_uid, now)

    def queue_known(self, model: str, selection: Selection, now: datetime) -> int:
        """Queue every known exam of the selection for a model that has not seen it, as backlog; how many those were."""
        return queueing.queue_known(self._engine, selection.exams(), model, now)

    def queue_refused(self, model: str, reason: ExclusionReason, selection: Selection, now: datetime) -> int:
        """Queue every exam of the selection again that a model refused for this reason, as backlog; how many."""
        return queueing.queue_refused(self._engine, selection.exams(), model, reason, now)

    def other_owners(self, ehr: str, patient_id: str, keys: Collection[str]) -> set[str]:
        """The other patients of this EHR under whom it listed any of these exams when it was last read."""
        query = select(Exam.patient_id).where(
            Exam.ehr == ehr, col(Exam.key).in_(keys), Exam.patient_id != patient_id, col(Exam.listed)
        )
        with Session(self._engine) as session:
            return set(session.exec(query).all())

    def patient_identifiers(self, ehr: str, patient_id: str) -> tuple[str, ...]:
        """The identifiers under which archives may know a patient, as her EHR gave them."""
        query = select(Exam.source, Exam.patient_identifiers).where(
            Exam.ehr == ehr, Exam.patient_id == patient_id, col(Exam.listed)
        )
        with Session(self._engine) as session:
            given = session.exec(query).all()
        # What an archive brought has those of that day; only the EHR's own exams take over what it corrects.
        of_ehr = [identifiers for source, identifiers in given if source == ExamSource.EHR]
        return tuple(sorted({one for each in of_ehr or [each for _, each in given] for one in each}))

    def scored(self, ehr: str, patient_id: str, study_uid: str, model: str) -> ScoredExam | None:
        """The score of one of a patient's studies; None where it is not scored, or not hers."""
        hers = self.exams_of(ehr, patient_id, model)
        return next((one for one in hers if isinstance(one, ScoredExam) and one.study_uid == study_uid), None)

    def exams_of(self, ehr: str, patient_id: str, model: str) -> list[Outcome]:
        """Everything that is on record of a patient's exams."""
        with self._engine.connect() as connection:
            rows = outcomes.of_patient(connection, ehr, patient_id, model)
        return [outcomes.outcome(row, patient_id) for row in rows]

    def scores_of_other_models(self, ehr: str, patient_id: str, model: str) -> list[ScoredExam]:
        """The scores that other models gave a patient's exams, as far as they stand."""
        with self._engine.connect() as connection:
            rows = outcomes.of_other_models(connection, ehr, patient_id, model)
        told = (outcomes.outcome(row, patient_id) for row in rows)
        return [one for one in told if isinstance(one, ScoredExam)]

    def is_known(self, study_uid: str) -> bool:
        """Whether a study is on record for any patient."""
        with Session(self._engine) as session:
            return session.exec(select(Exam.id).where(Exam.study_uid == study_uid).limit(1)).first() is not None

    def outcomes(self, ehr: str, patient_id: str, keys: Collection[str], model: str) -> dict[str, Outcome]:
        """What is known of these exams, by their keys, and of what an archive brought, for this patient only.

        One on record for another patient is held.
        """
        return _told(self._asked_for(ehr, patient_id, keys, model), patient_id)

    def look_up(
        self, ehr: str, patient_id: str, exams: Sequence[NewExam], model: str, now: datetime, *, urgent: bool
    ) -> dict[str, Outcome]:
        """The `outcomes` of a patient's exams, registered before where that changes anything.

        The usual call finds everything there: then this is one question to the database.
        """
        keys = [exam.key for exam in exams]
        rows = self._asked_for(ehr, patient_id, keys, model)
        known = by_key(rows)
        if not any(registration.is_news(exam, known, now, urgent) for exam in exams):
            return _told(rows, patient_id)
        self.register(exams, model, now, urgent=urgent)
        return self.outcomes(ehr, patient_id, keys, model)

    def _asked_for(self, ehr: str, patient_id: str, keys: Collection[str], model: str) -> list[KnownExam]:
        with self._engine.connect() as connection:
            return outcomes.asked_for(connection, ehr, patient_id, keys, model)

    def claim(
        self,
        model: str,
        now: datetime,
        lease: timedelta,
        due_by: datetime | None = None,
        selection: Selection = EVERYTHING,
    ) -> ScoringJob | None:
        """Take the next due exam: by priority, then in the order they were queued. None when nothing is due.

        The claim counts as an attempt and is due again after `lease`, so an exam whose worker died is not lost.
        With `due_by` only what was due by then is taken, and of a selection only its exams.
        """
        latest = now if due_by is None else min(now, due_by)
        waits = and_(col(Scoring.model) == model, col(Scoring.state) == ScoringState.QUEUED, *_of(selection))
        due = [
            question
            for priority in Priority
            for question in longest_due(
                select(Scoring.id).where(waits, Scoring.priority == priority), Scoring, latest, now
            )
        ]
        # A claim that is still there is of a worker that has ended without a word. At an exam that was held because
        # of too many, one more is enough.
        is_lost, was_held = col(Scoring.claimed_until).is_not(None), col(Scoring.lost) >= MOST_LOST
        lost = case((is_lost, col(Scoring.lost) + 1), (was_held, MOST_LOST - 1), else_=0)
        claim = (
            update(Scoring)
            .where(col(Scoring.id) == func.coalesce(*due))
            .values(due_at=now + lease, claimed_until=now + lease, attempts=col(Scoring.attempts) + 1, lost=lost)
            .returning(col(Scoring.id))
        )
        with Session(self._engine) as session:
            scoring_id = session.execute(claim).scalar_one_or_none()
            session.commit()
            return _job(session, scoring_id) if scoring_id is not None else None

    def renew(self, jobs: Sequence[ScoringJob], now: datetime, lease: timedelta) -> None:
        """Keep claimed exams for another `lease`: their worker is alive and still at them."""
        for job in jobs:
            # Each by itself: a hook that asks for two of them has another order, and they would wait for each other.
            with Session(self._engine) as session:
                _change(session, _still_held(job), due_at=now + lease, claimed_until=now + lease)

    def resolve(self, job: ScoringJob, study_uid: str, root: str | None) -> None:
        """Note which study an exam without a study UID is, as an archive told by its accession number."""
        exam = select(Scoring.exam_id).where(_still_held(job)).scalar_subquery()
        with Session(self._engine) as session:
            session.execute(update(Exam).where(col(Exam.id) == exam).values(study_uid=study_uid, dicomweb_root=root))
            session.commit()

    def save_score(self, job: ScoringJob, exam: ScoredExam) -> None:
        """Keep a score and close its errand, in one transaction. A score of the same images stays as it is."""
        with Session(self._engine) as session:
            # Two EHRs may know the study, and two workers score it at the same moment: the first one's is kept.
            session.execute(insert_into(session, Score).values(score_values(exam)).on_conflict_do_nothing())
            kept = select(Score.id).where(
                Score.study_uid == exam.study_uid,
                Score.model == exam.score.model.key,
                Score.images_digest == images_digest(exam),
            )
            score_id = session.exec(kept).one()
            _close(session, job, Action.SCORED, exam.scored_at, state=ScoringState.SCORED, score_id=score_id)

    def save_refusal(self, job: ScoringJob, exam: RefusedExam, now: datetime) -> None:
        """Keep why an exam cannot be scored."""
        with Session(self._engine) as session:
            _close(session, job, Action.REFUSED, now, state=ScoringState.REFUSED, exclusions=exclusion_rows(exam))

    def save_failure(self, job: ScoringJob, problem: str, now: datetime) -> None:
        """Leave the exam queued with the reason, to be tried again after a wait that doubles up to six hours.

        What was concluded of it stands meanwhile, unless its images are another patient's.
        """
        due_at = now + wait_after(job.attempts)
        with Session(self._engine) as session:
            if problem == IMAGES_OF_ANOTHER:
                take_back(session, job.ehr, job.patient_id, _still_held(job), now)
            ended = {"problem": problem, "finished_at": now, "claimed_until": None, "due_at": due_at}
            _change(session, _still_held(job), **ended)

    def add_times(self, model: str, now: datetime, spent: Mapping[Stage, Spent]) -> None:
        """Add to how long the stages of scoring took on this day."""
        stage_times.add_times(self._engine, model, now, spent)

    def make_due(self, model: str, now: datetime, selection: Selection = EVERYTHING) -> None:
        """Have every exam tried now whose next attempt is still to come. One that a worker has is left to it."""
        which = and_(col(Scoring.model) == model, is_waiting(now), *_of(selection))
        with Session(self._engine) as session:
            _change(session, in_order(which), due_at=now)

    def queued(self, model: str, selection: Selection = EVERYTHING) -> dict[str | None, int]:
        """How many exams wait, by the problem of their last attempt; None for those without one."""
        query = (
            select(Scoring.problem, func.count())
            .where(Scoring.model == model, Scoring.state == ScoringState.QUEUED, *_of(selection))
            .group_by(col(Scoring.problem))
        )
        with Session(self._engine) as session:
            return dict(session.exec(query).all())

    def untried(self, model: str, since: datetime, selection: Selection = EVERYTHING, *, backlog: bool = False) -> int:
        """How many exams are queued of which no attempt has ended since a moment, whoever is at them.

        Those of the backlog are only counted if asked for: a model that is new may need weeks for them.
        """
        query = select(func.count()).where(
            Scoring.model == model,
            Scoring.state == ScoringState.QUEUED,
            col(Scoring.priority) <= (Priority.BACKLOG if backlog else Priority.NEW),
            col(Scoring.finished_at).is_(None) | (col(Scoring.finished_at) < since),
            *_of(selection),
        )
        with Session(self._engine) as session:
            return session.exec(query).one()

    def count(self, model: str, state: ScoringState) -> int:
        """How many exams of this model are in this state."""
        with Session(self._engine) as session:
            query = select(func.count()).select_from(Scoring).where(Scoring.model == model, Scoring.state == state)
            return session.exec(query).one()


def _of(selection: Selection) -> tuple[ColumnElement[bool], ...]:
    """The condition on errands of a selection; none for everything, which would only read every exam for it."""
    if selection == EVERYTHING:
        return ()
    return (col(Scoring.exam_id).in_(select(Exam.id).where(selection.exams())),)


def _job(session: Session, scoring_id: int) -> ScoringJob:
    query = select(Exam, Scoring).join(Scoring, col(Scoring.exam_id) == Exam.id).where(Scoring.id == scoring_id)
    exam, scoring = session.exec(query).one()
    return ScoringJob(
        scoring_id,
        exam.ehr,
        exam.patient_id,
        exam.study_uid,
        exam.accession_number,
        exam.dicomweb_root,
        exam.performed_on,
        scoring.attempts,
        tuple(exam.patient_identifiers),
        scoring.lost,
    )


def _still_held(job: ScoringJob) -> ColumnElement[bool]:
    """The job's errand, unless its lease ended and another worker has it, or the EHR has corrected the exam since."""
    claim = (col(Scoring.id) == job.scoring_id) & (col(Scoring.attempts) == job.attempts)
    return claim & (col(Scoring.state) == ScoringState.QUEUED)


def _told(rows: Sequence[KnownExam], patient_id: str) -> dict[str, Outcome]:
    return {row.exam.key: outcomes.outcome(row, patient_id) for row in rows}


def _close(session: Session, job: ScoringJob, action: Action, now: datetime, **values: object) -> None:
    """End an errand, and have the patient's assessment take it into account."""
    closed = session.execute(
        update(Scoring)
        .where(_still_held(job))
        .values(problem=None, finished_at=now, claimed_until=None, assessed_at=None, **values)
    )
    if closed.rowcount:  # type: ignore[attr-defined] # an UPDATE's result is a CursorResult
        note(session, AccessEvent(action, now, job.ehr, job.patient_id, job.study_uid))
    session.commit()


def _change(session: Session, which: ColumnElement[bool], **values: object) -> None:
    session.execute(update(Scoring).where(which).values(values))
    session.commit()
