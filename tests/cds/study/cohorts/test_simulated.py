"""The cohort that nobody is in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cds.errors import StudyNotPossible
from cds.study.cohorts.reading import read_cohort
from cds.study.cohorts.simulated import simulated_cohort, write_simulated


def test_it_has_the_size_and_the_shape_of_the_published_study() -> None:
    found = simulated_cohort(1)

    assert (len(found.women), len(found.exams), int(found.is_diagnosed.sum())) == (54_014, 158_807, 817)
    assert found.women["diagnosis_type"][found.is_diagnosed].value_counts().to_dict() == {
        "invasive": 451,
        "DCIS": 118,
        "unknown": 248,
    }
    assert found.women["detection"][found.is_diagnosed].value_counts()[["screen", "interval"]].tolist() == [682, 135]
    counts = found.exams.groupby("patient").size()
    assert (counts.median(), counts.max()) == (3, 7)
    assert found.exams["score"].between(0.008, 1).all()
    assert (found.flow.left_out, found.flow.noted) == ((), ())


def test_the_same_seed_makes_the_same_women_and_another_others() -> None:
    one, same, other = (simulated_cohort(seed, 50, 5, 150) for seed in (1, 1, 2))

    pd.testing.assert_frame_equal(one.exams, same.exams)
    pd.testing.assert_frame_equal(one.women, same.women)
    assert not one.exams.equals(other.exams)


def test_who_has_a_cancer_is_followed_as_the_others_are() -> None:
    women = simulated_cohort(1, 2000, 300, 6000).women
    is_ill = women["diagnosis_date"].notna()

    assert (women["last_follow_up"][is_ill] > women["diagnosis_date"][is_ill]).all()
    years = women["last_follow_up"].dt.year
    assert years[is_ill].mean() == pytest.approx(years[~is_ill].mean(), abs=0.3)


@pytest.mark.parametrize("size", [(10, 11, 30), (10, 1, 9), (10, 1, 71), (0, 0, 0)])
def test_what_cannot_be_made_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(StudyNotPossible, match="no more cancers than women"):
        simulated_cohort(1, *size)


def test_its_file_is_read_as_the_cohort_that_it_is(tmp_path: Path) -> None:
    made = simulated_cohort(3, 60, 20, 200)
    write_simulated(made, tmp_path / "cohort.csv")

    found = read_cohort(tmp_path / "cohort.csv", None)

    pd.testing.assert_frame_equal(found.exams, made.exams, rtol=1e-5, check_categorical=False)
    pd.testing.assert_frame_equal(found.women, made.women, check_categorical=False)
    assert found.flow == made.flow
    assert (made.is_simulated, found.is_simulated) == (True, True)
