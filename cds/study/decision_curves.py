"""What a threshold gains: net benefit with censoring, Vickers et al., BMC Med Inform Decis Mak 2008;8:53."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from cds.pages.drawing import drawing
from cds.study.cohorts.landmark import RISK_YEARS
from cds.study.flagging import crossing
from cds.study.progress import Track
from cds.study.statistics.censoring import observed
from cds.study.statistics.concordance import drawn
from cds.study.telling.small_cells import may_be_told
from hooks.case import Comparator, MriPolicy

THRESHOLDS: Final = np.linspace(0, 0.10, 101)


def net_benefit(
    women: pd.DataFrame, threshold: float, comparator: Comparator, counts: ArrayLike | None = None
) -> tuple[float, float]:
    """Of flagging whose score crosses a threshold, and of flagging everybody; each a share of the women.

    It is the share who are flagged and diagnosed within five years, minus that of the flagged who are not, the latter
    weighed with the odds of the threshold. `counts` is how often each woman counts, where a resample is meant.
    """
    times = np.ones(len(women)) if counts is None else np.asarray(counts, float)
    flagged = crossing(women["score"], threshold, comparator).to_numpy()
    return _benefit(women, flagged, threshold, times), _benefit(women, np.ones(len(women), bool), threshold, times)


def _benefit(women: pd.DataFrame, flagged: np.ndarray, threshold: float, times: np.ndarray) -> float:
    chosen = flagged & (times > 0)
    if not chosen.any():
        return 0.0
    of, counted = women[chosen], times[chosen]
    share = observed(of["years"], of["is_case"], RISK_YEARS, counted).share
    return float(counted.sum() / times.sum() * (share - (1 - share) * threshold / (1 - threshold)))


@dataclass(frozen=True)
class Sides:
    """The scores of all women, and of those diagnosed within five years: both lie on two sides of a threshold.

    A net benefit with enough digits tells how many of either are flagged.
    """

    scores: tuple[pd.Series, pd.Series]

    @classmethod
    def of(cls, women: pd.DataFrame) -> Sides:
        """Of a landmark's women."""
        return cls((women["score"], women.loc[women["is_case"] & (women["years"] <= RISK_YEARS), "score"]))

    def may_be_told(self, policy: MriPolicy, fewest: int) -> bool:
        """Whether neither side of the site's threshold is small."""
        return all(
            may_be_told(len(one), [int(crossing(one, policy.threshold, policy.comparator).sum())], fewest)[0]
            for one in self.scores
        )

    def tellable(self, policy: MriPolicy, fewest: int) -> NDArray[np.bool_]:
        """At which thresholds, as seen from the site's, no side and nothing between two of them is small."""
        women, cancers = (_tellable(one, policy, fewest) for one in self.scores)
        return women & cancers


def _tellable(scores: pd.Series, policy: MriPolicy, fewest: int) -> NDArray[np.bool_]:
    flagged = [int(crossing(scores, threshold, policy.comparator).sum()) for threshold in THRESHOLDS]
    at_site = int(crossing(scores, policy.threshold, policy.comparator).sum())
    lower = int(np.searchsorted(THRESHOLDS, policy.threshold, side="right"))
    others = [len(scores) - count for count in flagged]
    below = may_be_told(len(scores) - at_site, others[:lower][::-1], fewest)[::-1]
    found = [*below, *may_be_told(at_site, flagged[lower:], fewest)]
    # What is the same as at the site's threshold is told where that is.
    is_site_told = may_be_told(len(scores), [at_site], fewest)[0]
    return np.array([may and (count != at_site or is_site_told) for may, count in zip(found, flagged, strict=True)])


def decision_curve(women: pd.DataFrame, policy: MriPolicy, fewest: int) -> pd.DataFrame:
    """`threshold`, `flagged` (percent), and net benefit by the score, of all and of none, for each hundred women.

    Nothing is told of the score where women, or cancers, that are flagged, that are not, or that lie between two
    thresholds are under `fewest`.
    """
    comparator = policy.comparator
    rows = [(100 * threshold, *net_benefit(women, threshold, comparator)) for threshold in THRESHOLDS]
    curve = pd.DataFrame(rows, columns=["threshold_percent", "score", "all"]).assign(none=0.0)
    flagged = [int(crossing(women["score"], threshold, comparator).sum()) for threshold in THRESHOLDS]
    curve.insert(1, "flagged_percent", 100 * np.array(flagged) / len(women))
    curve[["score", "all"]] *= 100
    curve.loc[~Sides.of(women).tellable(policy, fewest), ["flagged_percent", "score"]] = np.nan
    return curve


def gain_at(women: pd.DataFrame, policy: MriPolicy, samples: int, seed: int, track: Track) -> pd.DataFrame:
    """At the site's threshold, by resample: net benefit by the score, and how much more that is than of all."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in track(range(samples), "resampling the net benefit"):
        score, everybody = net_benefit(women, policy.threshold, policy.comparator, drawn(random, len(women), 1)[:, 0])
        rows.append((100 * score, 100 * (score - everybody)))
    return pd.DataFrame(rows, columns=["score", "more_than_all"])


def decision_curve_svg(curve: pd.DataFrame, policy: MriPolicy) -> str:
    """The three lines over the thresholds, with the site's marked."""

    def draw(axes: Axes) -> None:
        styles = {"score": ("#1f5f8b", "-"), "all": ("#8a949c", "--"), "none": ("#8a949c", ":")}
        for name, (colour, style) in styles.items():
            told = curve.dropna(subset=name)
            axes.plot(told["threshold_percent"], told[name], color=colour, linestyle=style, label=name, gid=name)
        axes.axvline(100 * policy.threshold, gid="site", color="#b5651d", linewidth=1.0, label="the site's threshold")
        top = float(np.nanmax(curve[["score", "all"]].to_numpy()))
        axes.set(xlim=(0, 10), ylim=(-0.4 * top, 1.1 * top) if top > 0 else None)
        axes.set(xlabel="threshold of the five-year score (%)", ylabel="net benefit for 100 women")
        axes.legend(frameon=False)

    return drawing("decision curve", 6.4, 3.8, draw)
