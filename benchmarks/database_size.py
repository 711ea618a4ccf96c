"""How many bytes of the database an exam takes, another model's score of it, an assessment and a hook call."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from benchmarks.answering import MANY
from benchmarks.concurrent_calls import PATH
from benchmarks.kept_results import RESULTS
from benchmarks.timing import machine
from benchmarks.women import EHR, EXAMS, call, score_again, services, store_exams, vacuum
from cds.delivery.reporting import ReportedEhr, Reporter
from cds.services import join_by, usable_card
from cds.settings import Settings
from cds.store.assessments import AssessmentRecords
from cds.store.audit import AccessEvent, Action, note
from cds.store.database import open_database
from cds.store.outbox import OutboxRecords
from cds.store.tables import Destination
from cds.web.app import Front, create_app
from cds.web.limits import FrontLimits
from hooks.site import Mode, Site
from tests.postgresql import postgresql

STORED = 100_000
FEW = 2_000
"""Assessments and calls: they are made one by one, as the service makes them."""
AT_A_TIME = 1000
_SQLITE_BYTES = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
_POSTGRESQL_BYTES = "SELECT pg_database_size(current_database())"


def sizes(database_url: str, exams: int = STORED, few: int = FEW) -> dict[str, float]:
    """Bytes each, with their indexes, of a database in which nothing is left of rows that were changed."""
    women = exams // EXAMS
    exams, few = women * EXAMS, min(few, women)
    engine = open_database(database_url)
    steps: dict[str, tuple[int, Callable[[], object]]] = {
        "stored": (exams, lambda: store_exams(database_url, women)),
        "again": (exams, lambda: score_again(engine, "-2")),
        "audit": (exams, lambda: _note_scores(engine, exams)),
        "assessment": (few, lambda: _assess(engine, few)),
        "call": (few, lambda: _call(database_url, few)),
    }
    each, before = {}, _bytes(engine)
    for name, (count, work) in steps.items():
        work()
        vacuum(engine, "VACUUM" if _is_sqlite(engine) else "VACUUM FULL")
        after = _bytes(engine)
        each[name], before = (after - before) / count, after
    engine.dispose()
    exam, another_model = each["stored"] + each["audit"], each["again"] + each["audit"]
    return {"exam": exam, "another_model": another_model, "assessment": each["assessment"], "call": each["call"]}


def _is_sqlite(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


def _bytes(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(_SQLITE_BYTES if _is_sqlite(engine) else _POSTGRESQL_BYTES)).scalar_one())


def _note_scores(engine: Engine, exams: int) -> None:
    now = datetime.now(UTC)
    for first in range(0, exams, AT_A_TIME):
        with Session(engine) as session:
            for number in range(first, min(first + AT_A_TIME, exams)):
                note(session, AccessEvent(Action.SCORED, now, EHR, f"woman-{number}", f"2.25.1.{number}"))
            session.commit()


def _assess(engine: Engine, few: int) -> None:
    """Conclude of so many women, and have it written to their charts."""
    settings = Settings()
    card = usable_card(settings)
    ehrs = {EHR: ReportedEhr(Site(mode=Mode.RESEARCH), frozenset({Destination.CHART}))}
    reporter = Reporter(AssessmentRecords(engine), card.version, join_by(settings, card), ehrs, _now)
    for _ in range(few):
        reporter.report_next()
    outbox = OutboxRecords(engine)
    while letter := outbox.claim(_now(), timedelta(minutes=1)):
        outbox.delivered(letter, f"RiskAssessment/{letter.id}", _now())


def _call(database_url: str, women: int) -> None:
    """One order-select call about each, as the EHR makes it."""
    client = create_app(services(database_url), Front(limits=FrontLimits(calls_per_minute=MANY))).test_client()
    for number in range(women):
        answer = client.post(PATH, data=call(number), content_type="application/json")
        if answer.status_code != 200:
            raise AssertionError(f"a call was answered {answer.status}")


def _now() -> datetime:
    return datetime.now(UTC)


def _databases(stack: ExitStack) -> Iterator[tuple[str, str]]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    yield "SQLite", f"sqlite:///{folder / 'size.sqlite'}"
    with suppress(pytest.skip.Exception):  # it is not installed here, and the record says so by leaving it out
        yield "PostgreSQL", stack.enter_context(postgresql()).new_database()


def main(exams: int) -> None:
    """Measure, print and keep the record of the day."""
    with ExitStack() as stack:
        measured = {name: sizes(url, exams) for name, url in _databases(stack)}
    day = _now().date().isoformat()
    record = {"date": day, "machine": machine(), "rows": [], "database_bytes": measured, "stored_exams": exams}
    written = json.dumps(record, indent=2)
    print(written)
    (RESULTS / f"{day}-database.json").write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STORED)
