"""Years of a programme: `python -m benchmarks.scale.programme [--exams-a-year N] [--seed N] [--into docs/scale.md]`.

What scores is what `benchmarks.scale.plan` gives the programme; every number follows from the seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmarks.kept_results import NothingKept, kept_records
from benchmarks.page_tables import into_page, markdown
from benchmarks.scale.capacity import PROGRAMMES, add_changes, plans_of
from benchmarks.scale.plan import CALENDAR_DAYS, Plan, capacity
from benchmarks.scale.year import (
    FIRST_DAY,
    MORNING,
    Counts,
    ModelChange,
    Scenario,
    Site,
    Told,
    Trouble,
    Year,
    arrivals,
    simulate,
    told,
)
from cds.pages.drawing import drawing

SEED = 20261129
DRAWN = "a country"
DRAWING = Path("images", "scale-year.svg")


def scenarios(plan: Plan) -> dict[str, Scenario]:
    """What may happen, each by itself and all in one year."""
    machines, old = capacity(plan).machines, round(plan.programme.years_rescored * plan.programme.exams_a_year)
    outage = Trouble(_hour_of(10, 5), 72, 0.0)
    lost = Trouble(_hour_of(10, 18), 14 * 24, (machines - 1) / machines)
    slow = Trouble(_hour_of(11, 8), 7 * 24, 0.25)
    change = ModelChange(_hour_of(3, 1), old)
    return {
        "a usual year": Scenario(),
        "the same, archives asked all day (`imaging.poll`)": Scenario(polled=True),
        "the archive is down for three days in October": Scenario((outage,)),
        "a machine is lost for two weeks in October": Scenario((lost,)),
        "the archive gives a quarter of the speed for a week": Scenario((slow,)),
        "a new model in March, beside the old one": Scenario(change=change),
        "the same, with workers that score at night only": Scenario(change=change, nights_only=True),
        "a new model in March, the setting changed at once": Scenario(change=replace(change, beside=False)),
        EVERYTHING: Scenario((outage, lost, slow), change),
    }


EVERYTHING = "all three troubles, and a new model beside the old one"


def _hour_of(month: int, day: int) -> int:
    """Nine in the morning of a day of the first year."""
    return 24 * (date(FIRST_DAY.year, month, day) - FIRST_DAY).days + 9


def scenario_table(plan: Plan, seed: int) -> str:
    """A row for each scenario of one programme."""
    exams = arrivals(plan.programme.exams_a_year, seed)
    rows = [
        [name, *_cells(told(simulate(exams, Site.of(plan), scenario), scenario))]
        for name, scenario in scenarios(plan).items()
    ]
    return markdown(["in the year", *_HEADINGS], rows)


def programme_table(plans: Mapping[str, Plan], seed: int) -> str:
    """The year in which everything happens, a row for each programme."""
    rows = []
    for name, plan in plans.items():
        year, scenario = _worst_year(plan, seed)
        rows.append([name, f"{Site.of(plan).machines}", *_cells(told(year, scenario))])
    return markdown(["programme", "machines", *_HEADINGS], rows)


def _worst_year(plan: Plan, seed: int) -> tuple[Year, Scenario]:
    scenario = scenarios(plan)[EVERYTHING]
    return simulate(arrivals(plan.programme.exams_a_year, seed), Site.of(plan), scenario), scenario


_HEADINGS = (
    "median wait, h",
    "95 % wait at most, h",
    "longest, h",
    f"scored by {MORNING} next morning, %",
    f"most that wait at {MORNING}",
    "days until the new model has scored all",
)


def _cells(found: Told) -> list[str]:
    change = (
        "-" if found.change_days is None else "never" if found.change_days == np.inf else f"{found.change_days:.0f}"
    )
    waits = (f"{wait:,.0f}" for wait in (found.median, found.longest_of_95, found.longest))
    return [*waits, f"{100 * found.by_morning:.1f}", f"{found.most_in_the_morning:,}", change]


def year_svg(plan: Plan, seed: int) -> str:
    """New exams that wait in the evening and in the morning, and old ones that the new model has still to score."""
    year, scenario = _worst_year(plan, seed)
    text = drawing("scale-year", 9.0, 4.2, partial(_draw, year=year, troubles=scenario.troubles))
    # It stands alone, without a page that would say how it is written and what is behind it.
    head, _, rest = text.partition(">")
    return f'{head} font-family="sans-serif" font-size="10">\n<rect width="100%" height="100%" fill="#ffffff"/>{rest}\n'


def _draw(axes: Axes, year: Year, troubles: Sequence[Trouble]) -> None:
    days = np.arange(CALENDAR_DAYS)
    at_evening, at_morning = (24 * days + hour - 1 for hour in (20, MORNING))
    for number, trouble in enumerate(troubles):
        first, last = trouble.begins / 24, (trouble.begins + trouble.hours) / 24
        label = "archive down, machine lost, archive slow" if number == 0 else None
        axes.axvspan(first, last, gid="trouble", color="#f0e0d0", linewidth=0, label=label)
    lines: dict[str, tuple[Counts, dict[str, Any]]] = {
        "new, in the evening": (year.waiting[at_evening], {"color": "#7fa8c4", "linewidth": 1.0}),
        f"new, at {MORNING} next morning": (year.waiting[at_morning], {"color": "#1f5f8b", "linewidth": 1.8}),
        "old, for the new model": (year.old_waiting[at_morning], {"color": "#b3541e", "linestyle": "--"}),
    }
    for label, (waiting, looks) in lines.items():
        axes.plot(days, waiting, gid="waiting", label=label, **looks)
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, CALENDAR_DAYS)
    firsts = [date(FIRST_DAY.year, month, 1) for month in range(1, 13)]
    axes.set_xticks([(first - FIRST_DAY).days for first in firsts], [f"{first:%b}" for first in firsts])
    axes.yaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    axes.set_ylabel("exams that wait")
    axes.grid(axis="y", linewidth=0.6, color="#d9dee3")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, ncols=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or put them into a page and the drawing beside it."""
    parser = argparse.ArgumentParser("python -m benchmarks.scale.programme", description="A year of a programme.")
    parser.add_argument("--exams-a-year", type=int, default=PROGRAMMES[DRAWN], help="of the scenarios, each by itself")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--into", type=Path, metavar="PAGE", help="put the tables into a page, the drawing beside it")
    add_changes(parser)
    given = parser.parse_args(arguments)
    try:
        sizes = {**PROGRAMMES, "yours": given.exams_a_year}
        plans = plans_of(sizes, kept_records(given.results), given.set, given.syntax)
        yours = plans.pop("yours")
        found = tables(yours, plans, given.seed)
    except (ValueError, NothingKept) as wrong:
        parser.error(str(wrong))
    if not given.into:
        print("\n\n".join(found.values()))
        return
    into_page(given.into, found)
    (given.into.parent / DRAWING).write_text(year_svg(yours, given.seed), encoding="utf-8")


def tables(plan: Plan, plans: Mapping[str, Plan], seed: int = SEED) -> dict[str, str]:
    """The tables of the page, by their names there: of one programme in detail, and of all."""
    return {"scenarios": scenario_table(plan, seed), "programmes": programme_table(plans, seed)}


if __name__ == "__main__":
    main()
