"""Questions to a store that its tests ask again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine
from sqlmodel import Session, func, select

from cds.store.store import ScoringJob, Store
from cds.store.tables import Exam, Score, Scoring
from model.domain import PendingExam, RefusedExam, ScoredExam
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT


def outcome(
    store: Store, study_uid: str = "1.2.1", patient_id: str = PATIENT, ehr: str = EHR, model: str = MODEL.key
) -> ScoredExam | RefusedExam | PendingExam:
    """What is known of one study."""
    return store.outcomes(ehr, patient_id, [study_uid], model)[study_uid]


def count(engine: Engine, table: type[Exam | Scoring | Score]) -> int:
    """How many rows a table has."""
    with Session(engine) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def jobs(store: Store, model: str = MODEL.key) -> list[ScoringJob]:
    """Everything that is due, in the order in which it is handed out."""
    found = []
    while job := store.claim(model, NOW, LEASE):
        found.append(job)
    return found


def all_at_once(work: Sequence[Callable[[], object]]) -> list[object]:
    """Run in as many threads and return what each returned; the first error is raised."""
    with ThreadPoolExecutor(len(work)) as threads:
        return [future.result(timeout=60) for future in [threads.submit(one) for one in work]]
