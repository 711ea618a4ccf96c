"""How long hook calls take with every score stored and the prefetch complete, beside a bare JSON echo."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.answering import ECHO, PROCESSES
from benchmarks.concurrent_calls import CALLERS, answering, percentile, seconds_of_calls
from benchmarks.timing import Row
from benchmarks.women import EXAMS, call, store_exams
from tests.postgresql import postgresql

FEW, MANY = 1_000, 1_000_000
"""Stored exams: an answer must not take longer where a site has more of them."""
ASKED_ABOUT = 500
"""Women, spread over all of them; each is asked about again and again, as an EHR does while an order is made."""
WARM_UP_S = 3.0


def rows(for_s: float = 10.0) -> Iterator[Row]:
    """The service's answers and the echo of the same bodies, from two processes on one port each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        databases = {"SQLite": [f"sqlite:///{folder / str(stored)}.sqlite" for stored in (FEW, MANY)]}
        try:
            server = stack.enter_context(postgresql())
            databases["PostgreSQL"] = [server.new_database(), server.new_database()]
        except pytest.skip.Exception:
            pass  # it is not installed here, and the table says so by leaving it out
        for name, urls in databases.items():
            for stored, url in zip((FEW, MANY), urls, strict=True):
                yield from _rows(f"{stored:,} exams, {name}", url, stored // EXAMS, for_s)


def _rows(which: str, database_url: str, women: int, for_s: float) -> Iterator[Row]:
    store_exams(database_url, women)
    bodies = [call(number) for number in range(0, women, max(1, women // ASKED_ABOUT))]
    floor, answers = (_measured(what, bodies, for_s) for what in (ECHO, database_url))
    echo = f"bare Flask JSON echo, {PROCESSES} processes"
    for callers in (1, CALLERS):
        for share, word in ((0.5, "median"), (0.95, "95 %")):
            times, floors = percentile(answers[callers], share), percentile(floor[callers], share)
            remark = f"{len(answers[callers]) / for_s:.0f} a second"
            yield Row(f"hook, {callers} at a time, {word}: {which}", times, floors, echo, remark)


def _measured(what: str, bodies: list[bytes], for_s: float) -> dict[int, list[float]]:
    with answering(what) as port:
        seconds_of_calls(port, bodies, WARM_UP_S)
        return {callers: seconds_of_calls(port, bodies, for_s, callers) for callers in (1, CALLERS)}
