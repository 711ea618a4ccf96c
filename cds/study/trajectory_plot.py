"""The figure of the published study: median scores of both groups by year before the index exam."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cds.pages.drawing import drawing
from cds.study.cohorts.aligned import MOST_PRIORS

WIDTH, HEIGHT = 7.6, 4.2
_LOOKS: Final[dict[str, Any]] = {
    "women with a cancer": {"color": "#b3541e", "marker": "o", "linestyle": "-"},
    "cancer-free women": {"color": "#1f5f8b", "marker": "s", "linestyle": "--"},
}
"""Told apart by colour, by mark and by line: colour alone not everybody sees, nor every printer prints."""


def trajectory_svg(by_year: pd.DataFrame) -> str:
    """Medians as lines and quartiles as bands, of the years that may be told; the others are gaps."""
    return drawing("trajectories", WIDTH, HEIGHT, partial(_draw, by_year=by_year))


def _draw(axes: Axes, by_year: pd.DataFrame) -> None:
    years = np.arange(MOST_PRIORS, -1, -1)
    for group, looks in _LOOKS.items():
        of_group = by_year[by_year["group"] == group].set_index("year").reindex(years)
        lower, median, upper = (
            of_group[f"{name} %"].to_numpy() for name in ("lower quartile", "median", "upper quartile")
        )
        axes.fill_between(-years, lower, upper, gid="quartiles", color=looks["color"], alpha=0.16, linewidth=0)
        axes.plot(-years, median, gid="median", label=group, linewidth=1.8, markersize=5.0, **looks)
    axes.set_ylim(bottom=0)
    axes.set_xticks(-years, [f"{year}" for year in years])
    axes.set_xlabel("years before the index exam")
    axes.set_ylabel("five-year score, median and quartiles")
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.grid(axis="y", linewidth=0.6, color="#d9dee3")
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.legend(loc="upper left", frameon=False)
