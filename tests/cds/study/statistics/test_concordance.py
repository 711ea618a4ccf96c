from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cds.study.progress import silently
from cds.study.statistics.censoring import uncensored
from cds.study.statistics.concordance import C_INDEX, MEASURES, drawn, in_resamples, measured, resampled
from tests.cds.study.landmarks import sixty

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
    from torchsurv.metrics.cindex import ConcordanceIndex

OF_R = {
    "auc_1": 0.6576881489,
    "auc_2": 0.7222681406,
    "auc_3": 0.6499977788,
    "auc_4": 0.5933262954,
    "auc_5": 0.5626666847,
    "c_index": 0.5641462096,
}
"""survival.R: R 4.2.2, survival 3.5.3."""


def test_auc_and_c_index_are_those_of_r() -> None:
    women = sixty()
    assert measured(women, women["score"].to_numpy()) == pytest.approx(OF_R, abs=1e-7)


def test_a_resample_of_everybody_once_gives_the_same_figures() -> None:
    women = sixty()
    once = counted(women, women["score"].to_numpy(), np.ones(len(women)))
    assert once == pytest.approx(OF_R, abs=1e-7)


women_by_chance = st.lists(
    st.tuples(st.integers(1, 9), st.integers(1, 28), st.booleans(), st.integers(0, 4)), min_size=3, max_size=40
)


@given(women_by_chance)
def test_a_woman_drawn_n_times_counts_as_n_women(rows: list[tuple[int, int, bool, int]]) -> None:
    women = frame(rows)
    times = np.array([row[3] for row in rows])
    repeated = women.loc[women.index.repeat(times)]
    if len(repeated) == 0:
        return
    expected = counted(repeated, repeated["score"].to_numpy(), np.ones(len(repeated)))
    found = counted(women, women["score"].to_numpy(), times)
    assert found == pytest.approx(expected, nan_ok=True)


@given(women_by_chance)
def test_the_c_index_is_torchsurv_s(rows: list[tuple[int, int, bool, int]]) -> None:
    women = frame(rows)
    years, is_case, score = (women[name].to_numpy() for name in ("years", "is_case", "score"))
    found = measured(women, score)[C_INDEX]
    if np.isnan(found):
        return
    weight = 1 / torch.tensor(uncensored(years, is_case, years))
    weight[torch.isinf(weight)] = 0
    told = torch.tensor(score), torch.tensor(is_case), torch.tensor(years)
    theirs = float(ConcordanceIndex()(*told, weight=weight, tmax=torch.tensor(5.0001)))
    assert found == pytest.approx(theirs, abs=1e-9)


def frame(rows: list[tuple[int, int, bool, int]]) -> pd.DataFrame:
    """Scores and quarters of years in so few values that many are equal."""
    return pd.DataFrame(
        {
            "score": [row[0] / 100 for row in rows],
            "years": [row[1] / 4 for row in rows],
            "is_case": [row[2] for row in rows],
        }
    )


def counted(women: pd.DataFrame, marker: np.ndarray, times: np.ndarray) -> dict[str, float]:
    """The figures of one resample in which each woman is drawn so many times."""
    drawn_once = np.asarray(times, np.float32)[:, None]
    found = in_resamples(women, {"score": marker}, drawn_once)["score"]
    return {name: float(found[name][0]) for name in MEASURES}


def test_resamples_are_the_same_for_a_seed_and_scatter_about_the_figure() -> None:
    women = pd.concat([sixty()] * 10, ignore_index=True)
    markers = {"score": women["score"].to_numpy(), "against": -women["score"].to_numpy()}
    once, again = (resampled(women, markers, 60, 3, silently) for _ in range(2))
    pd.testing.assert_frame_equal(once["score"], again["score"])
    assert len(once["score"]) == 60
    assert once["score"][C_INDEX].mean() == pytest.approx(OF_R["c_index"], abs=0.02)
    assert 0.005 < once["score"][C_INDEX].std() < 0.05
    assert list(once["score"]["auc_3"] + once["against"]["auc_3"]) == pytest.approx([1.0] * 60)


def test_as_many_are_drawn_as_there_are() -> None:
    counts = drawn(np.random.default_rng(1), 50, 4)
    assert counts.shape == (50, 4)
    assert list(counts.sum(axis=0)) == [50] * 4


def test_where_nobody_was_followed_beyond_a_year_it_has_no_auc() -> None:
    women = pd.DataFrame({"score": [0.1, 0.2, 0.3], "years": [0.5, 1.5, 1.7], "is_case": [True, True, False]})
    found = measured(women, women["score"].to_numpy())
    assert found["auc_1"] == 0.0
    assert np.isnan([found["auc_2"], found["auc_5"]]).all()
