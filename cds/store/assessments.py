"""What was concluded of each patient, in revisions, with its deliveries queued in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from cds.store import outcomes
from cds.store.audit import AccessEvent, Action, note
from cds.store.database import lock_before_reading
from cds.store.known_exams import StoredErrand
from cds.store.outcomes import Outcome
from cds.store.queueing import assess_again, in_order
from cds.store.tables import Assessment, Destination, Exam, Outbox, OutboxState, Scoring, ScoringState
from fhir_mappings.risk_assessments import retracted
from model.domain import RefusedExam, ScoredExam

RETRACTED = "entered-in-error"
AT_A_TIME = 1000
IMAGES_OF_ANOTHER = (
    "its images carry a patient ID that the EHR does not list for this patient; correct the PACS or the EHR, "
    "or set imaging.check_patient_id = false where the two number their patients differently"
)
"""Why an exam is held whose assessment does not stand meanwhile."""


@dataclass(frozen=True)
class Conclusion:
    """One patient's newest score and how it moved; risks and changes are fractions, `resource` is its RiskAssessment.

    `newly_over` says that her index exam is the first over the threshold, `rising` that the score rose measurably.
    """

    identifier: str
    study_uid: str
    performed_on: date
    five_year: float
    over_threshold: bool
    newly_over: bool
    rising: bool
    change: float | None
    years: float
    resource: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Written:
    """An assessment that is in the chart already: which exam's, and the resource there."""

    identifier: str
    performed_on: date
    reference: str


Judge = Callable[[Sequence[Outcome], Sequence[Written]], Conclusion | None]
"""From all that is known of one patient, and what is in her chart already, to what is concluded now."""


class AssessmentRecords:
    """The assessments of one database. Safe for several threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def next_patient(self, model: str) -> tuple[str, str] | None:
        """The EHR and id of a patient with news that no assessment has taken into account; None without.

        A patient of whom an exam is still on its way to its first answer waits, so that a whole history makes one
        assessment and not one after each exam.
        """
        other = aliased(Exam)
        waiting = (
            select(Scoring.id)
            .join(other, col(Scoring.exam_id) == other.id)
            .where(
                Scoring.model == model,
                Scoring.state == ScoringState.QUEUED,
                col(Scoring.problem).is_(None),
                other.ehr == Exam.ehr,
                other.patient_id == Exam.patient_id,
                other.listed,
            )
            .correlate(Exam)
        )
        query = (
            select(Exam.ehr, Exam.patient_id)
            .join(Scoring, col(Scoring.exam_id) == Exam.id)
            .where(
                Scoring.model == model,
                col(Scoring.assessed_at).is_(None),
                Scoring.state != ScoringState.QUEUED,
                col(Exam.listed),
                ~waiting.exists(),
            )
            .limit(1)
        )
        with Session(self._engine) as session:
            found = session.exec(query).first()
            return (found[0], found[1]) if found else None

    def assess(
        self,
        ehr: str,
        patient_id: str,
        model: str,
        now: datetime,
        judge: Judge,
        destinations: Collection[Destination],
    ) -> bool:
        """Conclude anew of one patient; whether that made a new revision, which is then queued for `destinations`."""
        with Session(self._engine) as session:
            lock_before_reading(session)
            rows = outcomes.of_patient(session.connection(), ehr, patient_id, model)
            known = [outcomes.outcome(row, patient_id) for row in rows]
            conclusion = judge(known, _written(session, ehr, patient_id))
            _take_into_account(session, [row.errand for row in rows if row.errand], now)
            for study_uid in sorted(_refused(known)):
                retract(session, ehr, patient_id, study_uid, now, model)
            is_new = _conclude(session, ehr, patient_id, model, now, conclusion, destinations)
            session.commit()
            return is_new

    def catch_up(self, ehr: str, model: str, destination: Destination) -> int:
        """Have the patients of an EHR assessed again of whose current assessment a destination was not told; how many.

        It was made while the site wrote nothing there, or for a model that was not the site's yet. As it is it may
        lack what must be said beside it now, such as the research banner.
        """
        its_exam = (
            (col(Exam.ehr) == Assessment.ehr)
            & (col(Exam.patient_id) == Assessment.patient_id)
            & (col(Exam.study_uid) == Assessment.study_uid)
        )
        untold = select(Assessment.id).where(
            Assessment.ehr == ehr, Assessment.model == model, col(Assessment.current), ~_is_told(destination)
        )
        with Session(self._engine) as session:
            ids = session.exec(untold).all()
            for first in range(0, len(ids), AT_A_TIME):
                some = col(Assessment.id).in_(ids[first : first + AT_A_TIME])
                exams = select(Exam.id).join(Assessment, its_exam).where(some)
                these = col(Scoring.exam_id).in_(exams) & (col(Scoring.model) == model)
                session.execute(update(Scoring).where(in_order(these)).values(assessed_at=None))
                session.commit()
            return len(ids)

    def leave(self, ehr: str, patient_id: str, model: str, now: datetime) -> None:
        """Leave what was concluded of a patient as it is, until something changes again."""
        with Session(self._engine) as session:
            lock_before_reading(session)
            rows = outcomes.of_patient(session.connection(), ehr, patient_id, model)
            _take_into_account(session, [row.errand for row in rows if row.errand], now)
            session.commit()

    def of_patient(self, ehr: str, patient_id: str) -> list[Assessment]:
        """Every revision on record, oldest first."""
        query = select(Assessment).where(Assessment.ehr == ehr, Assessment.patient_id == patient_id)
        with Session(self._engine, expire_on_commit=False) as session:
            return list(session.exec(query.order_by(col(Assessment.id))).all())

    def current(self, model: str) -> Iterator[Assessment]:
        """Every patient's newest conclusion by this model, highest risk first, read as far as it is wanted."""
        query = select(Assessment).where(Assessment.model == model, col(Assessment.current))
        ordered = query.order_by(col(Assessment.five_year).desc(), col(Assessment.id))
        with Session(self._engine, expire_on_commit=False) as session:
            yield from session.exec(ordered.execution_options(yield_per=AT_A_TIME))


