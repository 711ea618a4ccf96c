"""A patient's age on a day, in words."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.dates import parse_partial_date
from hooks.ages import age_in_words, ages_by_day

DAY = date(2026, 5, 3)


@pytest.mark.parametrize(
    ("birth_date", "words"),
    [
        ("1974-05-03", "52"),
        ("1974-05-04", "51"),
        ("1974-05", "about 51 to 52"),
        ("1974", "about 51 to 52"),
        ("2026-05-03", "0"),
        ("2026", ""),
        ("2030-01-01", ""),
        ("", ""),
    ],
)
def test_an_age_is_as_exact_as_the_birth_date(birth_date: str, words: str) -> None:
    assert age_in_words(parse_partial_date(birth_date), DAY) == words


@given(st.lists(st.dates()))
def test_ages_are_told_of_the_days_after_birth_and_of_no_others(days: list[date]) -> None:
    born = parse_partial_date("1974-05-03")
    assert born is not None
    assert set(ages_by_day(born, days)) == {day.isoformat() for day in days if day >= born.latest}
