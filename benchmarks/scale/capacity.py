"""What programmes of all sizes need: `python -m benchmarks.scale.capacity [--exams-a-year N] [--set NAME=VALUE]`.

Every cost of an exam was measured and is in a kept record; everything else is an assumption with a name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from math import floor, inf, log10
from pathlib import Path
from typing import Any

from benchmarks.kept_results import RESULTS, NothingKept, Record, kept_records, newest_row
from benchmarks.page_tables import into_page, markdown
from benchmarks.scale.plan import OURS, Assumptions, Capacity, Plan, Programme, capacity, pipeline_seconds
from benchmarks.scale.stage_costs import UNCOMPRESSED, StageCosts, calls_told, processes_told, stages_told

PROGRAMMES = {
    "one clinic": 5_000,
    "a hospital": 20_000,
    "a network": 200_000,
    "a country": 2_000_000,
    "a national programme": 10_000_000,
}
"""Exams a year. The study that this project follows had 158,807 in all."""
FLOOR = "floor, not measured"
NIGHT = "a night of"
HOOK = "median: 1,000,000 exams"


def capacity_table(plans: Mapping[str, Plan]) -> str:
    """A column for each programme."""
    needed = [capacity(plan) for plan in plans.values()]
    card = _told_of_cards(*plans.values())
    told: dict[str, Callable[[Capacity], str]] = {
        "exams of the busiest night": lambda one: number(one.exams_a_night),
        "cores that score": lambda one: number(one.on_cpus.cores),
        "workers": lambda one: number(one.on_cpus.workers),
        "machines": lambda one: number(one.machines),
        "hours that they take for that night": lambda one: number(one.exams_a_night / one.on_cpus.exams_an_hour),
        "memory of the workers, GB": lambda one: number(one.memory_gb),
        "from the archive, Mbit/s": lambda one: number(one.mbit_a_second),
        "hook calls in the busiest second": lambda one: number(one.calls_a_second),
        "processes that answer them": lambda one: number(one.hook_processes),
        "database, GB": lambda one: number(one.database_gb),
        "disks with backups, GB": lambda one: number(one.storage_gb),
        "days to score the archive again": lambda one: number(one.on_cpus.days_to_rescore),
        "cost of an exam": lambda one: f"{one.on_cpus.cost_of_an_exam:.4f}",
        f"GPUs ({card})": lambda one: number(one.on_gpus.gpus),
        f"cores beside them ({FLOOR})": lambda one: number(one.on_gpus.cores),
        f"days to score the archive again ({FLOOR})": lambda one: number(one.on_gpus.days_to_rescore),
        f"cost of an exam ({FLOOR})": lambda one: f"{one.on_gpus.cost_of_an_exam:.4f}",
    }
    exams = ["exams a year", *(number(plan.programme.exams_a_year) for plan in plans.values())]
    return markdown(["", *plans], [exams, *([what, *map(tell, needed)] for what, tell in told.items())])


def _told_of_cards(*plans: Plan) -> str:
    return FLOOR if any(plan.costs.forward_gpu_s is None for plan in plans) else "by the forward measured"


def costs_table(plan: Plan) -> str:
    """What the plan is fed with, a row each."""
    costs, database = plan.costs, plan.costs.database
    stages = {"fetch": costs.fetch, "prepare": costs.prepare, "score": costs.score, "store": costs.store}
    rows = {
        **{f"{name}, core-seconds an exam": stage.core_s for name, stage in stages.items()},
        **{
            f"more decoding, {syntax}, core-seconds an exam": costs.more_decoding_s(syntax)
            for syntax, _ in plan.programme.syntaxes
            if syntax != UNCOMPRESSED
        },
        "all of these by the shares of the syntaxes": plan.core_seconds(),
        f"the same beside a GPU, which makes the pictures, too ({FLOOR})": plan.core_seconds(network=False),
        "an uncompressed exam, MB": costs.exam_bytes / 1e6,
        "an exam on the wire by the shares, MB": plan.wire_bytes / 1e6,
        "hook calls a second of one process, PostgreSQL": costs.calls_a_second,
        "database: an exam with its score and audit entry, bytes": database.exam,
        "database: another model's score of it, bytes": database.another_model,
        "database: an assessment and its way to the chart, bytes": database.assessment,
        "database: a hook call, its card and audit entry, bytes": database.call,
        f"the network on a GPU, ms an exam ({_told_of_cards(plan)})": 1000 * plan.gpu_seconds,
        f"cores that keep busy one GPU that takes no longer ({FLOOR})": plan.core_seconds(network=False)
        / plan.gpu_seconds,
    }
    return markdown(["", "of an exam"], [[what, number(value)] for what, value in rows.items()])


def assumptions_table(plan: Plan) -> str:
    """Every assumption by the name under which `--set` changes it."""
    rows = [
        [f"`{one.name}`", number(getattr(thing, one.name)), one.metadata["sentence"], one.metadata["source"]]
        for thing in (plan.programme, plan.assumed)
        for one in fields(thing)
        if one.metadata
    ]
    rows += [["`--syntax`", number(share), syntax, OURS] for syntax, share in plan.programme.syntaxes]
    return markdown(["name", "value", "what", "from"], rows)


def check_table(plan: Plan, records: Sequence[Record]) -> str:
    """What the plan's way of reckoning gives for what was run, beside what was measured."""
    rows = [
        [what, number(reckoned), number(measured), f"{100 * (reckoned / measured - 1):+.0f} %"]
        for what, reckoned, measured in _checks(plan, records)
    ]
    return markdown(["", "reckoned", "measured", "off by"], rows)


