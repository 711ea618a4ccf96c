"""Kept records as the benchmarks write them, with round numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.kept_results import Record
from benchmarks.scale.capacity import plans_of
from benchmarks.scale.plan import Plan

SYNTAXES = {
    "Explicit VR Little Endian": 0.005,
    "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])": 0.055,
    "JPEG 2000 Image Compression (Lossless Only)": 0.255,
}
MACHINE = {"cores": "2"}


def records(**changes: Any) -> list[Record]:
    """The newest records, as a site that has measured everything but a GPU has them."""
    stages = {
        "exam_bytes": 68e6,
        "fetch": {"core_s": 0.2, "alone_s": 0.15},
        "prepare": {"core_s": 0.4, "alone_s": 0.2},
        "score": {"core_s": 7.0, "alone_s": 3.5},
        "store": {"core_s": 0.01, "alone_s": 0.01},
    }
    database = {"exam": 2000.0, "another_model": 1800.0, "assessment": 2200.0, "call": 4000.0}
    night = {"date": "2026-11-29", "machine": MACHINE, "rows": _rows(), "stages": stages}
    size = {"date": "2026-11-28", "machine": MACHINE, "rows": [], "database_bytes": {"PostgreSQL": database}}
    return [night | changes, size]


def written(folder: Path) -> str:
    """The name of a folder that has these records, as the commands take it."""
    for number, record in enumerate(records()):
        (folder / f"{number}.json").write_text(json.dumps(record))
    return str(folder)


def row(what: str, seconds: float, remark: str = "", floor: str = "") -> Record:
    """One row of a table."""
    return {"what": what, "seconds": seconds, "floor_s": None, "floor": floor, "remark": remark}


def _rows() -> list[Record]:
    processor = {"fetch": 200, "prepare": 400, "score": 7000, "store": 10}
    alone = {"fetch": 0.15, "prepare": 0.2, "score": 3.5, "store": 0.01}
    echo = "bare Flask JSON echo, 2 processes"
    return [
        *(row(f"decode one picture, {name}: in use", seconds) for name, seconds in SYNTAXES.items()),
        row("full size: preprocess", 0.15),
        *(
            row(f"{model}: {stage} alone, an exam of 68 MB", alone[stage], f"{milliseconds} ms of processor")
            for model in ("full size", "demo model")
            for stage, milliseconds in processor.items()
        ),
        *(row(f"{model}: the pipeline, an exam", 4.0) for model in ("full size", "demo model")),
        row("a night of 200 exams, demo model, an archive that takes 0.5 s to begin, each", 3.9),
        *(
            row(f"hook, {callers} at a time, median: 1,000,000 exams, {database}", 0.01, f"{told} a second", echo)
            for database in ("SQLite", "PostgreSQL")
            for callers, told in ((1, 100), (20, 160))
        ),
    ]


def plan(exams_a_year: int = 200_000, *changes: str) -> Plan:
    """The plan of one programme from these records."""
    return plans_of({"one": exams_a_year}, records(), changes)["one"]
