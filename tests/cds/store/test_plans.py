"""Which tables the databases read from end to end, at a size where that is slow: none but those that are said here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from tests.cds.store.many_women import fill, model_of
from tests.cds.store.plans import SORTED, whole_reads
from tests.cds.store.questions import QUESTIONS
from tests.postgresql import PostgresqlServer

pytestmark = [pytest.mark.slow, pytest.mark.integration]

WOMEN = 10_000


@dataclass(frozen=True)
class Whole:
    """Tables that a question reads from end to end, and why it may."""

    tables: frozenset[str]
    why: str


def whole(why: str, *tables: str) -> Whole:
    return Whole(frozenset(tables), why)


WHOLE = {
    "night: clearing": whole("each row is looked at once a night", "arrival", "card", "feedback", "outbox", SORTED),
    "night: what waits": whole("it is all that waits", "scoring"),
    "night: all known exams": whole("it is about all exams", "exam", "scoring"),
    "night: what is not refused any more": whole("once a night, of all that is refused", "exam", "scoring"),
    "night: what failed": whole("once a night, of all that waits", "scoring"),
    "rescore: one patient": whole("hers is looked for in all that is new and waits", "scoring"),
    "start": whole("once, when a worker starts: it is about all that was concluded", "assessment", "outbox"),
    "outbox": whole("it is all that waits", "assessment", "outbox"),
    "operator: cards of a month": whole("a month is a large part", "feedback", SORTED),
    "worklist": whole("it is of everybody; SQLite reads those over the threshold only", "assessment", SORTED),
    "worklist: what was accepted": whole("it is all that was accepted", "card", "feedback", SORTED),
    "metrics: queue": whole("all are counted", "scoring", SORTED),
    "metrics: oldest": whole("it is all that waits", "scoring"),
    "metrics: refusals": whole("they are counted once a minute", "scoring"),
    "metrics: letters": whole("all are counted", "outbox"),
    "metrics: cards": whole("all are counted", "card", "feedback", SORTED),
    "metrics: spread": whole(
        "the monthly spread is of a year's scores that stand; kept for a quarter of an hour",
        "exam",
        "score",
        "scoring",
        SORTED,
    ),
    "report: without a score": whole("all that is refused or held", "exam", "scoring"),
    "report: refusals": whole("it is of all exams of some years", "exam", "scoring", SORTED),
}
NEEDED = {
    "exam_of_patient": "page",
    "exam_of_study": "night",
    "scoring_queue": "worker",
    "scoring_unassessed": "clerk",
    "assessment_of_patient": "clerk",
    "outbox_queue": "clerk",
    "outbox_finished": "night",
    "card_of_patient": "hook",
    "card_made": "operator: cards of a month",
    "audit_of_patient": "trail of one patient",
}
"""Indexes, and a question that reads a table whole without it."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with the exams of many women."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'store.sqlite'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database()
    engine = fill(url, WOMEN)
    yield engine
    engine.dispose()


def read_whole(engine: Engine, question: str) -> set[str]:
    """The tables that the answer to a question takes from end to end, but for those that it may."""
    with engine.connect() as connection:
        model = model_of(connection)
    with whole_reads(engine) as found:
        QUESTIONS[question](engine, model)
    return found - WHOLE[question].tables if question in WHOLE else found


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_large_table_whole_but_those_that_are_said_to(many: Engine, question: str) -> None:
    assert read_whole(many, question) == set()


@pytest.mark.parametrize("name", NEEDED)
def test_a_question_that_loses_its_index_reads_a_large_table_whole(many: Engine, name: str) -> None:
    index = next(one for table in SQLModel.metadata.tables.values() for one in table.indexes if one.name == name)
    index.drop(many)
    many.dispose()  # SQLite explains by what each open connection has last seen of the tables
    try:
        assert read_whole(many, NEEDED[name]) != set()
    finally:
        index.create(many)
        many.dispose()
