"""A database of the size at which plans matter: women with seven exams each, and all that follows from these."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Engine, text

from benchmarks.women import EHR, FIRST, copy_rows, store_exams
from cds.store.assessments import AssessmentRecords
from cds.store.cards import CardRecords
from cds.store.database import open_database
from cds.store.outbox import OutboxRecords
from cds.store.tables import Destination, Feedback, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from tests.cds.builders import conclusion

__all__ = ["EHR", "FIRST", "STUDY", "fill", "model_of"]

STUDY = "2.25.1"
"""The newest of the first woman's."""
_NOW = datetime.now(UTC)
_HERS = {"patient_id": "'woman-' || CAST(woman.n AS VARCHAR)"}
_AFTER = "'.' || CAST(woman.n AS VARCHAR)"
_STATES = (
    "UPDATE scoring SET assessed_at = finished_at WHERE exam_id % 1000 > 0",
    "UPDATE scoring SET state = 'queued', score_id = NULL, finished_at = NULL WHERE exam_id % 7 = 3",
    "UPDATE scoring SET priority = 2 WHERE exam_id % 14 = 3",
    "UPDATE scoring SET state = 'refused', score_id = NULL WHERE exam_id % 50 = 4",
    "UPDATE card SET made_at = '2020-01-01 00:00:00' WHERE uuid NOT LIKE '%7'",
    "UPDATE audit_head SET number = (SELECT MAX(number) FROM audit)",
    "INSERT INTO arrival SELECT study_uid, 4, first_seen_at, true, 'digest' FROM exam",
)


def fill(url: str, women: int) -> Engine:
    """The engine of a database with so many women, of whose exams one in seven waits."""
    store_exams(url, women)
    engine = open_database(url)
    _conclude_of_first(engine)
    _copy_to_others(engine, women)
    with engine.begin() as connection:
        for statement in _STATES:
            connection.execute(text(statement))
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    return engine


def model_of(connection: Connection) -> str:
    """The model that their exams are scored with."""
    return str(connection.execute(text("SELECT model FROM scoring ORDER BY id LIMIT 1")).scalar_one())


def _conclude_of_first(engine: Engine) -> None:
    with engine.connect() as connection:
        model = model_of(connection)
    said, places = conclusion(STUDY), (Destination.CHART, Destination.REPORT)
    AssessmentRecords(engine).assess(EHR, FIRST, model, _NOW, lambda _known, _written: said, places)
    outbox = OutboxRecords(engine)
    while letter := outbox.claim(_NOW, timedelta(minutes=1)):
        outbox.delivered(letter, f"RiskAssessment/{letter.id}", _NOW)
    cards, said_of = CardRecords(engine), {"ehr": EHR, "patient_id": FIRST, "study_uid": STUDY}
    words = {"service": "s", "kind": "not-over", "summary": "x", "indicator": "info"}
    shown = ShownCard.model_validate({"uuid": "card", "made_at": _NOW, **said_of, **words})
    cards.save([shown], AccessEvent(Action.ANSWERED, _NOW, EHR, FIRST))
    done = Feedback(card="card", outcome="accepted", outcome_at="2026-05-20T23:30:00Z", received_at=_NOW)
    cards.save_feedback([done], EHR, WebCall("feedback"))


def _copy_to_others(engine: Engine, women: int) -> None:
    hers = {**_HERS, "study_uid": f"study_uid || {_AFTER}"}
    copy_rows(engine, "assessment", {**hers, "identifier": f"identifier || {_AFTER}"}, "assessment, woman", women)
    letters = (
        "outbox CROSS JOIN assessment AS old CROSS JOIN woman CROSS JOIN assessment AS hers "
        f"WHERE old.id = outbox.assessment_id AND hers.ehr = '{EHR}' AND hers.identifier = old.identifier || {_AFTER}"
    )
    with engine.begin() as connection:
        connection.execute(text("ANALYZE assessment"))  # else PostgreSQL looks through all for each
    copy_rows(engine, "outbox", {"assessment_id": "hers.id"}, letters, women)
    copy_rows(engine, "card", {**hers, "uuid": f"uuid || {_AFTER}"}, "card, woman", women)
    copy_rows(engine, "feedback", {"card": f"card || {_AFTER}"}, "feedback, woman", women)
    # A hundred numbers for each woman: the first has fewer entries.
    copy_rows(engine, "audit", {**hers, "number": "number + 100 * woman.n"}, "audit, woman", women)
