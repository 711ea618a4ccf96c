"""FHIR partial dates and instants: what is written, no more and no less."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from fhir_mappings.elements import Json, as_object, text

_TIME = r"T[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\.[0-9]+)?)?(Z|[+-][0-1][0-9]:[0-5][0-9])?"
_FIRST_YEAR = 1970
_WRITTEN = re.compile(rf"([0-9]{{4}})(?:-([0-9]{{2}})(?:-([0-9]{{2}})(?:{_TIME})?)?)?")


@dataclass(frozen=True)
class PartialDate:
    """A date as far as it is known: `2026` is any day from 1 January to 31 December 2026."""

    earliest: date
    latest: date

    @property
    def is_exact(self) -> bool:
        """Whether the very day is known."""
        return self.earliest == self.latest


def parse_partial_date(value: object) -> PartialDate | None:
    """A FHIR `date` or `dateTime` as the days it may mean; None for anything else.

    Of a dateTime the written day is taken, as the place that wrote it saw its calendar; it is not converted to UTC.
    """
    written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if written is None:
        return None
    year, month, day = (int(part) if part else None for part in written.groups()[:3])
    try:
        return _days_meant(year or 0, month, day)
    except ValueError:  # the year 0, month 13, 30 February
        return None


def _days_meant(year: int, month: int | None, day: int | None) -> PartialDate:
    first = date(year, month or 1, day or 1)
    last_month = month or 12
    return PartialDate(first, date(year, last_month, day or monthrange(year, last_month)[1]))


def day_there(value: object, zone: tzinfo) -> date | None:
    """The day of a FHIR `dateTime` where it happened; None unless the very day is known.

    It is the written one. Only a server that keeps all its moments in UTC does not say what day it was there: then it
    is the day of `zone`.
    """
    day = parse_partial_date(value)
    if day is None or not day.is_exact:
        return None
    moment = _moment(text(value))
    return moment.astimezone(zone).date() if moment and moment.utcoffset() == timedelta(0) else day.earliest


def _moment(written: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:  # a leap second
        return None
    return moment if moment.tzinfo and date.min < moment.date() < date.max else None


def age_range_years(birth: PartialDate, on: date) -> tuple[int, int]:
    """The youngest and the oldest age in full years that a patient may have on a day.

    Someone born on 29 February turns a year older on 1 March of common years. Never below 0.
    """
    return _age_years(birth.latest, on), _age_years(birth.earliest, on)


def _age_years(birth: date, on: date) -> int:
    before_birthday = (on.month, on.day) < (birth.month, birth.day)
    return max(0, on.year - birth.year - before_birthday)


def years_after(day: date, years: int) -> date:
    """The same day some years later; 29 February becomes 28 February where there is none, and 9999 is the last year."""
    year = day.year + years
    if year > date.max.year:
        return date.max
    return day.replace(year=year, day=min(day.day, monthrange(year, day.month)[1]))


def instant(moment: datetime) -> str:
    """A moment as FHIR writes it, in UTC to the second; raises ValueError for a moment without a time zone."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError("a FHIR instant needs a time zone: pass an aware datetime")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def last_updated(resource: Json) -> datetime | None:
    """When its server last changed a resource (`meta.lastUpdated`); None where it does not say so with a time zone.

    A moment before 1970 is none: some programs write an empty date as the first day of the year 1.
    """
    try:
        moment = datetime.fromisoformat(text(as_object(resource.get("meta")).get("lastUpdated")))
        return moment.astimezone(UTC) if moment.tzinfo and moment.year >= _FIRST_YEAR else None
    except (ValueError, OverflowError):
        return None
