"""The parts of the GPU's benchmark, each in a process of its own: what one of them does to the card, or hangs on, ends
with it, and what it told until then is kept.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from threading import Event, Timer
from typing import Any

from benchmarks.gpu import accuracy, network, night, pictures, trials
from benchmarks.gpu.subject import FULL, TINY, Subject
from benchmarks.running_record import Step, guarded
from benchmarks.timing import Finding, Line, NotMeasured, Row

TIME_S = 285.0
"""For all parts together: it must fit into what a machine is lent for."""
TOO_SHORT_S = 10.0
"""A part that has less is not begun: so long it takes until it measures anything."""


@dataclass(frozen=True)
class Part:
    """What is measured in one process, for so long at most. A trial may fail: what is in use is measured without it."""

    steps: Callable[[Subject], Iterator[Step]]
    limit_s: float
    is_trial: bool = False


PARTS: Mapping[str, Part] = {
    "network": Part(network.steps, 70),
    "pictures": Part(pictures.steps, 45),
    "accuracy": Part(accuracy.steps, 35),
    "trials": Part(trials.steps, 65, is_trial=True),
    "night": Part(night.steps, 180),
}
"""The last has what the others leave, and begins with what is missed most."""
KINDS: Mapping[str, type[Line]] = {kind.__name__: kind for kind in (Row, Finding, NotMeasured)}


def lines(subject: Subject = FULL, time_s: float = TIME_S) -> Iterator[Line]:
    """What all parts tell, as they tell it."""
    ends_s = time.monotonic() + subject.patience * time_s
    for name, part in PARTS.items():
        left_s = min(subject.patience * part.limit_s, ends_s - time.monotonic())
        command = [sys.executable, "-m", "benchmarks.gpu", "--part", name, *(["--dry-run"] if subject is TINY else [])]
        what = f"{subject.name}: {name}"
        late = [NotMeasured(what, "the time was up before it was begun")]
        told = told_by(command, what, left_s) if left_s >= TOO_SHORT_S else late
        yield from (as_trial(line) if part.is_trial else line for line in told)


def as_trial(line: Line) -> Line:
    """Of what is only tried it is a finding that it does not work here."""
    if isinstance(line, NotMeasured):
        return Finding(line.what, f"it was tried, and not measured: {line.why}")
    return line


def told_by(command: Sequence[str], what: str, limit_s: float) -> Iterator[Line]:
    """The lines that a process tells, and if it does not end well, why; it is ended after so many seconds."""
    too_long = Event()

    def end() -> None:
        """With the processes that a compiler has begun."""
        too_long.set()
        os.killpg(process.pid, signal.SIGKILL)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:  # noqa: S603 - our own
        limit = Timer(limit_s, end)
        limit.start()
        try:
            yield from map(read, process.stdout or ())
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            limit.cancel()
    if too_long.is_set():
        yield NotMeasured(what, f"the rest: it had not ended after {limit_s:.0f} s")
    elif process.returncode:
        yield NotMeasured(what, f"the rest: its process ended with status {process.returncode}")


def tell(name: str, subject: Subject) -> None:
    """Measure one part, and print each line for `told_by`."""
    for line in guarded(PARTS[name].steps(subject)):
        print(written(line), flush=True)


def written(line: Line) -> str:
    """A line from one process to another."""
    return json.dumps({"kind": type(line).__name__, **asdict(line)})


def read(printed: str) -> Line:
    """The line again; what a library has printed beside them is kept as it is."""
    try:
        fields: dict[str, Any] = json.loads(printed)
        return KINDS[fields.pop("kind")](**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Finding("printed", printed.strip())