def _refused(known: Sequence[Outcome]) -> set[str]:
    """The studies that the gate refuses now, whatever it said of the images that they had before."""
    scored = {exam.study_uid for exam in known if isinstance(exam, ScoredExam)}
    return {exam.study_uid for exam in known if isinstance(exam, RefusedExam)} - scored


def _take_into_account(session: Session, errands: Sequence[StoredErrand], now: datetime) -> None:
    """Mark what was read. An errand that ended again since has a later end, and keeps its patient due."""
    ended = [errand for errand in errands if errand.state != ScoringState.QUEUED]
    newest = max((errand.finished_at for errand in ended if errand.finished_at), default=now)
    not_later = col(Scoring.finished_at).is_(None) | (col(Scoring.finished_at) <= newest)
    these = col(Scoring.id).in_([errand.id for errand in ended]) & not_later
    session.execute(update(Scoring).where(these).values(assessed_at=now))


def _written(session: Session, ehr: str, patient_id: str) -> list[Written]:
    query = (
        select(Assessment, Outbox.reference)
        .join(Outbox, col(Outbox.assessment_id) == Assessment.id)
        .where(Assessment.ehr == ehr, Assessment.patient_id == patient_id, Outbox.destination == Destination.CHART)
        .where(col(Outbox.reference).is_not(None))
        .order_by(col(Assessment.id))
    )
    last = {kept.identifier: (kept, reference) for kept, reference in session.exec(query).all()}
    return [
        Written(kept.identifier, kept.performed_on, reference or "")
        for kept, reference in last.values()
        if kept.status != RETRACTED
    ]


def _conclude(
    session: Session,
    ehr: str,
    patient_id: str,
    model: str,
    now: datetime,
    conclusion: Conclusion | None,
    destinations: Collection[Destination],
) -> bool:
    hers = (col(Assessment.ehr) == ehr) & (col(Assessment.patient_id) == patient_id) & (col(Assessment.model) == model)
    last = _last_revision(session, ehr, conclusion.identifier) if conclusion else None
    if conclusion and last and last.status != RETRACTED and _says_the_same(last, conclusion):
        session.execute(update(Assessment).where(hers, col(Assessment.id) != last.id).values(current=False))
        last.current = True
        _queue(session, last, destinations, now)  # the site may not have wanted it there when it was made
        return False
    session.execute(update(Assessment).where(hers).values(current=False))
    if conclusion is None:
        return False
    status = "amended" if last else "final"
    kept = Assessment(
        **asdict(conclusion) | {"resource": {**conclusion.resource, "status": status}},
        ehr=ehr,
        patient_id=patient_id,
        model=model,
        revision=last.revision + 1 if last else 1,
        status=status,
        current=True,
        made_at=now,
    )
    session.add(kept)
    said = f"revision {kept.revision}"
    note(session, AccessEvent(Action.ASSESSED, now, ehr, patient_id, conclusion.study_uid, said))
    _queue(session, kept, destinations, now)
    return True


def _says_the_same(last: Assessment, conclusion: Conclusion) -> bool:
    return {**last.resource, "status": ""} == {**conclusion.resource, "status": ""} and (
        last.over_threshold,
        last.newly_over,
        last.rising,
    ) == (conclusion.over_threshold, conclusion.newly_over, conclusion.rising)


def _last_revision(session: Session, ehr: str, identifier: str) -> Assessment | None:
    query = select(Assessment).where(Assessment.ehr == ehr, Assessment.identifier == identifier)
    return session.exec(query.order_by(col(Assessment.revision).desc()).limit(1)).first()


