"""How often the woman who is diagnosed had the higher score: AUC by year and c-index, with censoring.

Uno's cumulative/dynamic AUC (2007) is torchsurv's; his c-index (2011) and the resamples of both are counted here:
torchsurv keeps a row of all women for every case and goes through the women one by one, which for 500 resamples of a
site takes hours. The tests hold what is counted against torchsurv and against R's survival.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cds.study.cohorts.landmark import HORIZONS, RISK_YEARS
from cds.study.progress import Track
from cds.study.statistics.censoring import Floats, uncensored

with warnings.catch_warnings():
    # torchsurv compiles a check of its own, which is not used here, in a way that torch means to give up.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
    from torchsurv.metrics.auc import Auc

C_INDEX: Final = "c_index"
MEASURES: Final = (*(f"auc_{year}" for year in HORIZONS), C_INDEX)
Counts = NDArray[np.float32]
"""Exact for whole and half women up to 16 million."""
_CASES_AT_ONCE = 64
_MOST_COUNTS = 16_000_000
"""So many counts of women in resamples are held at once."""


def measured(women: pd.DataFrame, marker: Floats) -> dict[str, float]:
    """Each measure of a marker, of which more means sooner; not a number where nobody can be compared."""
    years, is_case = women["years"].to_numpy(), women["is_case"].to_numpy()
    as_they_are = np.ones((len(women), 1), np.float32)
    counted = in_resamples(women, {"": marker}, as_they_are)[""].iloc[0].to_dict()
    weight = 1 / torch.tensor(uncensored(years, is_case, years)).clamp(min=1 / len(women))
    told = torch.tensor(marker), torch.tensor(is_case), torch.tensor(years)
    for year in HORIZONS:
        if not np.isnan(counted[f"auc_{year}"]):
            at = torch.full((1,), year, dtype=torch.float64)
            auc = Auc()(*told, weight=weight, new_time=at, weight_new_time=at, instate=False)
            counted[f"auc_{year}"] = float(auc)
    return {name: float(counted[name]) for name in MEASURES}


@dataclass(frozen=True)
class _Compared:
    """Which cases are compared, each with the women whose `ends` lie after the case's `since`; see Uno 2007, 2011."""

    is_case: NDArray[np.bool_]
    since: Floats
    ends: Floats
    power: int


def _comparisons(years: Floats, is_case: NDArray[np.bool_]) -> dict[str, _Compared]:
    """By measure, those for which there is anybody to be compared."""
    compared = {}
    for year in HORIZONS:
        early = is_case & (years <= year)
        compared[f"auc_{year}"] = _Compared(early, np.full(early.sum(), float(year)), years, 1)
    early = is_case & (years <= RISK_YEARS)
    compared[C_INDEX] = _Compared(early, years[early], np.where(early, years, np.nextafter(years, np.inf)), 2)
    return {name: one for name, one in compared.items() if len(one.since) and (one.ends > one.since.min()).any()}


def resampled(
    women: pd.DataFrame, markers: Mapping[str, Floats], samples: int, seed: int, track: Track
) -> dict[str, pd.DataFrame]:
    """Each measure of each marker in every resample, a row each: the women drawn again, the same for every marker."""
    random, at_once = np.random.default_rng(seed), max(1, min(50, _MOST_COUNTS // len(women)))
    rounds = [min(at_once, samples - start) for start in range(0, samples, at_once)]
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in markers}
    for size in track(rounds, "resampling the women"):
        for name, found in in_resamples(women, markers, drawn(random, len(women), size)).items():
            parts[name].append(found)
    return {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}


def drawn(random: np.random.Generator, women: int, samples: int) -> Counts:
    """How often each of the women is drawn, a row each, in each resample, a column each."""
    counts = [np.bincount(random.integers(women, size=women), minlength=women) for _ in range(samples)]
    return np.stack(counts, axis=1).astype(np.float32)


def in_resamples(women: pd.DataFrame, markers: Mapping[str, Floats], counts: Counts) -> dict[str, pd.DataFrame]:
    """Each measure of each marker, a row for each column of how often each woman is drawn."""
    years, is_case = women["years"].to_numpy(), women["is_case"].to_numpy()
    remaining = np.stack([uncensored(years, is_case, years, of) for of in counts.T], axis=1)
    # A woman who was not drawn may outlast everybody who was.
    weights = np.divide(1, remaining, out=np.zeros_like(remaining), where=remaining > 0)
    nothing = np.full(counts.shape[1], np.nan)
    found = {name: dict.fromkeys(MEASURES, nothing) for name in markers}
    for measure, compared in _comparisons(years, is_case).items():
        cases = (weights**compared.power * counts.astype(float))[compared.is_case]
        for name, shares in zip(markers, _shares(compared, list(markers.values()), cases, counts), strict=True):
            found[name][measure] = shares
    return {name: pd.DataFrame(shares) for name, shares in found.items()}


def _shares(compared: _Compared, markers: list[Floats], cases: Floats, counts: Counts) -> list[Floats]:
    """How often the case has more of each marker, by resample; half where both have the same."""
    pairs, won = np.zeros(counts.shape[1]), np.zeros((len(markers), counts.shape[1]))
    scales = [_Scale.of(marker) for marker in markers]
    by_time = np.argsort(compared.since, kind="stable")
    for part in np.array_split(by_time, max(1, len(by_time) // _CASES_AT_ONCE)):
        since, weights = compared.since[part, None], cases[part]
        # Most women are compared with all cases of the part; only the few who end among them, case by case.
        is_sure = compared.ends > since.max()
        is_between = ~is_sure & (compared.ends > since.min())
        sure, between = np.where(is_sure[:, None], counts, np.float32(0)), counts[is_between]
        is_pair = (compared.ends[is_between] > since).astype(np.float32)
        pairs += (weights * (sure.sum(axis=0, dtype=float) + is_pair @ between)).sum(axis=0)
        for place, scale in enumerate(scales):
            case = scale.marker[compared.is_case][part]
            lower = is_pair * _lower(scale.marker[is_between], case[:, None])
            won[place] += (weights * (scale.below(case, sure) + lower @ between)).sum(axis=0)
    with np.errstate(invalid="ignore"):  # a resample without a case has no share
        return list(won / pairs)


def _lower(marker: Floats, case: Floats) -> Counts:
    return ((marker < case).astype(np.float32) + (marker <= case)) / np.float32(2)


@dataclass(frozen=True)
class _Scale:
    """A marker with its women in order."""

    marker: Floats
    order: NDArray[np.intp]
    in_order: Floats

    @classmethod
    def of(cls, marker: Floats) -> _Scale:
        order = np.argsort(marker, kind="stable")
        return cls(marker, order, marker[order])

    def below(self, case: Floats, counts: Counts) -> Floats:
        """How many women have less than each case, by resample; who has the same is half a woman."""
        sums = np.zeros((len(counts) + 1, counts.shape[1]), np.float32)
        np.cumsum(counts[self.order], axis=0, out=sums[1:])
        ends = (sums[np.searchsorted(self.in_order, case, side)] for side in ("left", "right"))
        return np.asarray(sum(ends) / 2, float)
