"""The page's tables and drawing of the year are those of the simulation, and what they show is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kept_results import kept_records
from benchmarks.page_tables import on_page
from benchmarks.scale.capacity import PROGRAMMES, plans_of
from benchmarks.scale.plan import capacity
from benchmarks.scale.programme import DRAWING, DRAWN, EVERYTHING, SEED, main, scenarios, tables, year_svg
from benchmarks.scale.year import Site, Told, arrivals, simulate, told
from tests.benchmarks.records import plan, written
from tests.servers import CHECKOUT

PAGE = CHECKOUT / "docs" / "scale.md"


@pytest.mark.parametrize("name", ["scenarios", "programmes"])
def test_the_page_has_the_table_that_the_command_prints(name: str) -> None:
    plans = plans_of(PROGRAMMES, kept_records())

    assert on_page(PAGE, name) == tables(plans[DRAWN], plans)[name]


def test_the_page_has_the_drawing_that_the_command_makes() -> None:
    drawn = year_svg(plans_of(PROGRAMMES, kept_records())[DRAWN], SEED)

    assert (PAGE.parent / DRAWING).read_text(encoding="utf-8") == drawn


def test_the_command_puts_tables_and_drawing_beside_each_other(tmp_path: Path) -> None:
    page = tmp_path / "scale.md"
    page.write_text("<!-- scenarios -->\n<!-- end -->\n<!-- programmes -->\n<!-- end -->\n")
    (tmp_path / "images").mkdir()

    main(["--results", written(tmp_path), "--into", str(page), "--exams-a-year", "30000", "--seed", "4"])

    assert "| a usual year |" in on_page(page, "scenarios")
    assert "| a national programme |" in on_page(page, "programmes")
    assert "new, in the evening" in (tmp_path / DRAWING).read_text()


def test_the_command_prints_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--results", written(tmp_path), "--exams-a-year", "30000"])

    assert capsys.readouterr().out.count("| median wait, h |") == 2


def test_a_change_of_what_there_is_not_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--results", written(tmp_path), "--set", "peak=3"])

    assert "'peak' is no name of the plan" in capsys.readouterr().err


def test_a_usual_year_has_its_scores_in_the_morning() -> None:
    found = told_of("a usual year")

    assert (found.by_morning, found.most_in_the_morning) == (1.0, 0)
    assert found.longest <= 24


def test_each_trouble_makes_somebody_wait() -> None:
    usual = told_of("a usual year")

    for name in scenarios(plan()):
        if "down" in name or "lost" in name or "quarter" in name or name == EVERYTHING:
            assert told_of(name).longest > usual.longest, name


def test_a_new_model_is_done_when_the_plan_says_and_nobody_new_waits_for_it() -> None:
    found = told_of("a new model in March, beside the old one")

    assert found.change_days == pytest.approx(capacity(plan(2_000_000)).on_cpus.days_to_rescore, rel=0.03)
    assert found.longest == told_of("a usual year").longest


def test_of_a_setting_that_is_changed_at_once_no_new_exam_waits_either_and_the_old_ones_are_done_sooner() -> None:
    at_once = told_of("a new model in March, the setting changed at once")

    assert at_once.longest == told_of("a usual year").longest
    assert (at_once.change_days or 0) < (told_of("a new model in March, beside the old one").change_days or 0)


def told_of(name: str) -> Told:
    country = plan(2_000_000)
    scenario = scenarios(country)[name]
    return told(simulate(arrivals(2_000_000, SEED), Site.of(country), scenario), scenario)
