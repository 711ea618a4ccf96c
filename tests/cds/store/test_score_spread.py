"""The scores of each unit, month by month, on every database."""

from __future__ import annotations

import math
from datetime import date
from statistics import fmean

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete

from cds.store.records import score_values
from cds.store.score_spread import FEWEST, spread_of_scores
from cds.store.tables import Score
from model.domain import AcquisitionDevice
from tests.cds.builders import MODEL, scored

DAY = date(2026, 5, 3)
SELENIA = AcquisitionDevice("HOLOGIC", "Selenia", "1.8")


def put(engine: Engine, risks: list[float], day: date = DAY, device: AcquisitionDevice = SELENIA) -> None:
    """The scores of so many exams of one unit on one day."""
    name = f"{device.manufacturer}{device.model_name}{day}".encode().hex()
    exams = [scored(f"{name}.{n}", risk, day, device=device) for n, risk in enumerate(risks)]
    with engine.begin() as connection:
        connection.execute(Score.__table__.insert(), [score_values(exam) for exam in exams])  # type: ignore[attr-defined] # SQLModel does not tell of the table


def nearest_rank(risks: list[float], part: float) -> float:
    return sorted(risks)[math.ceil(part * len(risks)) - 1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0.002, 0.01, 0.017, 0.0171, 0.3, 1.0]), min_size=FEWEST, max_size=FEWEST + 9))
def test_it_is_the_mean_and_the_quartiles_whatever_the_scores_are(engine: Engine, risks: list[float]) -> None:
    with engine.begin() as connection:
        connection.execute(delete(Score))
    put(engine, risks)

    (found,) = spread_of_scores(engine, MODEL.key, DAY)

    assert (found.device, found.month, found.exams) == ("HOLOGIC Selenia", "2026-05", len(risks))
    assert found.mean == pytest.approx(fmean(risks))
    quartiles = (found.lower, found.median, found.upper)
    assert quartiles == pytest.approx([nearest_rank(risks, part) for part in (0.25, 0.5, 0.75)])


def test_units_and_months_are_told_apart_and_software_is_not(engine: Engine) -> None:
    put(engine, [0.01] * 3)
    put(engine, [0.01] * 4, date(2026, 5, 31), AcquisitionDevice("HOLOGIC", "Selenia", "1.9"))
    put(engine, [0.01] * 5, date(2026, 6, 1))
    put(engine, [0.01] * 6, device=AcquisitionDevice("HOLOGIC", "Dimensions"))
    put(engine, [0.01] * 7, device=AcquisitionDevice())

    found = {(one.device, one.month): one.exams for one in spread_of_scores(engine, MODEL.key, DAY)}

    assert found == {
        ("HOLOGIC Dimensions", "2026-05"): 6,
        ("HOLOGIC Selenia", "2026-05"): 7,
        ("HOLOGIC Selenia", "2026-06"): 5,
        ("not named", "2026-05"): 7,
    }


def test_of_few_exams_only_their_number_is_told_because_it_would_be_one_womans_score(engine: Engine) -> None:
    put(engine, [0.021] * (FEWEST - 1))
    put(engine, [0.021] * FEWEST, date(2026, 6, 3))

    few, enough = spread_of_scores(engine, MODEL.key, DAY)

    assert (few.exams, few.mean, few.lower, few.median, few.upper) == (FEWEST - 1, None, None, None, None)
    assert enough.median == pytest.approx(0.021)


def test_exams_before_the_day_and_scores_of_another_model_do_not_count(engine: Engine) -> None:
    put(engine, [0.01] * 20)

    assert spread_of_scores(engine, MODEL.key, date(2026, 5, 4)) == []
    assert spread_of_scores(engine, "another model", DAY) == []


def test_two_units_that_are_called_the_same_are_told_as_one(engine: Engine) -> None:
    put(engine, [0.01] * 6, device=AcquisitionDevice("HOLOGIC Lorad", "Selenia"))
    put(engine, [0.03] * 6, device=AcquisitionDevice("HOLOGIC", "Lorad Selenia"))

    (found,) = spread_of_scores(engine, MODEL.key, DAY)

    assert (found.device, found.exams) == ("HOLOGIC Lorad Selenia", 12)
    assert found.mean == pytest.approx(0.02)
