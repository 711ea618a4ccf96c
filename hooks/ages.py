"""A patient's age on a day, in words, as far as her birth date tells it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from fhir_mappings.dates import PartialDate, age_range_years


def age_in_words(born: PartialDate | None, day: date) -> str:
    """Her age in years, such as `52` or `about 51 to 52`; empty where it is not known, or she may be born later."""
    if born is None or day < born.latest:
        return ""
    youngest, oldest = age_range_years(born, day)
    return str(youngest) if youngest == oldest else f"about {youngest} to {oldest}"


def ages_by_day(born: PartialDate | None, days: Iterable[date]) -> dict[str, str]:
    """Her age on each of the days, by the day as YYYY-MM-DD; without those on which it is not known."""
    ages = {day.isoformat(): age_in_words(born, day) for day in days}
    return {day: age for day, age in ages.items() if age}
