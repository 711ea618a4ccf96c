"""The scores of each unit, month by month, on every database."""

from __future__ import annotations

import math
from datetime import date
from statistics import fmean
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete
from sqlmodel import Session

from cds.store.records import score_values
from cds.store.score_spread import FEWEST, spread_of_scores
from cds.store.store import Store
from cds.store.tables import Exam, Score, Scoring
from model.domain import STANDARD_VIEWS, AcquisitionDevice, Provenance, SourceImage
from tests.cds.builders import EHR, MODEL, NOW, PATIENT, claimed, new_exam, scored

DAY = date(2026, 5, 3)
SELENIA = AcquisitionDevice("HOLOGIC", "Selenia", "1.8")


def put(engine: Engine, risks: list[float], day: date = DAY, device: AcquisitionDevice = SELENIA) -> None:
    """The scores of so many exams of one unit on one day."""
    name = f"{device.manufacturer}{device.model_name}{day}".encode().hex()
    exams = [scored(f"{name}.{n}", risk, day, device=device) for n, risk in enumerate(risks)]
    at: dict[str, Any] = {"ehr": EHR, "patient_id": PATIENT, "patient_identifiers": [], "first_seen_at": NOW}
    done: dict[str, Any] = {"model": MODEL.key, "state": "scored", "queued_at": NOW, "due_at": NOW, "exclusions": []}
    with Session(engine) as session:
        for exam in exams:
            of, score = Exam(key=exam.study_uid, study_uid=exam.study_uid, **at), Score(**score_values(exam))
            session.add_all([of, score])
            session.flush()
            session.add(Scoring(exam_id=of.id or 0, score_id=score.id, **done))
        session.commit()


def nearest_rank(risks: list[float], part: float) -> float:
    return sorted(risks)[math.ceil(part * len(risks)) - 1]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0.002, 0.01, 0.017, 0.0171, 0.3, 1.0]), min_size=FEWEST, max_size=FEWEST + 9))
def test_it_is_the_mean_and_the_quartiles_whatever_the_scores_are(engine: Engine, risks: list[float]) -> None:
    with engine.begin() as connection:
        for table in (Scoring, Exam, Score):
            connection.execute(delete(table))
    put(engine, risks)

    (found,) = spread_of_scores(engine, MODEL.key, DAY)

    assert (found.device, found.month, found.exams) == ("HOLOGIC Selenia", "2026-05", len(risks))
    assert found.mean == pytest.approx(fmean(risks))
    quartiles = (found.lower, found.median, found.upper)
    assert quartiles == pytest.approx([nearest_rank(risks, part) for part in (0.25, 0.5, 0.75)])


def test_an_exam_counts_by_the_score_that_stands_and_not_at_all_when_its_ehr_has_withdrawn_it(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    for pixels in ("before", "after"):
        made = Provenance((SourceImage(STANDARD_VIEWS[0], "1.9", pixels),))
        store.reopen_study("1.2.1", NOW)
        store.save_score(claimed(store), scored(day=DAY, device=SELENIA, provenance=made))

    assert [one.exams for one in spread_of_scores(engine, MODEL.key, DAY)] == [1]
    store.unlist(EHR, PATIENT, [], NOW)
    assert spread_of_scores(engine, MODEL.key, DAY) == []


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
