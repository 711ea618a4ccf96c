"""What the site's own studies say of the validity and the fairness of one model version, for its source attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cds.study.telling.summaries import Figure, Summary, summaries_in

VALIDITY, VALIDITY_WATCH = "maintenance.local_validity", "maintenance.validity_watch"
FAIRNESS = "maintenance.local_fairness"
"""Keys of `model.source_attributes`: where the regulation asks for local data."""
_OF_GROUP: Final = "threshold_flagged_percent_of_"
_TOO_FEW: Final = "not told (too few)"
Figures = Mapping[str, Figure]


@dataclass(frozen=True)
class Evidence:
    """Sentences by the key of their attribute, and of each study that says nothing here, why."""

    said: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()


def evidence(folder: Path | None, model: str) -> Evidence:
    """What the studies below a folder say of the version with this key; nothing where no folder is named.

    Of several studies of one kind the newest counts. Raises StudyNotPossible where the folder cannot be read.
    """
    if folder is None:
        return Evidence()
    newest, unused = _newest(folder, model)
    said: defaultdict[str, list[str]] = defaultdict(list)
    for name, summary in newest.values():
        try:
            lines = [(key, words(summary.figures)) for key, words in _WORDS[summary.origin.study]]
        except (KeyError, TypeError, ValueError) as e:
            unused.append(f"{name!r}: its summary does not have the figures of such a study ({type(e).__name__})")
            continue
        for key, words in lines:
            said[key] += [f"At this site, study of {summary.origin.made_on}: {words}."] if words else []
    return Evidence({key: tuple(sentences) for key, sentences in said.items()}, tuple(unused))


def _newest(folder: Path, model: str) -> tuple[dict[str, tuple[str, Summary]], list[str]]:
    """The newest study of each kind with its folder's name, in the order of `_WORDS`; and why others are left out."""
    fitting: dict[str, list[tuple[str, Summary]]] = {study: [] for study in _WORDS}
    unused: list[str] = []
    for name, found in summaries_in(folder):
        if reason := _reason_against(found, model):
            unused.append(f"{name!r}: {reason}")
        elif isinstance(found, Summary):
            fitting[found.origin.study].append((name, found))
    newest: dict[str, tuple[str, Summary]] = {}
    for study, of_kind in fitting.items():
        in_order = sorted(of_kind, key=lambda one: one[1].origin.made_on)
        unused += [f"{name!r}: there is a newer {study} study" for name, _ in in_order[:-1]]
        if in_order:
            newest[study] = in_order[-1]
    return newest, unused


def _reason_against(found: Summary | str, model: str) -> str:
    if isinstance(found, str):
        return found
    origin = found.origin
    if origin.study not in _WORDS:
        return f"a study of {origin.made_on} that says nothing of a source attribute"
    if origin.model is None:
        return f"a {origin.study} study of {origin.made_on} that does not name the model of its scores"
    if origin.model != model:
        return f"a {origin.study} study of {origin.made_on} of the scores of another model version"
    return ""


def _discrimination(figures: Figures) -> str:
    auc, c_index = _with_interval(figures, "auc_5_score", 3), _with_interval(figures, "c_index_score", 3)
    return f"five-year AUC of the score {auc}, c-index {c_index}"


def _calibration(figures: Figures) -> str:
    return f"expected over observed at five years {_with_interval(figures, 'expected_over_observed_before', 2)}"


def _repeatability(figures: Figures) -> str:
    value = _number(figures, "minimum_detectable_change_points", 2)
    if figures["source"] != "repeats":
        return f"minimum detectable change {value} percentage points or less, an estimate without repeats"
    low, high = (_number(figures, f"minimum_detectable_change_{end}", 2) for end in ("low", "high"))
    return f"minimum detectable change {value} percentage points ({low} to {high})"


def _drift(figures: Figures) -> str:
    judged, alarms = _number(figures, "units_judged", 0), _number(figures, "units_in_alarm", 0)
    return f"the median scores of {alarms} of {judged} judged units have left the range of their earlier months"


def _impact(figures: Figures) -> str:
    flagged = _number(figures, "threshold_flagged_percent", 1, " %")
    said = f"{flagged} of the women were {figures['rule']}"
    if "threshold_of_cancers_flagged_percent" not in figures:
        return said
    return f"{said}; of the cancers found after it {_number(figures, 'threshold_of_cancers_flagged_percent', 1, ' %')}"


def _groups(figures: Figures) -> str:
    """Empty where the site has supplied no groups."""
    shares = [
        f"{name.removeprefix(_OF_GROUP)} {_number(figures, name, 1, ' %')}"
        for name in figures
        if name.startswith(_OF_GROUP)
    ]
    return f"women {figures['rule']}, by group: {', '.join(shares)}" if shares else ""


_WORDS: Final[Mapping[str, tuple[tuple[str, Callable[[Figures], str]], ...]]] = {
    "discrimination": ((VALIDITY, _discrimination),),
    "calibrate": ((VALIDITY, _calibration),),
    "repeatability": ((VALIDITY, _repeatability),),
    "impact": ((VALIDITY, _impact), (FAIRNESS, _groups)),
    "drift": ((VALIDITY_WATCH, _drift),),
}


def _with_interval(figures: Figures, name: str, decimals: int) -> str:
    value, low, high = (_number(figures, name + end, decimals) for end in ("", "_low", "_high"))
    return _TOO_FEW if _TOO_FEW in (value, low, high) else f"{value} ({low} to {high})"


def _number(figures: Figures, name: str, decimals: int, unit: str = "") -> str:
    value = figures[name]
    if value is None:
        return _TOO_FEW
    if isinstance(value, str):
        raise TypeError(f"{name} is no number")
    return f"{value:.{decimals}f}{unit}"
