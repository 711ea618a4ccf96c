"""What came of a soak, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import quantiles

from rich.console import Console
from rich.table import Table

from tests.soak.memory import ALLOWED_MB, ALLOWED_SHARE
from tests.soak.soak import Soaked


def print_table(soaked: Soaked, console: Console) -> None:
    """Calls by status with their times, memory by quarter, faults, and what was wrong."""
    console.print(f"seed {soaked.seed}, {soaked.seconds:.0f} s, {sum(soaked.found.calls.values())} calls answered")
    console.print(_calls(soaked))
    for name, told in _further(soaked):
        console.print(f"{name}: {told}", markup=False, highlight=False, soft_wrap=True)
    for problem in soaked.problems:
        console.print(f"WRONG: {problem}", markup=False, highlight=False, soft_wrap=True)
    console.print("nothing was wrong" if not soaked.problems else f"{len(soaked.problems)} things were wrong")


def _calls(soaked: Soaked) -> Table:
    statuses = sorted({status for _, status in soaked.found.calls})
    table = Table("Calls", *map(str, statuses), "p50 ms", "p95 ms", "longest ms")
    for what, took_s in sorted(soaked.found.took_s.items()):
        counts = (str(soaked.found.calls[what, status] or "") for status in statuses)
        table.add_row(what, *counts, *(f"{1000 * one:.0f}" for one in _times(took_s)))
    return table


def _times(took_s: list[float]) -> tuple[float, float, float]:
    cuts = quantiles(took_s, n=100, method="inclusive") if len(took_s) > 1 else took_s * 99
    return cuts[49], cuts[94], max(took_s)


def _further(soaked: Soaked) -> Iterator[tuple[str, str]]:
    found = soaked.found
    answered = sum(report.answered for report in found.reports)
    yield "cards", f"{len(found.cards)}, of which {_listed(found.kinds)}"
    yield "feedback", f"{len(found.reports)} different ones, {answered} answered"
    yield "in the database in the end", _listed(soaked.kept)
    yield "connections dropped by the EHR before the answer", _listed(found.hung_up)
    yield "faults of EHRs and archive", f"{sum(soaked.world.faults.values())}: {_listed(soaked.world.faults)}"
    quarters = ", ".join(f"{one:.1f}" for one in soaked.memory.quarters_mb)
    allowed = f"allowed from the second to the last: {ALLOWED_MB:.0f} MB or {ALLOWED_SHARE:.0%}"
    yield "memory of the service by quarter, MB", f"{quarters} ({allowed})"


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
