"""What became of each woman, of rows that say it once or often, but never in two ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import WOMAN_COLUMNS
from cds.study.cohorts.tables import rows_named

UNKNOWN: Final = "unknown"
MOST_GROUPS: Final = 30
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "diagnosis_type": {"invasive": "invasive", "dcis": "DCIS", "unknown": UNKNOWN},
    "detection": {"screen": "screen", "interval": "interval", "unknown": UNKNOWN},
}
"""What may stand in a column, in any case of letters, and what it is called here."""


def women_of(rows: pd.DataFrame, columns: Sequence[str] = WOMAN_COLUMNS) -> pd.DataFrame:
    """What the rows say of each patient, by her number; raises StudyNotPossible where they contradict each other.

    A row that says nothing agrees with every other.
    """
    _few_groups(rows["group"])
    women = pd.DataFrame(index=pd.Index(rows["patient"].unique(), dtype="int32", name="patient"))
    for name in columns:
        values = _in_our_words(rows[name], WORDS[name]) if name in WORDS else rows[name]
        women[name] = _one_each(rows["patient"], values)
    return women


def _few_groups(groups: pd.Series) -> None:
    """The names of groups stand in the report, however few women are in them."""
    if groups.nunique() > MOST_GROUPS:
        raise StudyNotPossible(
            f"column group: more than {MOST_GROUPS} different words; give groups, and nothing of one woman"
        )


def _one_each(patients: pd.Series, values: pd.Series) -> pd.Series:
    pairs = pd.DataFrame({"patient": patients, "value": values})[values.notna()].drop_duplicates()
    contradict = pairs.index[pairs["patient"].duplicated(keep=False)]
    if len(contradict):
        named = rows_named(patients.index.isin(contradict))
        raise StudyNotPossible(f"column {values.name}, {named}: one woman's rows say different things of her")
    return pairs.set_index("patient")["value"]


def _in_our_words(values: pd.Series, words: Mapping[str, str]) -> pd.Series:
    found = {given: words.get(str(given).lower()) for given in values.cat.categories}
    strange = values.isin([given for given, ours in found.items() if ours is None])
    if strange.any():
        raise StudyNotPossible(
            f"column {values.name}, {rows_named(strange)}: neither empty nor one of {', '.join(words)}"
        )
    return values.map(found).astype(pd.CategoricalDtype(sorted(set(words.values()))))
