"""What archives list, as several processes see it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine

from cds.store.arrivals import ArrivalRecords
from tests.cds.builders import NOW
from tests.cds.store.asking import all_at_once

STABLE = timedelta(minutes=30)
STUDIES = [f"1.2.{number}" for number in range(100)]


def test_processes_that_see_new_studies_at_the_same_moment_do_not_stop_each_other(engine: Engine) -> None:
    records = ArrivalRecords(engine)

    all_at_once([lambda: [records.see(uid, 4, NOW) for uid in STUDIES]] * 4)

    assert {records.see(uid, 4, NOW + STABLE) for uid in STUDIES} == {STABLE}


def test_a_study_that_grew_is_to_be_acted_on_again_and_what_it_had_is_kept(engine: Engine) -> None:
    records = ArrivalRecords(engine)
    records.see("1.2.1", 4, NOW)
    assert records.images("1.2.1") is None
    records.take("1.2.1", "digest")
    assert records.see("1.2.1", 4, NOW + STABLE) is None

    assert records.see("1.2.1", 5, NOW + STABLE) == timedelta()
    assert records.see("1.2.1", 5, NOW + 2 * STABLE) == STABLE
    assert records.images("1.2.1") == "digest"
