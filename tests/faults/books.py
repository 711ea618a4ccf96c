"""The books of a site, which balance after every fault: nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from cds.demo.fhir_store import ResourceStore
from cds.store.audit import Action
from cds.store.runs import RunRecords
from cds.store.tables import Assessment, Audit, Exam, Outbox, OutboxState, Score, Scoring, ScoringState
from fhir_mappings.dates import last_updated
from tests.cds.builders import EHR, MODEL

Json = dict[str, Any]


def unbalanced(engine: Engine, charts: ResourceStore, model: str = MODEL.key) -> list[str]:
    """Every sentence that the books are not right in; none, and they balance."""
    with Session(engine) as session:
        return [
            *_exams_without_one_errand(session, model),
            *_errands_without_an_end(session, model),
            *_assessments_not_on_their_way(session, model),
            *_two_current_assessments(session, model),
            *_changes_passed_over(session, engine, charts),
            *_assessments_twice_in_the_chart(charts),
        ]


def scored_everything(engine: Engine, charts: ResourceStore, model: str = MODEL.key) -> list[str]:
    """What is left to do where all should be done: exams without an end, patients without an entry in their chart."""
    with Session(engine) as session:
        queued = select(Scoring).where(Scoring.model == model, Scoring.state == ScoringState.QUEUED)
        waiting = session.exec(queued).all()
        unknown = _listed(charts) - set(session.exec(select(Exam.key)).all())
        current = session.exec(select(Assessment).where(Assessment.model == model, col(Assessment.current))).all()
        scored = select(Exam.patient_id).join(Scoring).where(Scoring.state == ScoringState.SCORED).distinct()
        patients = set(session.exec(scored).all())
    written = {one["identifier"][0]["value"] for one in charts.all("RiskAssessment")}
    return [
        *(f"an exam waits: {one.problem}" for one in waiting),
        *(f"an exam is not on record: {key}" for key in sorted(unknown)),
        *(f"nobody concluded of {one}" for one in sorted(patients - {one.patient_id for one in current})),
        *(f"not in the chart of {one.patient_id}" for one in current if one.identifier not in written),
    ]


def audited(engine: Engine, action: Action) -> Counter[str | None]:
    """How often the trail tells of this for each study."""
    with Session(engine) as session:
        return Counter(session.exec(select(Audit.study_uid).where(Audit.action == action)).all())


def scores(engine: Engine) -> list[str]:
    """The studies of which scores are kept, each as often as it has one."""
    with Session(engine) as session:
        return sorted(session.exec(select(Score.study_uid)).all())


def _listed(charts: ResourceStore) -> set[str]:
    studies = charts.all("ImagingStudy")
    return {study["identifier"][0]["value"].removeprefix("urn:oid:") for study in studies}


def _exams_without_one_errand(session: Session, model: str) -> Iterable[str]:
    errands = Counter(session.exec(select(Scoring.exam_id).where(Scoring.model == model)).all())
    for exam in session.exec(select(Exam)).all():
        if errands[exam.id or 0] != 1:
            yield f"exam {exam.key} has {errands[exam.id or 0]} errands"


def _errands_without_an_end(session: Session, model: str) -> Iterable[str]:
    query = select(Scoring, Exam, Score).join(Exam, col(Exam.id) == Scoring.exam_id).join(Score, isouter=True)
    for errand, exam, score in session.exec(query.where(Scoring.model == model)).all():
        if errand.state == ScoringState.SCORED:
            if score is None or score.study_uid != exam.study_uid or errand.finished_at is None:
                yield f"exam {exam.key} is scored without its score"
        elif errand.state == ScoringState.REFUSED:
            if not errand.exclusions or errand.finished_at is None:
                yield f"exam {exam.key} is refused without a reason"
        elif errand.state != ScoringState.QUEUED:
            yield f"exam {exam.key} is {errand.state}"


def _assessments_not_on_their_way(session: Session, model: str) -> Iterable[str]:
    on_its_way = (OutboxState.QUEUED, OutboxState.DELIVERED, OutboxState.DEAD)
    query = select(Assessment).where(Assessment.model == model, col(Assessment.current))
    for kept in session.exec(query).all():
        states = session.exec(select(Outbox.state).where(Outbox.assessment_id == kept.id)).all()
        if len(states) != 1 or states[0] not in on_its_way:
            yield f"the assessment of {kept.patient_id} has the deliveries {list(states)}"


def _two_current_assessments(session: Session, model: str) -> Iterable[str]:
    current = select(Assessment.ehr, Assessment.patient_id).where(Assessment.model == model, col(Assessment.current))
    for (_, patient_id), count in Counter(session.exec(current).all()).items():
        if count > 1:
            yield f"{patient_id} has {count} current assessments"


def _changes_passed_over(session: Session, engine: Engine, charts: ResourceStore) -> Iterable[str]:
    """The watermark says that all before it is stored."""
    watermark = RunRecords(engine).watermark(f"ehr {EHR}")
    known = set(session.exec(select(Exam.key)).all())
    for study in charts.all("ImagingStudy"):
        uid, changed = study["identifier"][0]["value"].removeprefix("urn:oid:"), last_updated(study)
        if watermark and changed and changed < watermark and uid not in known:
            yield f"study {uid} was changed before the watermark and is not on record"


def _assessments_twice_in_the_chart(charts: ResourceStore) -> Iterable[str]:
    found = Counter(one["identifier"][0]["value"] for one in charts.all("RiskAssessment"))
    return (f"the chart holds {count} of one assessment" for count in found.values() if count > 1)
