"""How long the store takes for everything that is asked of it, with a million exams and ten million scores."""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

from benchmarks.kept_results import RESULTS
from benchmarks.timing import machine
from benchmarks.women import EXAMS, score_again
from tests.cds.store.many_women import fill, model_of
from tests.cds.store.questions import QUESTIONS
from tests.postgresql import postgresql

STORED = 1_000_000
MODELS = 10
"""By which each exam is scored: a site changes its model every year or two."""
AGAIN = 3
_TABLES = ("exam", "scoring", "score", "assessment", "outbox", "card", "feedback", "audit")
_SIZE = "SELECT COUNT(*), pg_total_relation_size('{table}') FROM {table}"


def measured(database_url: str, exams: int = STORED, models: int = MODELS) -> dict[str, Any]:
    """Seconds of each question, the first time and the median of some more, and rows and bytes of each table."""
    engine = fill(database_url, exams // EXAMS)
    for number in range(2, models + 1):
        score_again(engine, f"-{number}")
        _tell(f"scored by {number} models")
    _vacuum(engine)
    with engine.connect() as connection:
        sizes = {table: _size(connection, table) for table in _TABLES}
        model = model_of(connection)
    questions = {question: _seconds(engine, model, question) for question in QUESTIONS}
    engine.dispose()
    return {"tables": sizes, "questions": questions}


def _size(connection: Connection, table: str) -> dict[str, int]:
    rows, size = connection.execute(text(_SIZE.format(table=table))).one()
    return {"rows": rows, "bytes": size}


def _seconds(engine: Engine, model: str, question: str) -> dict[str, float]:
    times = []
    for _ in range(1 + AGAIN):
        started_s = time.perf_counter()
        QUESTIONS[question](engine, model)
        times.append(time.perf_counter() - started_s)
    _tell(f"{question}: {times[0]:.3f} s, then {statistics.median(times[1:]):.3f}")
    return {"first_s": times[0], "median_s": statistics.median(times[1:])}


def _vacuum(engine: Engine) -> None:
    outside = create_engine(engine.url, isolation_level="AUTOCOMMIT")  # no transaction may hold a VACUUM
    with outside.connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    outside.dispose()


def _tell(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", flush=True)


def main(exams: int, models: int) -> None:
    """Measure, print and keep the record of the day."""
    with postgresql() as server:
        found = measured(server.new_database(), exams, models)
    day = datetime.now(UTC).date().isoformat()
    record = {"date": day, "machine": machine(), "rows": [], "store_at_size": found}
    (RESULTS / f"{day}-store.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:])) if sys.argv[1:] else main(STORED, MODELS)
