"""What each policy comes to, for all women and for the parts of them, with every count that is too small hidden."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cds.study.flagging import Flagged, Screened
from cds.study.statistics.proportions import shares
from cds.study.telling.report import Table
from cds.study.telling.small_cells import NOT_TOLD, hidden_together

CANCERS = ["cancers flagged", "cancers not flagged"]
RATE = {"share": "flagged (%)", "low": "from (%)", "high": "to (%)"}
CANCER_SHARE = {"share": "of cancers flagged (%)", "low": "of cancers, from (%)", "high": "of cancers, to (%)"}


def policies_table(
    policies: list[Flagged], screened: Screened, capacity_a_week: float, has_outcomes: bool, fewest: int
) -> pd.DataFrame:
    """A row for each policy; the two halves of a whole are hidden together, as one would follow from the other."""
    frame = pd.DataFrame([_overall(one, screened, capacity_a_week) for one in policies])
    rates = _in_columns(shares(frame["women flagged"], frame["women"]), RATE)
    flagged = pd.concat([frame[["women flagged"]], rates, frame[["MRI a week", "weeks over capacity"]]], axis=1)
    not_flagged = frame["women"] - frame["women flagged"]
    too_few = _is_small(pd.concat([frame["women flagged"], not_flagged], axis=1), fewest)
    cancers_few = _is_small(frame[CANCERS], fewest)
    everybody = pd.Series(0, index=policies[0].women.index)
    for place, one in enumerate(policies):
        too_few[place] |= bool(_nearly(one, policies[:place], "is_flagged", everybody, fewest).any())
        cancers_few[place] |= bool(_nearly(one, policies[:place], "has_cancer", everybody, fewest).any())
    shown = [frame[["policy", "rule"]], _hide(flagged, too_few)]
    if has_outcomes:
        found = _in_columns(shares(frame[CANCERS[0]], frame[CANCERS].sum(axis=1)), CANCER_SHARE)
        cancers = pd.concat([frame[CANCERS], found], axis=1)
        shown += [_hide(cancers, cancers_few), _hide(frame[["followed up (%)"]], _tells_few(frame, fewest))]
    return pd.concat(shown, axis=1)


def _nearly(one: Flagged, others: Sequence[Flagged], which: str, part: pd.Series, fewest: int) -> pd.Series:
    """In which parts another policy flags the same women, or those with a cancer, and a few more or a few less.

    Who takes the one number from the other has the few.
    """
    near = pd.Series(False, index=part.unique())
    mine = one.women["is_flagged"] & one.women[which]
    for theirs in (other.women["is_flagged"] & other.women[which] for other in others):
        more, less = ((mine & ~theirs).groupby(part).sum(), (theirs & ~mine).groupby(part).sum())
        near |= ((more == 0) & less.between(1, fewest - 1)) | ((less == 0) & more.between(1, fewest - 1))
    return near


def _tells_few(frame: pd.DataFrame, fewest: int) -> pd.Series:
    """Whether a share in whole per cent, rounded down, says that a few were followed up, or that a few were not."""
    percent, women = frame["followed up (%)"], frame["women"]
    few_are_not = (percent < 100) & (women * (100 - percent) < 100 * fewest)
    return few_are_not | (women * (percent + 1) <= 100 * fewest)


def _overall(one: Flagged, screened: Screened, capacity_a_week: float) -> dict[str, object]:
    flagged, period = one.women["is_flagged"], screened.period
    week = (one.women["index_date"][flagged] - pd.Timestamp(period.since)).dt.days // 7
    whole_weeks = math.floor(period.weeks)
    by_week = np.bincount(week, minlength=whole_weeks)[:whole_weeks]
    return {
        "policy": one.name.replace("_", " "),
        "rule": one.words,
        "women": len(flagged),
        "women flagged": int(flagged.sum()),
        "MRI a week": round(flagged.sum() / period.weeks, 2),
        "weeks over capacity": f"{(by_week > capacity_a_week).sum()} of {whole_weeks}",
        CANCERS[0]: int((one.women["has_cancer"] & flagged).sum()),
        CANCERS[1]: int((one.women["has_cancer"] & ~flagged).sum()),
        "followed up (%)": math.floor(100 * one.women["is_complete"].mean()),
    }


def parts_table(screened: Screened, policies: list[Flagged], by: str, has_outcomes: bool, fewest: int) -> Table | None:
    """Every policy in the parts of the women, for fairness; None where there is only one part."""
    part = screened.parts[by]
    women = part.value_counts(sort=False).sort_index()
    if len(women) < 2:
        return None
    few = hidden_together(women.to_frame(), fewest)
    frames = [
        _of_policy(one, policies[:place], part, women, few, has_outcomes, fewest) for place, one in enumerate(policies)
    ]
    note = (
        f"As at her last exam of the period. {NOT_TOLD.capitalize()}: fewer than {fewest}, or it would follow by "
        "subtraction. Parts differ by chance: hold an interval against an interval. A higher share flagged may be a "
        "higher risk, an older age, or a score that fits a part less well; where cancers are told, compare their "
        "shares too."
    )
    return Table(f"by_{by}", f"By {by}", pd.concat(frames, ignore_index=True), note)


def _of_policy(
    one: Flagged,
    before: Sequence[Flagged],
    part: pd.Series,
    women: pd.Series,
    few: pd.Series,
    has_outcomes: bool,
    fewest: int,
) -> pd.DataFrame:
    flagged, cancer = one.women["is_flagged"], one.women["has_cancer"]
    kinds = {"flagged": flagged, "not flagged": ~flagged, CANCERS[0]: cancer & flagged, CANCERS[1]: cancer & ~flagged}
    counts = pd.DataFrame({name: kind.groupby(part).sum() for name, kind in kinds.items()}).reindex(women.index)
    near, near_in_cancers = (_nearly(one, before, which, part, fewest) for which in ("is_flagged", "has_cancer"))
    hidden = hidden_together(counts[["flagged", "not flagged"]], fewest, few | near.reindex(few.index))
    shown = [
        pd.DataFrame({"policy": one.name.replace("_", " "), "part": women.index}, index=women.index),
        _hide(women.to_frame("women"), few),
        _hide(counts[["flagged"]].rename(columns={"flagged": "women flagged"}), hidden),
        _hide(_in_columns(shares(counts["flagged"], women), RATE), hidden),
    ]
    if has_outcomes:
        unseen = hidden_together(counts[CANCERS], fewest, few | near_in_cancers.reindex(few.index))
        found = _in_columns(shares(counts[CANCERS[0]], counts[CANCERS].sum(axis=1)), CANCER_SHARE)
        shown += [_hide(counts[CANCERS], unseen), _hide(found, unseen)]
    return pd.concat(shown, axis=1)


def _in_columns(rates: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    return rates.round(2).rename(columns=names)


def _is_small(counts: pd.DataFrame, fewest: int) -> pd.Series:
    return ((counts > 0) & (counts < fewest)).any(axis=1)


def _hide(columns: pd.DataFrame, hidden: pd.Series) -> pd.DataFrame:
    return columns.astype(object).where(~hidden, NOT_TOLD)
