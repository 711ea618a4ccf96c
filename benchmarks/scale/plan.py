"""What a programme of so many exams a year needs, as it follows from measured costs and named assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, inf, isclose
from typing import Any

from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from benchmarks.scale.stage_costs import UNCOMPRESSED, Stage, StageCosts

OURS = "our assumption"
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
CALENDAR_DAYS = 365
HOURS_A_YEAR = 24 * CALENDAR_DAYS


def _assumed(value: float, sentence: str, source: str = OURS) -> Any:
    return field(default=value, metadata={"sentence": sentence, "source": source})


@dataclass(frozen=True)
class Programme:
    """Who is examined, when, and what is kept of it. `syntaxes` are the shares of transfer syntaxes in the archive."""

    exams_a_year: int
    working_days: float = _assumed(250, "days of a year on which women are examined")
    peak_day: float = _assumed(1.4, "exams of the busiest day, of the mean working day's")
    night_hours: float = _assumed(10, "hours in which the exams of a day are to be scored")
    years_kept: float = _assumed(7, "years of exams in the database", "the study: the index exam and six years before")
    years_rescored: float = _assumed(
        3, "years of exams that a new model scores again", "the study: a median of three exams a woman"
    )
    calls_an_exam: float = _assumed(4, "hook calls for an exam: an order selected and signed, a chart opened twice")
    syntaxes: tuple[tuple[str, float], ...] = (
        (UNCOMPRESSED, 0.3),
        (JPEGLosslessSV1.name, 0.4),
        (JPEG2000Lossless.name, 0.3),
    )

    def __post_init__(self) -> None:
        if not isclose(sum(share for _, share in self.syntaxes), 1.0):
            raise ValueError("the shares of the transfer syntaxes must add up to 1")

    @property
    def exams_a_day(self) -> float:
        """On a mean working day."""
        return self.exams_a_year / self.working_days

    @property
    def hook_calls_a_day(self) -> float:
        """On a mean working day."""
        return self.calls_an_exam * self.exams_a_day


@dataclass(frozen=True)
class Assumptions:
    """What was not measured here. Prices are in whatever currency the reader puts in."""

    utilisation: float = _assumed(0.7, "share of its time for which a core, a card or a line is counted on")
    compressed: float = _assumed(0.4, "size of a losslessly compressed picture, of the uncompressed one")
    cores_a_worker: float = _assumed(
        2, "cores of one worker process", "the machine of our benchmark; more of one worker are not counted on"
    )
    memory_gb_a_worker: float = _assumed(
        4, "GB of memory of one worker", "`imaging.in_flight_megabytes` (2 GB), the network (1 GB), and room"
    )
    cores_a_machine: float = _assumed(16, "cores of a machine; two machines where there are two workers")
    database_slack: float = _assumed(1.5, "room that changed rows leave in a database, of what its rows need")
    copies: float = _assumed(3, "copies of the database that are kept: itself and two backups")
    machine_gb: float = _assumed(20, "GB of disk of a machine: program, model, logs")
    busiest_hour: float = _assumed(0.2, "share of a day's hook calls in its busiest hour")
    burst: float = _assumed(5, "calls of the busiest second, of that hour's mean")
    exam_gflop: float = _assumed(
        943.9,
        "thousand million operations of an exam",
        "counted in the network as it runs; 985.4 in the published one, whose stem sees three equal channels",
    )
    gpu_tflop_a_second: float = _assumed(
        494,
        "matrix rate of a GPU, million million operations a second",
        "published peak of one H100 SXM in TF32, dense; put your card's",
    )
    gpu_efficiency: float = _assumed(
        1.0, "share of that rate that the network reaches", "no network reaches more; the goal of this project is 0.4"
    )
    core_hour_price: float = _assumed(0.05, "price of an hour of a core with its memory")
    gpu_hour_price: float = _assumed(3.0, "price of an hour of a GPU")
    gb_month_price: float = _assumed(0.1, "price of a GB of disk a month")


@dataclass(frozen=True)
class Scoring:
    """What scores the exams of a night: on its cores alone, or on GPUs with cores that prepare for them.

    Days to score again are around the clock beside new exams; the cost of an exam is that of all that is there all
    year, not only of what scores.
    """

    workers: int
    cores: int
    gpus: int
    exams_an_hour: float
    days_to_rescore: float
    cost_of_an_exam: float


@dataclass(frozen=True)
class Capacity:
    """What a programme needs, in whole things where there are no parts of them. What `on_gpus` says is a floor."""

    exams_a_night: float
    on_cpus: Scoring
    on_gpus: Scoring
    machines: int
    memory_gb: float
    mbit_a_second: float
    calls_a_second: float
    hook_processes: int
    database_gb: float
    storage_gb: float


@dataclass(frozen=True)
class Plan:
    """All that a need follows from: what was measured, who is examined, and what is assumed."""

    costs: StageCosts
    programme: Programme
    assumed: Assumptions

    def core_seconds(self, *, network: bool = True) -> float:
        """Processor-seconds of an exam of the mean transfer syntax; without what a GPU does: pictures and network."""
        costs = self.costs
        decoding = sum(share * costs.more_decoding_s(syntax) for syntax, share in self.programme.syntaxes)
        rest = costs.fetch.core_s + decoding + costs.store.core_s
        if network:
            return rest + costs.prepare.core_s + costs.score.core_s
        return rest + max(0.0, costs.prepare.core_s - costs.preprocess_core_s)

    @property
    def gpu_seconds(self) -> float:
        """Of one exam's forward on one GPU: measured where one was, else the floor that follows from its rate."""
        if self.costs.forward_gpu_s is not None:
            return self.costs.forward_gpu_s
        return self.assumed.exam_gflop / (1000 * self.assumed.gpu_tflop_a_second * self.assumed.gpu_efficiency)

    @property
    def wire_bytes(self) -> float:
        """From the archive, of an exam of the mean transfer syntax."""
        syntaxes, compressed = self.programme.syntaxes, self.assumed.compressed
        return self.costs.exam_bytes * sum(
            share * (1.0 if syntax == UNCOMPRESSED else compressed) for syntax, share in syntaxes
        )

    @property
    def database_bytes(self) -> float:
        """Of one exam with its assessment, and of the hook calls about it."""
        each = self.costs.database
        return each.exam + each.assessment + self.programme.calls_an_exam * each.call

    @property
    def exams_a_night(self) -> float:
        """Of the busiest day."""
        return self.programme.peak_day * self.programme.exams_a_day

    @property
    def exams_a_second(self) -> float:
        """Which cores, cards and lines must be able to do, so that the busiest night does not fill them."""
        return self.exams_a_night / (self.programme.night_hours * HOUR_S) / self.assumed.utilisation

    @property
    def calls_a_second(self) -> float:
        """In the busiest second of the busiest day."""
        calls = self.programme.peak_day * self.programme.hook_calls_a_day
        return calls * self.assumed.busiest_hour * self.assumed.burst / HOUR_S


