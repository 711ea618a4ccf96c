"""A run over the site at a terminal: find, score with a progress bar, write, sum up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Event

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cds.delivery.clerk import Clerk
from cds.errors import MammoTrendError
from cds.nightly.night import Night
from cds.scoring.pipeline import ScoringPipeline
from cds.store.runs import RunSummary
from cds.store.store import EVERYTHING, Selection
from cds.store.tables import Stage

log = logging.getLogger(__name__)

Limiting = Callable[[], Stage | None]
LINE_EVERY_S = 30.0
ELSEWHERE_S = 1.0


class _Rate(ProgressColumn):
    """Exams in an hour."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{3600 * speed:.0f} an hour" if speed else "")


class _Limiting(ProgressColumn):
    """The stage that the others wait for."""

    def __init__(self, limiting: Limiting) -> None:
        super().__init__()
        self._limiting = limiting

    def render(self, task: Task) -> Text:
        return Text(_limited(self._limiting()))


def _limited(stage: Stage | None) -> str:
    return f"limited by {stage}" if stage else ""


def progress_bar(console: Console, limiting: Limiting = lambda: None) -> Progress:
    """Exams done of exams to do, how many in an hour, the time left, and the stage that the others wait for."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, _Limiting(limiting), console=console)


class SiteRun:
    """One run over the site in this process, which shows how far it is."""

    def __init__(self, night: Night, pipeline: ScoringPipeline, clerk: Clerk, console: Console) -> None:
        self._night, self._pipeline, self._clerk, self._console = night, pipeline, clerk, console

    def run(self, stop: Event, selection: Selection = EVERYTHING) -> RunSummary:
        """Find every exam, try each that is queued once, assess, write, and print what came of it."""
        self._clerk.catch_up()
        summary = self._night.run(lambda started: self._settle(started, selection, stop), selection, stop)
        for line in summary_lines(summary, *self._left(selection)):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        return summary

    def _settle(self, started: datetime, selection: Selection, stop: Event) -> None:
        while not stop.is_set():
            self._score(started, selection, stop)
            while not stop.is_set() and self._clerk.work_next():
                pass
            # What the site's own nights have found in these weeks, if this is another model.
            self._night.store.queue_known(self._night.model, selection, self._night.now())
            if not self._untried(started, selection):
                return  # else the clerk has found earlier exams, which are scored before anything is concluded

    def _score(self, started: datetime, selection: Selection, stop: Event) -> None:
        """Until every exam has been tried: also those that a worker, dead or alive, had at the beginning."""
        night, total = self._night, self._untried(started, selection)
        with _progress(self._console, total, self._pipeline.limiting) as advance:
            while not stop.is_set():
                self._pipeline.drain(stop, night.now(), selection, advance)
                if not self._untried(started, selection):
                    return
                stop.wait(ELSEWHERE_S)

    def _untried(self, started: datetime, selection: Selection) -> int:
        return self._night.store.untried(self._night.model, started, selection, backlog=True)

    def _left(self, selection: Selection) -> tuple[int, int | None]:
        """How many exams of the selection are queued, and how many others; None where there are no others."""
        of_all, of_these = (
            sum(self._night.store.queued(self._night.model, which).values()) for which in (EVERYTHING, selection)
        )
        return of_these, None if selection == EVERYTHING else max(0, of_all - of_these)


class NoSuchPatient(MammoTrendError):
    """`rescore --patient` was given an id under which no exam is known."""


def refuse_unknown(night: Night, ehrs: Sequence[str], patient_id: str) -> None:
    """Raise NoSuchPatient where none of the EHRs is known to list an exam of this patient, after a run has asked them.

    The sentence names nobody.
    """
    if not any(night.store.exams_of(ehr, patient_id, night.model) for ehr in ehrs):
        raise NoSuchPatient("no exam is known of the patient of --patient: it takes her FHIR id, as her EHR writes it")


@contextmanager
def _progress(console: Console, total: int, limiting: Limiting) -> Iterator[Callable[[], None]]:
    """Something to call after each exam: a bar at a terminal, a line in the log now and then elsewhere."""
    if console.is_terminal:
        with progress_bar(console, limiting) as progress:
            task = progress.add_task("Scoring exams", total=total)
            yield lambda: progress.advance(task)
        return
    lines = _Lines(total, limiting)
    yield lines.advance
    lines.say()


class _Lines:
    """Progress as lines of the log, at most one in `LINE_EVERY_S` seconds."""

    def __init__(self, total: int, limiting: Limiting) -> None:
        self._total, self._done, self._limiting = total, 0, limiting
        self._began = self._said = time.monotonic()
        self._lock = threading.Lock()

    def advance(self) -> None:
        with self._lock:
            self._done += 1
            if time.monotonic() - self._said >= LINE_EVERY_S:
                self.say()

    def say(self) -> None:
        self._said = time.monotonic()
        rate = self._done / max(self._said - self._began, 1e-9)
        left_s = (self._total - self._done) / rate if rate else 0.0
        told = (self._done, self._total, 3600 * rate, max(left_s, 0.0), _limited(self._limiting()))
        log.info("%d of %d exams, %.0f an hour, %.0f s left, %s", *told)


def summary_lines(summary: RunSummary, queued: int, others: int | None = None) -> list[str]:
    """What a run came to, in words without identifiers.

    `others` is how many exams wait that are not of the run's selection; None where it was about all.
    """
    refused, failed = sum(summary.refused.values()), sum(summary.failed.values())
    found = f"Found {summary.found} new exams" + ("" if others is None else " in the whole site")
    selected = "" if others is None else f" of this selection, {others} others"
    return [
        f"{found}. Scored {summary.scored}, refused {refused}, failed {failed}; "
        f"wrote {summary.written} assessments. {queued} still queued{selected}.",
        *(f"Refused, {said}" for said in _by_count(summary.refused)),
        *(f"Held, {said}" for said in _by_count(summary.failed)),
        *(f"Could not look: {problem}" for problem in summary.problems),
        *(f"Cleared away, {said}" for said in _by_count(summary.cleared)),
    ]


def _by_count(reasons: Mapping[str, int]) -> list[str]:
    """The commonest reason first."""
    return [f"{count}: {reason}" for reason, count in sorted(reasons.items(), key=lambda said: (-said[1], said[0]))]
