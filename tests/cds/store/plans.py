"""How a database goes about the statements that our own code sends it: which tables it reads from end to end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Engine, event
from sqlmodel import SQLModel

SORTED = "sorted"
"""Stands for PostgreSQL's putting so many rows in order that it takes long."""
_LONG_SORT = 1000
_DEAR = 100.0
"""A cost by PostgreSQL's own estimate; one row by an index costs about ten."""
_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TABLES = SQLModel.metadata.tables
_LARGE = {SORTED, *_TABLES} - {"audit_head", "lease", "run", "seen_token", "stage_time", "watermark"}
_ALIKE = {"destination", "ehr", "model", "priority", "state"}
"""Columns of few values: what an index finds by them alone may be all there is, unless it is an index of few rows."""
_OF_FEW = {
    index.name
    for table in _TABLES.values()
    for index in table.indexes
    if index.dialect_options["postgresql"]["where"] is not None
}
_STEP = re.compile(r"(SCAN|SEARCH) (\w+?)(?:_\d+)?\b")
_INDEX = re.compile(r"INDEX (\w+)")


@contextmanager
def whole_reads(engine: Engine) -> Iterator[set[str]]:
    """The tables that the statements sent while the block runs read whole, as the database plans it at that moment."""
    found: set[str] = set()
    plan = {"sqlite": _sqlite, "postgresql": _postgresql}[engine.dialect.name]

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if not many and statement.lstrip().startswith(_EXPLAINED):
            with closing(connection.connection.cursor()) as beside:
                found.update(_LARGE.intersection(plan(beside, statement, parameters)))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def _sqlite(cursor: Any, statement: str, parameters: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
    for *_, told in cursor.fetchall():
        if step := _STEP.match(told):
            index, by = _INDEX.search(told), told.partition("(")[2]
            if step[1] == "SCAN" or _finds_most(step[2], index and index[1], by):
                yield step[2]


def _postgresql(cursor: Any, statement: str, parameters: Any) -> Iterator[str]:
    cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    ((planned,),) = cursor.fetchone()
    relation = ""
    for node in _nodes(planned["Plan"]):
        relation = node.get("Relation Name", relation)  # the scan of an index into a bitmap is below its table's
        kind, by = node["Node Type"], node.get("Index Cond", "")
        finds_most = "Index" in kind and node["Total Cost"] > _DEAR and _finds_most(relation, node["Index Name"], by)
        if kind == "Seq Scan" or finds_most:
            yield relation
        if kind == "Sort" and node["Plan Rows"] > _LONG_SORT:
            yield SORTED


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _finds_most(table: str, index: str | None, by: str) -> bool:
    """Whether what an index finds by a condition may be most of a table."""
    columns = {"rowid", *(_TABLES[table].c.keys() if table in _TABLES else ())}
    named = columns.intersection(re.findall(r"\w+", re.sub(r"'[^']*'", "", by)))
    return index not in _OF_FEW and named <= _ALIKE
