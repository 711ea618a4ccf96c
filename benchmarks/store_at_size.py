"""How long the store takes for everything that is asked of it, with a million exams and ten million scores.

`python -m benchmarks.store_at_size` measures and keeps; with `--into docs/run.md` it writes what was kept into a page.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Engine, text

from benchmarks.kept_results import RESULTS, Record, kept_records, newest_with
from benchmarks.layout_steps import step_seconds
from benchmarks.page_tables import into_page, markdown
from benchmarks.timing import machine
from benchmarks.women import EXAMS, copy_rows, score_again, vacuum
from tests.cds.store.many_women import fill, model_of
from tests.cds.store.plans import whole_reads
from tests.cds.store.questions import QUESTIONS
from tests.postgresql import postgresql

STORED = 1_000_000
MODELS = 10
"""By which each exam is scored: a site changes its model every year or two."""
AGAIN = 3
_TABLES = ("exam", "scoring", "score", "assessment", "outbox", "card", "feedback", "audit")
_TIMES = ("first_s", "median_s")
_ENTRIES = "audit, woman WHERE audit.number <= {last} AND audit.action = 'scored'"
_LAST_ENTRY = "SELECT number FROM audit_head"
_RAISE_HEAD = "UPDATE audit_head SET number = (SELECT MAX(number) FROM audit)"
_ONCE = 2
"""`copy_rows` makes one copy for each woman but the first."""
_SIZE = "SELECT COUNT(*), pg_total_relation_size('{table}') FROM {table}"


def measured(database_url: str, exams: int = STORED, models: int = MODELS) -> dict[str, Any]:
    """Seconds of each question, what it reads whole, rows and bytes of each table, seconds of each step."""
    engine = fill(database_url, exams // EXAMS)
    for number in range(2, models + 1):
        score_again(engine, f"-{number}")
        _tell(f"scored by {number} models")
    _note_again(engine, models - 1)
    vacuum(engine, "VACUUM ANALYZE")
    with engine.connect() as connection:
        sizes = {table: _size(connection, table) for table in _TABLES}
        model = model_of(connection)
    questions = {question: _asked(engine, model, question) for question in QUESTIONS}
    steps = step_seconds(engine)
    engine.dispose()
    return {"tables": sizes, "questions": questions, "steps": steps}


def _note_again(engine: Engine, times: int) -> None:
    """The entries of the trail that the further scores would have; their digests are copies, and chain nothing."""
    with engine.connect() as connection:
        last = connection.execute(text(_LAST_ENTRY)).scalar_one()
    for number in range(1, times + 1):
        copy_rows(engine, "audit", {"number": f"number + {number * last}"}, _ENTRIES.format(last=last), _ONCE)
    with engine.begin() as connection:
        connection.execute(text(_RAISE_HEAD))


def _size(connection: Connection, table: str) -> dict[str, int]:
    rows, size = connection.execute(text(_SIZE.format(table=table))).one()
    return {"rows": rows, "bytes": size}


def _asked(engine: Engine, model: str, question: str) -> dict[str, Any]:
    times = []
    for _ in range(1 + AGAIN):
        started_s = time.perf_counter()
        QUESTIONS[question](engine, model)
        times.append(time.perf_counter() - started_s)
    _tell(f"{question}: {times[0]:.3f} s, then {statistics.median(times[1:]):.3f}")
    with whole_reads(engine) as whole:
        QUESTIONS[question](engine, model)
    return {"first_s": times[0], "median_s": statistics.median(times[1:]), "reads_whole": sorted(whole)}


def _tell(what: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", flush=True)


def tables(records: Sequence[Record]) -> dict[str, str]:
    """The tables of the page, by their names there; raises NothingKept without a record."""
    kept = newest_with(records, "store_at_size")["store_at_size"]
    sizes = [(name, f"{size['rows']:,}", f"{size['bytes'] / 1e6:,.0f}") for name, size in kept["tables"].items()]
    times = [(asked, *(f"{1000 * took[which]:,.0f}" for which in _TIMES)) for asked, took in kept["questions"].items()]
    return {
        "tables": markdown(("table", "rows", "MB, with indexes"), sizes),
        "questions": markdown(("asked by", "first time, ms", "then, ms"), times),
        "steps": markdown(("to layout", "seconds"), [(to, f"{took:.0f}") for to, took in kept["steps"].items()]),
    }


def main(
    into: Annotated[Path | None, typer.Option(help="Write the tables of what was kept into this page.")] = None,
    exams: int = STORED,
    models: int = MODELS,
) -> None:
    """Measure, print and keep the record of the day."""
    if into is not None:
        into_page(into, tables(kept_records()))
        return
    with postgresql() as server:
        found = measured(server.new_database(), exams, models)
    day = datetime.now(UTC).date().isoformat()
    record = {"date": day, "machine": machine(), "rows": [], "store_at_size": found}
    (RESULTS / f"{day}-store.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
