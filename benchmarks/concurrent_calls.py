"""Many calls at a time: how long they wait."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from itertools import cycle, islice

PATH = "/cds-services/breast-risk-order-select"
CALLERS = 20


@contextmanager
def answering(what: str) -> Iterator[int]:
    """The port of a server in processes of its own, while the block runs."""
    command = [sys.executable, "-m", "benchmarks.answering", what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        told = process.stdout.readline() if process.stdout else ""
        try:
            yield int(told)
        finally:
            process.terminate()


def seconds_of_calls(port: int, bodies: Sequence[bytes], for_s: float, callers: int = CALLERS) -> list[float]:
    """How long each call took that so many callers made, each one after the other, for so many seconds."""
    with ThreadPoolExecutor(callers) as pool:
        shares = [list(islice(bodies, n, None, callers)) or bodies for n in range(callers)]
        ends_s = time.perf_counter() + for_s
        return [each for times in pool.map(lambda share: _calls(port, share, ends_s), shares) for each in times]


def _calls(port: int, bodies: Sequence[bytes], ends_s: float) -> list[float]:
    """Each over a connection of its own, as a proxy makes them: kept ones may all be of one process."""
    times = []
    for body in cycle(bodies):
        started_s = time.perf_counter()
        if started_s > ends_s:
            break
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", PATH, body, {"Content-Type": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        said = answer.read()
        times.append(time.perf_counter() - started_s)
        connection.close()
        if answer.status != 200 or b'"cards":[]' in said.replace(b" ", b""):
            raise AssertionError(f"a call was answered {answer.status}: {said[:200]!r}")
    return times


def percentile(times: Sequence[float], share: float) -> float:
    """The time within which this share of the calls were answered."""
    return sorted(times)[round(share * (len(times) - 1))]
