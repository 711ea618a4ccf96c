"""What is in the database in the end, held against what was sent and what is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, select

from cds.store.tables import Assessment, Audit, Exam, Feedback, Score, ShownCard
from tests.soak.callers import Findings, Report
from tests.soak.hospitals import World
from tests.soak.truth import strange_resource
from tests.soak.women import Woman

Women = Mapping[tuple[str, str], Woman]
"""By the name of the hospital and her id there."""


def wrong_books(session: Session, world: World, found: Findings) -> list[str]:
    """Every sentence in which the database, or a hospital's chart, is not as it should be."""
    women = {(hospital.name, woman.id): woman for hospital in world.hospitals for woman in hospital.women}
    return [
        *_misfiled(session, women),
        *_wrong_scores(session, women),
        *_wrong_cards(session, found),
        *_wrong_feedback(session, found),
        *_wrong_charts(world),
    ]


def kept(session: Session, world: World) -> dict[str, int]:
    """How much there is of everything in the end."""
    tables: tuple[Any, ...] = (Exam, Score, ShownCard, Feedback, Audit)
    rows = {table.__tablename__: session.exec(select(func.count()).select_from(table)).one() for table in tables}
    written = sum(len(hospital.store.all("RiskAssessment")) for hospital in world.hospitals)
    return {**rows, "RiskAssessments in charts": written}


def _misfiled(session: Session, women: Women) -> Iterator[str]:
    """Rows on a woman that name another's study."""
    tables: tuple[Any, ...] = (Exam, ShownCard, Assessment, Audit)
    for table in tables:
        query = select(table.ehr, table.patient_id, table.study_uid).where(table.study_uid.is_not(None)).distinct()
        for ehr, patient_id, study_uid in session.exec(query):
            # What the trail tells of scoring is of a study, and of no patient.
            if patient_id and study_uid not in {exam.study_uid for exam in women[ehr, patient_id].exams}:
                yield f"{table.__tablename__}: {patient_id} of {ehr} has a study of somebody else"


def _wrong_scores(session: Session, women: Women) -> Iterator[str]:
    true = {exam.study_uid: exam for woman in women.values() for exam in woman.exams}
    for score in session.exec(select(Score)):
        exam = true[score.study_uid]
        if max(abs(one - other) for one, other in zip(score.calibrated, exam.risks, strict=True)) > 1e-5:
            yield f"a score of {exam.day} is not that of its images"
        if score.performed_on != exam.day:
            yield f"a score of {exam.day} has another day"


def _wrong_cards(session: Session, found: Findings) -> Iterator[str]:
    kept = {card.uuid: (card.ehr, card.patient_id) for card in session.exec(select(ShownCard))}
    for uuid, (hospital, woman) in found.cards.items():
        if kept.get(uuid) != (hospital.name, woman.id):
            yield f"a card for {woman.id} of {hospital.name} is on record as {kept.get(uuid)}"


def _wrong_feedback(session: Session, found: Findings) -> Iterator[str]:
    sent = {report.key: report for report in found.reports}
    rows = session.exec(select(Feedback)).all()
    times = Counter((row.card, row.outcome_at) for row in rows)
    for report in found.reports:
        if times[report.key] > 1 or (report.answered and times[report.key] != 1):
            yield f"feedback that was answered is there {times[report.key]} times"
    for row in rows:
        told = sent.get((row.card, row.outcome_at))
        if told is None:
            yield "there is feedback that nobody sent, or on another hospital's card"
        elif _told(told) != (row.outcome, row.accepted, row.comment):
            yield "feedback is kept with other words than were sent"


def _told(report: Report) -> tuple[str, list[str], str | None]:
    accepted = [one["id"] for one in report.body.get("acceptedSuggestions", [])]
    return report.body["outcome"], accepted, report.body.get("overrideReason", {}).get("userComment")


def _wrong_charts(world: World) -> Iterator[str]:
    """RiskAssessments that the worker wrote into a chart and that are not that woman's, or are there twice."""
    for hospital in world.hospitals:
        by_id = {f"Patient/{woman.id}": woman for woman in hospital.women}
        written = hospital.store.all("RiskAssessment")
        for resource in written:
            for problem in strange_resource(resource, by_id[resource["subject"]["reference"]]):
                yield f"in a chart of {hospital.name}: {problem}"
        if len({resource["identifier"][0]["value"] for resource in written}) < len(written):
            yield f"a chart of {hospital.name} has one RiskAssessment twice"
