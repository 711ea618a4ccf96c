"""The nightly run at a terminal: find, score with a progress bar, sum up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cds.night import Night, NightSummary
from cds.scoring.worker import Worker

UNTRIED = "no attempt has come to an end yet: another worker has it, or was ended before it was done"


def progress_bar(console: Console) -> Progress:
    """Exams done of exams to do, and the time left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )


def rescore_site(night: Night, worker: Worker, console: Console) -> NightSummary:
    """Queue every exam without a score, try whatever is queued, and print what came of it and why the rest is held."""
    night.find_exams()
    started = night.assessor.now()
    _score(night, worker, console, started)
    found = night.find_exams()
    # Queued exams that the EHRs did not list this time are tried too, and told of.
    held = Counter(found.held) | Counter(night.assessor.queued())
    summary = replace(found, pending=held.total(), held=held)
    _print(summary, console)
    return summary


def _score(night: Night, worker: Worker, console: Console, started: datetime) -> None:
    """Every queued exam once: what fails is due again after `started`, so it does not keep the run from ending."""
    night.assessor.make_due(started)
    with progress_bar(console) as progress:
        task = progress.add_task("Scoring exams", total=sum(night.assessor.queued().values()))
        while worker.score_next(due_by=started):
            progress.advance(task)


def _print(summary: NightSummary, console: Console) -> None:
    lines = [
        f"{summary.patients} patients: {summary.scored} exams scored, {summary.refused} refused, "
        f"{summary.pending} still queued.",
        *_reasons(summary.held),
        *(f"Could not look: {problem}" for problem in summary.problems),
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _reasons(held: Mapping[str | None, int]) -> list[str]:
    """The commonest reason first."""
    by_count = sorted(held.items(), key=lambda reason: (-reason[1], reason[0] or ""))
    return [f"Held, {count}: {problem or UNTRIED}" for problem, count in by_count]
