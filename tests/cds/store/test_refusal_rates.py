"""Refused exams by month, on every database."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import Engine

from cds.store.refusal_rates import MonthOfRefusals, refusals_by_month
from cds.store.store import Store
from tests.cds.builders import MODEL, NOW, claimed, new_exam, refused, scored

BEGIN = date(2000, 1, 1)


def keep(store: Store, uid: str, day: date, ehr: str, *, is_refused: bool) -> None:
    """An exam of a day that was looked at."""
    store.register([new_exam(uid, performed_on=day, ehr=ehr)], MODEL.key, NOW)
    if is_refused:
        store.save_refusal(claimed(store), refused(uid), NOW)
    else:
        store.save_score(claimed(store), scored(uid, 0.02, day))


def test_they_are_counted_by_the_month_of_the_exam(engine: Engine) -> None:
    store = Store(engine)
    for number in range(4):
        keep(store, f"1.2.{number}", date(2026, 4, 3), "main", is_refused=number == 0)
    keep(store, "1.3.1", date(2026, 5, 31), "main", is_refused=False)
    store.register([new_exam("1.4.1", performed_on=date(2026, 5, 3))], MODEL.key, NOW)  # not looked at

    assert refusals_by_month(engine, MODEL.key, BEGIN) == [
        MonthOfRefusals("2026-04", 4, 1),
        MonthOfRefusals("2026-05", 1, 0),
    ]
    assert refusals_by_month(engine, MODEL.key, date(2026, 5, 1)) == [MonthOfRefusals("2026-05", 1, 0)]
    assert refusals_by_month(engine, "another", BEGIN) == []


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_study_that_two_ehrs_know_counts_once(engine: Engine, is_refused: bool) -> None:
    store = Store(engine)
    for ehr in ("main", "other"):
        keep(store, "1.2.1", date(2026, 4, 3), ehr, is_refused=is_refused)

    assert refusals_by_month(engine, MODEL.key, BEGIN) == [MonthOfRefusals("2026-04", 1, int(is_refused))]
