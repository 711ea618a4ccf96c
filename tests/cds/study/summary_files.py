"""Summaries of studies as a site has them in its folder of studies."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Final

from cds.study.telling.summaries import Figure, Origin, Summary, write_summary

DAY: Final = date(2026, 4, 2)
FIGURES: Final[dict[str, dict[str, Figure]]] = {
    "discrimination": {
        "auc_5_score": 0.7412,
        "auc_5_score_low": 0.71,
        "auc_5_score_high": 0.7702,
        "c_index_score": 0.73,
        "c_index_score_low": 0.7,
        "c_index_score_high": 0.76,
    },
    "calibrate": {
        "expected_over_observed_before": 1.42,
        "expected_over_observed_before_low": 1.2,
        "expected_over_observed_before_high": 1.68,
    },
    "repeatability": {
        "source": "repeats",
        "minimum_detectable_change_points": 0.552,
        "minimum_detectable_change_low": 0.5,
        "minimum_detectable_change_high": 0.6,
    },
    "impact": {
        "rule": "over 1.7 %",
        "threshold_flagged_percent": 34.2,
        "threshold_of_cancers_flagged_percent": 71.0,
        "threshold_flagged_percent_of_north": 31.0,
        "threshold_flagged_percent_of_south": None,
    },
    "drift": {"units_judged": 3, "units_in_alarm": 1},
}


def put_study(
    folder: Path, study: str, model: str | None, made_on: date = DAY, name: str = "", **changes: Figure
) -> None:
    """One study in a folder of its own, named for it where nothing else is said."""
    own = folder / (name or study)
    own.mkdir(parents=True)
    write_summary(Summary(Origin(study, model, made_on), FIGURES.get(study, {}) | changes), own)
