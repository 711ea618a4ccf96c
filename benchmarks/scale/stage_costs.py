"""What an exam and a hook call cost, as the newest kept records of the benchmarks have it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pydicom.uid import ExplicitVRLittleEndian

from benchmarks.kept_results import NothingKept, Record, newest_row, newest_with, rows_of

UNCOMPRESSED = ExplicitVRLittleEndian.name
STAGES = ("fetch", "prepare", "score", "store")
PICTURES = 4
"""Of an exam."""
_DECODED = re.compile(r"decode one picture, (?P<syntax>.+): in use")
_FORWARD = re.compile(r"GPU: forward of one exam of \d+ together, tf32")
"""In the precision whose rate the plan reckons with where none was measured."""
_PREPROCESS = "full size: preprocess"
_BUSY = "hook, 20 at a time, median: 1,000,000 exams, PostgreSQL"
_PROCESSES = re.compile(r"(\d+) processes")


@dataclass(frozen=True)
class Stage:
    """What a stage takes for one exam: processor-seconds of ours, and seconds while no other stage is at work.

    In those of `fetch` the benchmark's archive takes half a second to begin, and as many exams are asked for at the
    same time as a worker asks for.
    """

    core_s: float
    alone_s: float


@dataclass(frozen=True)
class DatabaseBytes:
    """Of PostgreSQL, with indexes: for an exam scored by one model, another model's score of it, and what follows."""

    exam: float
    another_model: float
    assessment: float
    call: float


@dataclass(frozen=True)
class StageCosts:
    """Measured, of a full-size exam of four uncompressed pictures and the full-size network on a CPU.

    `preprocess_core_s` is what of `prepare` a GPU does itself: all cores for as long as it took, so it is no less.
    `decode_s` is that of one picture by the name of its transfer syntax, `calls_a_second` that of one process with
    PostgreSQL on the same cores, `forward_gpu_s` None where no GPU was measured.
    """

    fetch: Stage
    prepare: Stage
    score: Stage
    store: Stage
    preprocess_core_s: float
    exam_bytes: float
    decode_s: Mapping[str, float]
    forward_gpu_s: float | None
    calls_a_second: float
    database: DatabaseBytes
    cores: int

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """From kept records, newest first; raises NothingKept where a benchmark has not been run."""
        measured = newest_with(records, "stages")
        stages, cores = measured["stages"], int(measured["machine"]["cores"])
        fetch, prepare, score, store = (Stage(**stages[name]) for name in STAGES)
        return cls(
            fetch=fetch,
            prepare=prepare,
            score=score,
            store=store,
            preprocess_core_s=cores * newest_row([measured], _PREPROCESS)["seconds"],
            exam_bytes=stages["exam_bytes"],
            decode_s=_decode_s(records),
            forward_gpu_s=_forward_gpu_s(records),
            calls_a_second=_calls_a_second(records),
            database=DatabaseBytes(**newest_with(records, "database_bytes")["database_bytes"]["PostgreSQL"]),
            cores=cores,
        )

    def more_decoding_s(self, syntax: str) -> float:
        """What the four pictures of an exam take more to decode than uncompressed ones; one core at most."""
        if syntax not in self.decode_s:
            raise NothingKept(f"no kept record has the decoding of {syntax!r}; there are {', '.join(self.decode_s)}")
        return PICTURES * max(0.0, self.decode_s[syntax] - self.decode_s[UNCOMPRESSED])


def stages_told(records: Sequence[Record], model: str) -> list[Stage]:
    """Of a model, as the rows of the night's benchmark have them; raises NothingKept."""
    rows = [newest_row(records, f"{model}: {stage} alone") for stage in STAGES]
    return [Stage(core_s=float(row["remark"].split()[0]) / 1000, alone_s=row["seconds"]) for row in rows]


def _decode_s(records: Sequence[Record]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows_of(records):
        if said := _DECODED.fullmatch(row["what"]):
            found.setdefault(said["syntax"], row["seconds"])
    return found


def _forward_gpu_s(records: Sequence[Record]) -> float | None:
    return next((float(row["seconds"]) for row in rows_of(records) if _FORWARD.fullmatch(row["what"])), None)


def _calls_a_second(records: Sequence[Record]) -> float:
    row = newest_row(records, _BUSY)
    return calls_told(row) / processes_told(row)


def calls_told(row: Record) -> float:
    """How many calls a second a row of the hook's benchmark tells of."""
    return float(row["remark"].split()[0])


def processes_told(row: Record) -> int:
    """How many processes answered them."""
    told = _PROCESSES.search(row["floor"])
    if told is None:
        raise NothingKept(f"the row {row['what']!r} does not say how many processes answered")
    return int(told[1])
