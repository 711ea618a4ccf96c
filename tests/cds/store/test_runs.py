"""Runs over the site: one at a time, each with its summary, reading on from where the last one came to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from cds.store.runs import RunRecords, RunSummary
from cds.store.store import Store
from tests.cds.builders import MODEL, NOW, claimed, new_exam, refused, scored
from tests.cds.store.asking import all_at_once

LENGTH = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


@pytest.fixture
def runs(engine: Engine) -> RunRecords:
    return RunRecords(engine)


def test_only_one_holder_has_the_lease_and_it_may_keep_it(runs: RunRecords) -> None:
    assert runs.take_lease("night", "one", NOW, LENGTH)
    assert not runs.take_lease("night", "two", NOW + SECOND, LENGTH)
    assert runs.take_lease("night", "one", NOW + SECOND, LENGTH)
    assert runs.take_lease("another", "two", NOW, LENGTH)


def test_a_killed_holders_lease_ends_by_itself(runs: RunRecords) -> None:
    runs.take_lease("night", "one", NOW, LENGTH)

    assert not runs.take_lease("night", "two", NOW + LENGTH - SECOND, LENGTH)
    assert runs.take_lease("night", "two", NOW + LENGTH, LENGTH)
    assert not runs.take_lease("night", "one", NOW + LENGTH, LENGTH)


def test_a_lease_that_is_given_up_is_free_and_nobody_gives_up_anothers(runs: RunRecords) -> None:
    runs.take_lease("night", "one", NOW, LENGTH)
    runs.give_up_lease("night", "two", NOW)
    assert not runs.take_lease("night", "two", NOW, LENGTH)

    runs.give_up_lease("night", "one", NOW)
    assert runs.take_lease("night", "two", NOW, LENGTH)


def test_of_many_that_ask_at_once_one_gets_it(runs: RunRecords) -> None:
    def take(holder: str) -> bool:
        return runs.take_lease("night", holder, NOW, LENGTH)

    assert sorted(all_at_once([lambda name=f"h{n}": take(name) for n in range(8)]))[-2:] == [False, True]  # type: ignore[misc,type-var]


def test_a_clock_that_was_put_back_does_not_keep_the_lease_for_ever(runs: RunRecords) -> None:
    runs.take_lease("night", "one", NOW + timedelta(days=365), LENGTH)

    assert runs.take_lease("night", "two", NOW, LENGTH)


def test_a_watermark_is_where_it_was_moved_to(runs: RunRecords) -> None:
    assert runs.watermark("ehr main") is None
    for moment in (NOW, NOW + SECOND):
        runs.move_watermark("ehr main", moment)
        assert runs.watermark("ehr main") == moment
    assert runs.watermark("ehr other") is None


def test_what_is_noted_of_a_source_goes_by_its_new_name_but_is_never_put_over_what_that_one_has(
    runs: RunRecords,
) -> None:
    runs.move_watermark("old", NOW)
    for name in ("new", "old"):
        runs.rename_source(name, name)
        runs.rename_source("old", "new")
        assert (runs.watermark("old"), runs.watermark("new")) == (None, NOW)

    runs.move_watermark("old", NOW + SECOND)
    runs.rename_source("old", "new")
    assert runs.watermark("new") == NOW


def test_a_run_is_kept_with_its_summary_and_a_killed_one_without(runs: RunRecords) -> None:
    killed, done = runs.start(MODEL.key, NOW), runs.start(MODEL.key, NOW + SECOND)
    runs.finish(done, RunSummary(5, 3, {"implant": 1}, {"no answer": 1}, 2, ("ehr-1: no connection",)), NOW + LENGTH)

    newest, older = runs.last()
    assert (newest.found, newest.scored, newest.written) == (5, 3, 2)
    assert (newest.refused, newest.failed) == ({"implant": 1}, {"no answer": 1})
    assert (newest.problems, newest.finished_at) == (["ehr-1: no connection"], NOW + LENGTH)
    assert (older.id, older.finished_at) == (killed, None)


def test_the_last_runs_may_be_asked_for_by_their_model(runs: RunRecords) -> None:
    for number in range(4):
        runs.start("another" if number % 2 else MODEL.key, NOW + number * SECOND)

    assert [run.started_at for run in runs.last(model=MODEL.key)] == [NOW + 2 * SECOND, NOW]
    assert len(runs.last()) == 4


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=st.lists(st.sampled_from(["scored", "refused", "failed", "untried"]), max_size=8))
def test_the_books_balance_whatever_came_of_each_exam(engine: Engine, runs: RunRecords, ends: list[str]) -> None:
    store, model = Store(engine), f"model {abs(hash(tuple(ends)))} {len(runs.last(999))}"
    runs.start(model, NOW)
    store.register([new_exam(f"1.4.{n}") for n in range(len(ends))], model, NOW)
    for end in ends:
        job = store.claim(model, NOW, LENGTH)
        assert job is not None
        if end == "scored":
            store.save_score(job, scored(job.study_uid or ""))
        elif end == "refused":
            store.save_refusal(job, refused(job.study_uid or ""), NOW)
        elif end == "failed":
            store.save_failure(job, "no answer", NOW)

    summary = runs.sum_up(model, NOW, len(ends), ())

    assert summary.scored == ends.count("scored")
    assert sum(summary.failed.values()) == ends.count("failed")
    assert summary.refused.get("missing-view", 0) == ends.count("refused")
    assert store.untried(model, NOW) == ends.count("untried")


def test_what_ended_before_the_run_is_not_counted(store: Store, runs: RunRecords) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused(), NOW)

    assert runs.sum_up(MODEL.key, NOW + SECOND, 0, ()) == RunSummary()


def test_a_sign_lasts_for_a_while_and_the_last_one_counts_whoever_gives_it(runs: RunRecords) -> None:
    assert not runs.is_signed("schedule", NOW, LENGTH)

    runs.sign("schedule", "one", NOW, LENGTH)
    assert runs.is_signed("schedule", NOW + LENGTH - SECOND, LENGTH)
    assert not runs.is_signed("schedule", NOW + LENGTH, LENGTH)
    assert not runs.is_signed("model m1", NOW, LENGTH)

    runs.sign("schedule", "two", NOW + SECOND, LENGTH)
    assert runs.is_signed("schedule", NOW + LENGTH, LENGTH)


def test_a_sign_from_a_clock_that_was_put_back_since_is_none(runs: RunRecords) -> None:
    runs.sign("schedule", "one", NOW + timedelta(days=1), LENGTH)

    assert not runs.is_signed("schedule", NOW, LENGTH)
