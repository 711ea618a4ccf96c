"""The nightly run at a terminal: find, score with a progress bar, sum up."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cds.night import Night, NightSummary
from cds.scoring.worker import Worker


def progress_bar(console: Console) -> Progress:
    """Exams done of exams to do, and the time left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )


def rescore_site(night: Night, worker: Worker, console: Console) -> NightSummary:
    """Queue every exam without a score, score what is due, and print what came of it."""
    found = night.find_exams()
    with progress_bar(console) as progress:
        task = progress.add_task("Scoring exams", total=found.pending)
        # Each exam once: one that fails is due again in a minute, and would keep a long run from ending.
        for _ in range(found.pending):
            if not worker.score_next():
                break
            progress.advance(task)
    summary = night.find_exams()
    console.print(
        f"{summary.patients} patients: {summary.scored} exams scored, {summary.refused} refused, "
        f"{summary.pending} still queued."
    )
    for problem in summary.problems:
        console.print(f"Could not look: {problem}")
    return summary
