"""How long stages take, on every database: added up by several workers, told by model and day."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from functools import partial

from sqlalchemy import Engine

from cds.store.stage_times import Spent, add_times, sum_times
from cds.store.tables import Stage
from tests.cds.builders import MODEL, NOW
from tests.cds.store.asking import all_at_once

NOTHING = {stage: Spent() for stage in Stage}


def test_what_is_added_is_added_up_stage_by_stage(engine: Engine) -> None:
    assert sum_times(engine, MODEL.key) == NOTHING

    add_times(engine, MODEL.key, NOW, {Stage.FETCH: Spent(1.5, 2), Stage.SCORE: Spent(4.0, 8)})
    add_times(engine, MODEL.key, NOW, {Stage.FETCH: Spent(0.25, 1)})

    assert sum_times(engine, MODEL.key) == NOTHING | {Stage.FETCH: Spent(1.75, 3), Stage.SCORE: Spent(4.0, 8)}


def test_the_times_of_another_model_are_its_own(engine: Engine) -> None:
    add_times(engine, "another model", NOW, {Stage.FETCH: Spent(1.5, 2)})

    assert sum_times(engine, MODEL.key) == NOTHING
    assert sum_times(engine, "another model")[Stage.FETCH] == Spent(1.5, 2)


def test_they_are_summed_from_a_day_on_which_is_that_of_utc(engine: Engine) -> None:
    far_east = datetime(2026, 5, 21, 8, 30, tzinfo=timezone(timedelta(hours=9)))
    assert far_east == NOW
    add_times(engine, MODEL.key, far_east, {Stage.FETCH: Spent(1.0, 1)})
    add_times(engine, MODEL.key, NOW + timedelta(hours=1), {Stage.FETCH: Spent(2.0, 1)})

    found = [sum_times(engine, MODEL.key, date(2026, 5, day))[Stage.FETCH].seconds for day in (20, 21, 22)]

    assert found == [3.0, 2.0, 0.0]


def test_of_workers_that_add_at_the_same_moment_in_any_order_nothing_is_lost(engine: Engine) -> None:
    stages = list(Stage)

    def worker(order: list[Stage]) -> None:
        for _ in range(25):
            add_times(engine, MODEL.key, NOW, {stage: Spent(0.5, 1) for stage in order})

    all_at_once([partial(worker, order) for order in (stages, stages[::-1]) * 2])

    assert sum_times(engine, MODEL.key) == {stage: Spent(50.0, 100) for stage in Stage}


def test_a_mean_is_of_the_exams_and_there_is_none_before_the_first() -> None:
    assert Spent(3.0, 2).seconds_each == 1.5
    assert Spent().seconds_each is None