def _queue(session: Session, kept: Assessment, destinations: Collection[Destination], now: datetime) -> None:
    """Queue a revision for those who were not told of it; earlier ones that are not out yet are overtaken by it."""
    session.flush()
    for destination in sorted(destinations):
        told = select(Assessment.id).where(Assessment.id == kept.id, _is_told(destination))
        if session.exec(told).first() is None:
            _overtake(session, kept, destination)
            session.add(Outbox(assessment_id=kept.id or 0, destination=destination, due_at=now, queued_at=now))


def _is_told(destination: Destination) -> ColumnElement[bool]:
    """Whether the last revision of an assessment that went to a destination says there what this one would."""
    sent = aliased(Assessment)
    went = (col(Outbox.state) != OutboxState.OVERTAKEN) | col(Outbox.reference).is_not(None)
    last = (
        select(_what_counts(sent, destination))
        .join(Outbox, col(Outbox.assessment_id) == sent.id)
        .where(sent.ehr == Assessment.ehr, sent.identifier == Assessment.identifier)
        .where(Outbox.destination == destination, went)
        .order_by(col(sent.revision).desc())
        .limit(1)
        .correlate(Assessment)
    )
    return last.scalar_subquery().is_not_distinct_from(_what_counts(Assessment, destination))


def _what_counts(revision: type[Assessment], destination: Destination) -> Any:
    """A chart is told of every revision; a report of the images is only made anew where its numbers are others."""
    return revision.id if destination is Destination.CHART else col(revision.resource)["prediction"].as_string()


def _overtake(session: Session, kept: Assessment, destination: Destination) -> None:
    """Have no earlier revision go to a destination any more."""
    earlier = select(Assessment.id).where(
        Assessment.ehr == kept.ehr, Assessment.identifier == kept.identifier, Assessment.id != kept.id
    )
    waiting = col(Outbox.assessment_id).in_(earlier) & (col(Outbox.destination) == destination)
    session.execute(
        update(Outbox)
        .where(waiting, col(Outbox.state).in_([OutboxState.QUEUED, OutboxState.DEAD]))
        .values(state=OutboxState.OVERTAKEN)
    )


def take_back(session: Session, ehr: str, patient_id: str, errand: ColumnElement[bool], now: datetime) -> None:
    """Retract what was concluded of a patient's exam, by its errand, that had a score and whose images are another's.

    Her other exams are concluded from anew. Not committed; to be called before the errand is written.
    """
    lock_before_reading(session)
    hers = select(Exam).where(Exam.ehr == ehr, Exam.patient_id == patient_id).order_by(col(Exam.id))
    exams = {exam.id: exam for exam in session.exec(hers.with_for_update(key_share=True)).all()}
    had_score = select(Scoring.exam_id).where(errand, col(Scoring.score_id).is_not(None))
    exam = exams.get(session.exec(had_score).first())
    if exam is None or exam.study_uid is None:
        return
    assess_again(session, ehr, patient_id)  # before the one errand is written: it locks all of hers, in their order
    session.execute(update(Scoring).where(errand).values(score_id=None))
    retract(session, ehr, patient_id, exam.study_uid, now)


def retract(
    session: Session, ehr: str, patient_id: str, study_uid: str, now: datetime, model: str | None = None
) -> None:
    """Take back what was concluded of a patient from a study, by one model or by all, also where it is in her chart."""
    query = select(Assessment.identifier).where(
        Assessment.ehr == ehr, Assessment.patient_id == patient_id, Assessment.study_uid == study_uid
    )
    if model is not None:
        query = query.where(Assessment.model == model)
    for identifier in sorted(set(session.exec(query).all())):
        last = _last_revision(session, ehr, identifier)
        if last is None or last.status == RETRACTED:
            continue
        last.current = False
        values = last.model_dump(exclude={"id"}) | {"resource": retracted(last.resource), "status": RETRACTED}
        gone = Assessment(**values | {"revision": last.revision + 1, "current": False, "made_at": now})
        session.add(gone)
        note(session, AccessEvent(Action.RETRACTED, now, ehr, patient_id, study_uid))
        _queue(session, gone, _destinations(session, ehr, identifier), now)
        _overtake(session, gone, Destination.REPORT)


def _destinations(session: Session, ehr: str, identifier: str) -> set[Destination]:
    """Where something of this assessment went, or was about to, and can be taken back from: not an archive."""
    query = (
        select(Outbox.destination)
        .join(Assessment, col(Assessment.id) == Outbox.assessment_id)
        .where(Assessment.ehr == ehr, Assessment.identifier == identifier, Outbox.destination == Destination.CHART)
    )
    return {Destination(destination) for destination in session.exec(query).all()}
