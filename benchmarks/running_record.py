"""The record of a run while it goes on: what a later fault, or an impatient caller, ends has been printed and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.timing import Finding, Line, NotMeasured, Row

NUMBERS = ("ms", "floor, ms", "times the floor")

Step = tuple[str, Callable[[], Iterable[Line]]]
"""Something that is measured by itself: what it is, and how."""


def guarded(steps: Iterable[Step]) -> Iterator[Line]:
    """What the steps tell, one after the other; of one that fails, what it told until then, and why it failed."""
    for what, measure in steps:
        try:
            yield from measure()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the others are still to be measured
            yield NotMeasured(what, said(fault))


def said(fault: BaseException) -> str:
    """An error's name and first line: those of a GPU go on for pages."""
    first, *_ = [*str(fault).strip().splitlines(), ""]
    return f"{type(fault).__name__}: {first}"


@dataclass
class RunningRecord:
    """Rows in a file beside the one that is wanted, which gets its name only when the whole was measured."""

    file: Path
    machine: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    @property
    def unfinished(self) -> Path:
        """Where it is until then."""
        return self.file.with_name(f"{self.file.stem}-unfinished.json")

    @property
    def is_whole(self) -> bool:
        """Whether everything so far could be measured."""
        return not any(isinstance(line, NotMeasured) for line in self.lines)

    def add(self, line: Line) -> None:
        """Print one line and keep it."""
        self.lines.append(line)
        print(_told(line), flush=True)
        self._write()

    def finish(self, **also: Any) -> Path:
        """Print the table, and say where the record is: under its own name, with what else it has to have, if whole."""
        console = Console(width=160)
        console.print(_table(self.lines), self.machine)
        self._write(**(also if self.is_whole else {}))
        if not self.is_whole:
            return self.unfinished
        return self.unfinished.replace(self.file)

    def _write(self, **also: Any) -> None:
        rows, findings, not_measured = (
            [asdict(line) for line in self.lines if isinstance(line, kind)] for kind in (Row, Finding, NotMeasured)
        )
        day = datetime.now(UTC).date().isoformat()
        record = {"date": day, "machine": self.machine, "rows": rows, **also}
        record |= {"findings": findings} if findings else {}
        record |= {"not_measured": not_measured} if not_measured else {}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.unfinished.with_suffix(".new")
        new.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        new.replace(self.unfinished)


def _told(line: Line) -> str:
    if isinstance(line, Finding):
        return f"{line.what}: {line.found}"
    if isinstance(line, NotMeasured):
        return f"NOT MEASURED: {line.what}: {line.why}"
    floor = f" (floor {1000 * line.floor_s:.2f} ms: {line.floor})" if line.floor_s else ""
    return f"{line.what}: {1000 * line.seconds:.2f} ms{floor} {line.remark}".rstrip()


def _table(lines: Iterable[Line]) -> Table:
    table = Table(title="Medians; compare the ratios")
    for heading in ("What", "ms", "floor, ms", "times the floor", "the floor is", "remark"):
        table.add_column(heading, justify="right" if heading in NUMBERS else "left")
    for line in lines:
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> tuple[str, ...]:
    if isinstance(line, Finding):
        return (line.what, "-", "-", "-", "", line.found)
    if isinstance(line, NotMeasured):
        return (line.what, "-", "-", "-", "", f"not measured: {line.why}")
    floor = f"{1000 * line.floor_s:.2f}" if line.floor_s else "-"
    ratio = f"{line.seconds / line.floor_s:.1f}" if line.floor_s else "-"
    return (line.what, f"{1000 * line.seconds:.2f}", floor, ratio, line.floor, line.remark)