def _checks(plan: Plan, records: Sequence[Record]) -> Iterator[tuple[str, float, float]]:
    for model in ("full size", "demo model"):
        pipeline = newest_row(records, f"{model}: the pipeline")
        reckoned = pipeline_seconds(stages_told(records, model), plan.costs.cores)
        yield f"{pipeline['what']}, ms", 1000 * reckoned, 1000 * pipeline["seconds"]
    night = newest_row(records, NIGHT)
    yield f"{night['what']}, ms", 1000 * reckoned, 1000 * night["seconds"]
    for database in ("SQLite", "PostgreSQL"):
        alone, together = (newest_row(records, f"hook, {callers} at a time, {HOOK}, {database}") for callers in (1, 20))
        one_by_one = processes_told(alone) / alone["seconds"]
        yield f"hook calls a second, {database}, 20 at a time", one_by_one, calls_told(together)


def number(value: float) -> str:
    """Three digits that count, and no more behind the point than that takes."""
    if value == inf:
        return "never"
    digits = max(0, 2 - floor(log10(abs(value)))) if value else 0
    told = f"{value:,.{min(digits, 4)}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def plans_of(
    sizes: Mapping[str, int], records: Sequence[Record], changes: Sequence[str] = (), syntaxes: Sequence[str] = ()
) -> dict[str, Plan]:
    """A plan for each number of exams a year, by its name; raises ValueError for a change of what there is not.

    Changes are such as `utilisation=0.8` and `score.core_s=6`, syntaxes such as `JPEG-LS Lossless Image Compression=1`.
    """
    plan = Plan(StageCosts.of(records), Programme(0), Assumptions())
    for change in changes:
        plan = _changed(plan, change)
    if syntaxes:
        mix = tuple((name, float(share)) for name, _, share in (one.rpartition("=") for one in syntaxes))
        plan = replace(plan, programme=replace(plan.programme, syntaxes=mix))
    return {name: replace(plan, programme=replace(plan.programme, exams_a_year=exams)) for name, exams in sizes.items()}


def _changed(plan: Plan, change: str) -> Plan:
    path, _, value = change.partition("=")
    name, _, part = path.partition(".")
    holders: dict[str, Any] = {place: getattr(plan, place) for place in ("costs", "programme", "assumed")}
    place = next((place for place, holder in holders.items() if name in _numbers(holder)), None)
    if place is None:
        raise ValueError(f"{path!r} is no name of the plan")
    old = getattr(holders[place], name)
    if bool(part) == isinstance(old, float | int | None) or (part and part not in _numbers(old)):
        raise ValueError(f"{path!r} is no number of the plan")
    new = replace(old, **{part: float(value)}) if part else float(value)
    changes: dict[str, Any] = {place: replace(holders[place], **{name: new})}
    return replace(plan, **changes)


def _numbers(holder: Any) -> set[str]:
    """The names of what may be changed there."""
    return {one.name for one in fields(holder)} - {"syntaxes", "decode_s", "exams_a_year"}


def add_changes(parser: argparse.ArgumentParser) -> None:
    """The options that put a reader's own numbers in the place of ours."""
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="records of `make bench`")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another value of a name")
    parser.add_argument("--syntax", action="append", default=[], metavar="NAME=SHARE", help="shares that add up to 1")


def tables(plans: Mapping[str, Plan], records: Sequence[Record]) -> dict[str, str]:
    """The tables of the page, by their names there."""
    first = next(iter(plans.values()))
    return {
        "capacity": capacity_table(plans),
        "costs": costs_table(first),
        "assumptions": assumptions_table(first),
        "check": check_table(first, records),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale.capacity", description="What a programme needs.")
    parser.add_argument("--exams-a-year", type=int, help="of one programme, in place of the five of the page")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put the tables into a page")
    add_changes(parser)
    given = parser.parse_args(arguments)
    try:
        records = kept_records(given.results)
        sizes = {"yours": given.exams_a_year} if given.exams_a_year else PROGRAMMES
        found = tables(plans_of(sizes, records, given.set, given.syntax), records)
    except (ValueError, NothingKept) as wrong:
        parser.error(str(wrong))
    if given.into:
        into_page(given.into, found)
    else:
        print("\n\n".join(found.values()))


if __name__ == "__main__":
    main()