def pipeline_seconds(stages: Sequence[Stage], cores: float) -> float:
    """Seconds an exam of one worker on so many cores: those of its slowest stage, or of all stages on its cores."""
    return max(*(stage.alone_s for stage in stages), sum(stage.core_s for stage in stages) / cores)


def capacity(plan: Plan) -> Capacity:
    """What the busiest night, the busiest second and the years need."""
    assumed, programme = plan.assumed, plan.programme
    hook_processes = ceil(plan.calls_a_second / (plan.costs.calls_a_second * assumed.utilisation))
    rows = programme.exams_a_year * programme.years_kept * plan.database_bytes
    database_gb = assumed.database_slack * rows / 1e9
    workers, cores = _workers(plan, network=True)
    # One for one worker; else two at least, so that one of them may be lost.
    machines = min(workers, max(2, ceil(cores / assumed.cores_a_machine)))
    storage_gb = assumed.copies * database_gb + machines * assumed.machine_gb
    # What answers calls and keeps rows costs the same whatever scores.
    beside = hook_processes * assumed.core_hour_price * HOURS_A_YEAR + storage_gb * 12 * assumed.gb_month_price
    return Capacity(
        exams_a_night=plan.exams_a_night,
        on_cpus=_scoring(plan, beside, gpus=0),
        on_gpus=_scoring(plan, beside, gpus=ceil(plan.exams_a_second * plan.gpu_seconds)),
        machines=machines,
        memory_gb=workers * assumed.memory_gb_a_worker,
        mbit_a_second=plan.exams_a_second * plan.wire_bytes * 8 / 1e6,
        calls_a_second=plan.calls_a_second,
        hook_processes=hook_processes,
        database_gb=database_gb,
        storage_gb=storage_gb,
    )


def _workers(plan: Plan, *, network: bool) -> tuple[int, int]:
    """Workers and their cores: as many as the work fills, and as fetch it all."""
    busy_cores = plan.exams_a_second * plan.core_seconds(network=network)
    workers = max(ceil(busy_cores / plan.assumed.cores_a_worker), ceil(plan.exams_a_second * plan.costs.fetch.alone_s))
    return workers, round(workers * plan.assumed.cores_a_worker)


def _scoring(plan: Plan, beside: float, *, gpus: int) -> Scoring:
    """`beside` is what is paid a year for all that does not score."""
    assumed = plan.assumed
    workers, cores = _workers(plan, network=not gpus)
    fastest = cores / plan.core_seconds(network=not gpus)
    if gpus:
        fastest = min(fastest, gpus / plan.gpu_seconds)
    hours = cores * assumed.core_hour_price + gpus * assumed.gpu_hour_price
    return Scoring(
        workers=workers,
        cores=cores,
        gpus=gpus,
        exams_an_hour=fastest * assumed.utilisation * HOUR_S,
        days_to_rescore=_days_to_rescore(fastest * assumed.utilisation * DAY_S, plan.programme),
        cost_of_an_exam=(hours * HOURS_A_YEAR + beside) / plan.programme.exams_a_year,
    )


def _days_to_rescore(exams_a_day: float, programme: Programme) -> float:
    """Whoever comes meanwhile is scored twice: by the model that there is, and by the new one."""
    free = exams_a_day - 2 * programme.exams_a_year / CALENDAR_DAYS
    return programme.years_rescored * programme.exams_a_year / free if free > 0 else inf
