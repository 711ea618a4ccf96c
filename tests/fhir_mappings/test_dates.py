"""Partial dates, ages and instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_mappings.dates import PartialDate, age_range_years, day_there, instant, parse_partial_date, years_after


@pytest.mark.parametrize(
    ("written", "earliest", "latest"),
    [
        ("2026", date(2026, 1, 1), date(2026, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2023-02", date(2023, 2, 1), date(2023, 2, 28)),
        ("2026-05-03", date(2026, 5, 3), date(2026, 5, 3)),
        ("9999-12", date(9999, 12, 1), date(9999, 12, 31)),
    ],
)
def test_a_partial_date_means_every_day_it_may_be(written: str, earliest: date, latest: date) -> None:
    assert parse_partial_date(written) == PartialDate(earliest, latest)


def test_only_a_full_date_is_exact() -> None:
    exact = [
        written for written in ("2026", "2026-05", "2026-05-03") if (d := parse_partial_date(written)) and d.is_exact
    ]
    assert exact == ["2026-05-03"]


@pytest.mark.parametrize(
    "written",
    ["2026-05-03T23:30:00-10:00", "2026-05-03T00:30:00+14:00", "2026-05-03T10:00:00.123Z", "2026-05-03T10:00"],
)
def test_of_a_date_and_time_the_written_day_is_taken_whatever_its_zone(written: str) -> None:
    assert parse_partial_date(written) == PartialDate(date(2026, 5, 3), date(2026, 5, 3))


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2026-05-04T01:00:00Z", date(2026, 5, 3)),
        ("2026-05-04T01:00:00.1234567+00:00", date(2026, 5, 3)),
        ("2026-05-04T07:00:00Z", date(2026, 5, 4)),
        ("2026-05-04T01:00:00-04:00", date(2026, 5, 4)),  # who names the zone has told the day there
        ("2026-05-04T01:00:00", date(2026, 5, 4)),
        ("2026-05-04", date(2026, 5, 4)),
        ("2026-12-31T23:59:60Z", date(2026, 12, 31)),
        ("0001-01-01T00:00:00Z", date(1, 1, 1)),
        ("2026-05", None),
        ("2026-05-04Tnoon", None),
        (20260504, None),
    ],
)
def test_a_moment_in_utc_is_of_the_clinics_day_and_any_other_of_the_written_one(
    written: object, day: date | None
) -> None:
    assert day_there(written, ZoneInfo("America/Los_Angeles")) == day


@pytest.mark.parametrize(
    "junk",
    [
        None,
        2026,
        "",
        "26",
        "2026-5",
        "2026-13",
        "2026-02-30",
        "0000",
        "2026-05-03Tnoon",
        "2026-05-03 ",
        "\uff12\uff10\uff12\uff16",
        [],
        {},
    ],
)
def test_junk_is_no_date(junk: object) -> None:
    assert parse_partial_date(junk) is None


def test_a_birth_date_with_only_a_year_gives_the_range_of_ages() -> None:
    birth = PartialDate(date(1991, 1, 1), date(1991, 12, 31))
    assert age_range_years(birth, date(2026, 6, 1)) == (34, 35)


def test_an_age_changes_on_the_birthday_itself() -> None:
    birth = PartialDate(date(1991, 6, 1), date(1991, 6, 1))
    assert age_range_years(birth, date(2026, 5, 31)) == (34, 34)
    assert age_range_years(birth, date(2026, 6, 1)) == (35, 35)


def test_someone_born_on_29_february_turns_older_on_1_march_of_common_years() -> None:
    birth = PartialDate(date(1992, 2, 29), date(1992, 2, 29))
    assert age_range_years(birth, date(2027, 2, 28)) == (34, 34)
    assert age_range_years(birth, date(2027, 3, 1)) == (35, 35)
    assert age_range_years(birth, date(2028, 2, 29)) == (36, 36)


def test_an_age_is_never_negative() -> None:
    assert age_range_years(PartialDate(date(2026, 1, 1), date(2026, 12, 31)), date(2026, 6, 1)) == (0, 0)


@given(st.dates(), st.dates(), st.dates())
def test_the_youngest_age_is_never_above_the_oldest(one: date, other: date, on: date) -> None:
    youngest, oldest = age_range_years(PartialDate(min(one, other), max(one, other)), on)
    assert 0 <= youngest <= oldest


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_written_date_reads_back_as_itself(day: date) -> None:
    assert parse_partial_date(day.isoformat()) == PartialDate(day, day)


def test_years_after_29_february_is_28_february_where_there_is_none() -> None:
    assert years_after(date(2024, 2, 29), 1) == date(2025, 2, 28)
    assert years_after(date(2024, 2, 29), 4) == date(2028, 2, 29)


@given(st.dates(), st.integers(0, 200))
@example(date(9999, 12, 31), 1)
@example(date(9996, 2, 29), 5)
def test_years_after_any_day_is_a_day_that_is_not_before_it(day: date, years: int) -> None:
    later = years_after(day, years)
    assert later >= day
    assert later.year == min(day.year + years, 9999)


def test_an_instant_is_written_in_utc() -> None:
    assert instant(datetime(2026, 5, 3, 1, 2, 3, 999, timezone(timedelta(hours=2)))) == "2026-05-02T23:02:03Z"
    assert instant(datetime(2026, 5, 3, tzinfo=UTC)) == "2026-05-03T00:00:00Z"


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        instant(datetime(2026, 5, 3))  # noqa: DTZ001 - the mistake under test
