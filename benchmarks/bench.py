"""`make bench`: print the table, and keep it in `benchmarks/results/`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import decoding, gpu, hook, night, scoring
from benchmarks.timing import Row, machine

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure everything once."""
    on_a_gpu, pipeline = gpu.rows(scoring.FULL_EXAM, rounds=10), night.measured()
    rows = [*hook.rows(), *scoring.rows(rounds=3), *on_a_gpu, *decoding.rows(rounds=3), *pipeline.rows]
    console = Console(width=160)
    console.print(_table(rows))
    if machine()["device"] == "cpu":
        console.print("No GPU here: nothing was measured on one.")
    console.print(machine())
    day = datetime.now(UTC).date().isoformat()
    costs = {stage: asdict(alone) for stage, alone in pipeline.stages.items()}
    record: dict[str, Any] = {
        "date": day,
        "machine": machine(),
        "rows": [asdict(row) for row in rows],
        "stages": {"exam_bytes": night.EXAM_BYTES, **costs},
    }
    (RESULTS / f"{day}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title="Medians; compare the ratios")
    for heading in ("What", "ms", "floor, ms", "times the floor", "the floor is", "remark"):
        table.add_column(heading, justify="right" if "m" in heading and len(heading) < 10 else "left")
    for row in rows:
        floor = f"{1000 * row.floor_s:.2f}" if row.floor_s else "-"
        ratio = f"{row.seconds / row.floor_s:.1f}" if row.floor_s else "-"
        table.add_row(row.what, f"{1000 * row.seconds:.2f}", floor, ratio, row.floor, row.remark)
    return table


if __name__ == "__main__":
    main()
