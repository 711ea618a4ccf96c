"""The chain of digests, apart from any database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.store.audit_chain import EMPTY, Fault, Head, canonical, chained, digest, fault_in
from tests.cds.builders import NOW

Rows = list[dict[str, Any]]

TEXTS = st.text(max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries({"at": st.datetimes(timezones=st.just(UTC)), "action": TEXTS, "ehr": st.none() | TEXTS}),
    min_size=3,
    max_size=8,
)


def first_fault(rows: Rows) -> Fault | None:
    """What is wrong with a trail of these rows, in the order of their numbers."""
    head = EMPTY
    for row in sorted(rows, key=lambda row: row["number"]):
        fault = fault_in(row, head)
        if fault:
            return fault
        head = Head(row["number"], row["digest"])
    return None


def trail(rows: Rows) -> Rows:
    return list(chained(rows, EMPTY))


@given(ROWS)
def test_what_was_chained_is_whole_and_numbered_without_a_gap(rows: Rows) -> None:
    chain = trail(rows)

    assert first_fault(chain) is None
    assert [row["number"] for row in chain] == list(range(1, len(rows) + 1))


@given(ROWS, st.integers(1, 7))
def test_a_trail_may_be_continued_anywhere(rows: Rows, cut: int) -> None:
    first = list(chained(rows[:cut], EMPTY))
    head = Head(first[-1]["number"], first[-1]["digest"])

    assert first + list(chained(rows[cut:], head)) == trail(rows)


@given(ROWS, st.data())
def test_a_change_is_found_at_the_very_entry(rows: Rows, data: st.DataObject) -> None:
    chain = trail(rows)
    place = data.draw(st.integers(0, len(chain) - 1))
    name = data.draw(st.sampled_from(["action", "ehr", "previous", "digest"]))
    chain[place] = {**chain[place], name: data.draw(TEXTS.filter(lambda value: value != chain[place][name]))}

    assert first_fault(chain) == Fault(place + 1, "it is not as it was written")


@given(ROWS, st.data())
def test_a_missing_entry_is_found_by_its_number(rows: Rows, data: st.DataObject) -> None:
    chain = trail(rows)
    place = data.draw(st.integers(0, len(chain) - 2))
    del chain[place]

    assert first_fault(chain) == Fault(place + 1, "it is missing")


@given(ROWS, st.data())
def test_entries_that_changed_places_are_found_at_the_first_of_them(rows: Rows, data: st.DataObject) -> None:
    chain = trail(rows)
    first, second = sorted(data.draw(st.permutations(range(len(chain))))[:2])
    chain[first] = {**chain[second], "number": first + 1}

    assert first_fault(chain) == Fault(first + 1, "it is not as it was written")


@given(ROWS, st.data())
def test_a_changed_entry_with_a_new_digest_does_not_fit_the_next_one(rows: Rows, data: st.DataObject) -> None:
    chain = trail(rows)
    place = data.draw(st.integers(0, len(chain) - 2))
    changed = {**chain[place], "action": chain[place]["action"] + "!"}
    chain[place] = {**changed, "digest": digest(canonical(changed))}

    assert first_fault(chain) == Fault(place + 2, "it was not written after the entry that stands before it now")


def test_an_entry_before_the_first_was_put_in() -> None:
    (row,) = chained([{"action": "scored"}], Head(-1, ""))

    assert first_fault([row]) == Fault(0, "it was put in: the trail begins with 1")


def test_a_column_that_older_entries_lack_changes_none_of_their_digests() -> None:
    assert canonical({"number": 1, "action": "scored", "later": None}) == canonical({"number": 1, "action": "scored"})


def test_one_moment_has_one_spelling_in_whatever_time_zone_it_is_told() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))

    assert canonical({"at": elsewhere}) == canonical({"at": NOW}) == '{"at":"2026-05-20T23:30:00.000000+00:00"}'


@pytest.mark.parametrize("value", [float("nan"), b"x", datetime(2026, 5, 20).date()])  # noqa: DTZ001 - only its day
def test_what_has_no_one_spelling_is_not_chained(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical({"detail": value})


def test_a_head_is_read_as_it_was_printed() -> None:
    head = Head(12, "ab" * 32)

    assert Head.parse(f" {head}\n") == head
    assert Head.parse(str(head).upper()) == head


@pytest.mark.parametrize("written", ["", "12", "12:", ":" + "a" * 64, "-1:" + "a" * 64, "12:" + "a" * 63, "x:y"])
def test_anything_else_is_no_head(written: str) -> None:
    with pytest.raises(ValueError, match="a head is NUMBER:DIGEST"):
        Head.parse(written)
