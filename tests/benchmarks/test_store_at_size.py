"""How long the store takes at its size: what the page says is what was kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kept_results import NothingKept, kept_records, newest_with
from benchmarks.layout_steps import STEPS
from benchmarks.page_tables import on_page
from benchmarks.store_at_size import measured, tables
from tests.cds.store.questions import QUESTIONS
from tests.cds.store.test_plans import WHOLE
from tests.postgresql import PostgresqlServer

PAGE = Path(__file__).parents[2] / "docs" / "run.md"


@pytest.mark.parametrize("name", ["tables", "questions", "steps"])
def test_the_page_has_the_figures_of_the_newest_record(name: str) -> None:
    assert on_page(PAGE, name) == tables(kept_records())[name]


def test_every_question_was_asked_at_that_size_and_read_no_large_table_whole_but_those_that_it_may() -> None:
    asked = newest_with(kept_records(), "store_at_size")["store_at_size"]["questions"]

    assert asked.keys() == QUESTIONS.keys()
    for question, told in asked.items():
        assert set(told["reads_whole"]) <= (WHOLE[question].tables if question in WHOLE else set()), question


def test_without_a_record_there_is_no_table() -> None:
    with pytest.raises(NothingKept):
        tables([{"date": "2026-11-29", "rows": []}])


@pytest.mark.slow
@pytest.mark.integration
def test_every_question_is_timed_with_every_exam_scored_by_every_model(postgresql_server: PostgresqlServer) -> None:
    found = measured(postgresql_server.new_database(), exams=63_000 + 7, models=3)

    assert found["questions"].keys() == QUESTIONS.keys()
    assert found["steps"].keys() == set(STEPS)
    assert found["tables"]["score"]["rows"] == 3 * found["tables"]["exam"]["rows"]
    assert found["tables"]["audit"]["rows"] > 3 * found["tables"]["exam"]["rows"]
