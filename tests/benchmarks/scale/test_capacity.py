"""The tables say what a plan comes to, under names by which a reader can change it, and the page has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kept_results import NothingKept, kept_records
from benchmarks.page_tables import on_page
from benchmarks.scale.capacity import PROGRAMMES, check_table, main, number, plans_of, tables
from benchmarks.scale.plan import capacity
from tests.benchmarks.records import plan, records, written
from tests.servers import CHECKOUT

PAGE = CHECKOUT / "docs" / "scale.md"


@pytest.mark.parametrize("name", ["capacity", "costs", "assumptions", "check"])
def test_the_page_has_the_table_that_the_command_prints(name: str) -> None:
    kept = kept_records()

    assert on_page(PAGE, name) == tables(plans_of(PROGRAMMES, kept), kept)[name]


def test_the_command_prints_a_column_for_a_readers_own_programme(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--results", written(tmp_path), "--exams-a-year", "31000", "--set", "peak_day=2", "--set", "score.core_s=99"])

    printed = capsys.readouterr().out
    assert "| | yours |" in printed
    assert "| exams a year | 31,000 |" in printed
    assert "| exams of the busiest night | 248 |" in printed
    assert "| score, core-seconds an exam | 99 |" in printed
    assert "| `peak_day` | 2 |" in printed


def test_the_command_puts_its_tables_into_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("capacity", "costs", "assumptions", "check")
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- {name} -->\n<!-- end -->\n" for name in names))

    main(["--results", written(tmp_path), "--into", str(page)])

    assert "| | one clinic |" in on_page(page, "capacity")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("utilization=0.8", "'utilization' is no name"),
        ("score=3", "'score' is no number"),
        ("score.seconds=3", "'score.seconds' is no number"),
        ("peak_day.core_s=3", "'peak_day.core_s' is no number"),
        ("syntaxes=1", "'syntaxes' is no name"),
        ("peak_day=much", "could not convert"),
    ],
)
def test_a_change_of_what_there_is_not_is_refused(
    change: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--results", written(tmp_path), "--set", change])

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_measurements_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--results", str(tmp_path)])

    assert "no kept record has 'stages'" in capsys.readouterr().err


def test_every_assumption_can_be_changed_by_its_name() -> None:
    table = tables({"one": plan()}, records())["assumptions"]
    names = [line.split("`")[1] for line in table.splitlines()[2:] if "`--syntax`" not in line]

    assert len(names) > 15
    for name in names:
        changed = tables({"one": plan(200_000, f"{name}=11.5")}, records())["assumptions"]
        assert f"| `{name}` | 11.5 |" in changed


def test_an_archive_of_one_syntax_has_its_decoding() -> None:
    syntaxes = ["JPEG 2000 Image Compression (Lossless Only)=1"]
    found = plans_of({"one": 1000}, records(), syntaxes=syntaxes)["one"]

    assert found.core_seconds() == pytest.approx(0.2 + 0.4 + 7.0 + 0.01 + 4 * 0.25)
    with pytest.raises(NothingKept, match="no kept record has the decoding of 'WebP'"):
        plans_of({"one": 1000}, records(), syntaxes=["WebP=1"])["one"].core_seconds()
    with pytest.raises(ValueError, match="add up to 1"):
        plans_of({"one": 1000}, records(), syntaxes=["WebP=0.5"])


def test_what_was_not_measured_on_a_gpu_says_so_in_every_row() -> None:
    unmeasured, measured = (
        tables({"one": plan(200_000, *changes)}, records())["capacity"] for changes in ((), ("forward_gpu_s=0.02",))
    )

    assert unmeasured.count("(floor, not measured)") == 4
    assert "| GPUs (by the forward measured) |" in measured
    assert measured.count("(floor, not measured)") == 3  # of the cores beside it nothing was measured with it


def test_what_is_reckoned_stands_beside_what_was_measured() -> None:
    # The slowest stage takes 3.5 s, all of them 7.61 core-seconds on two cores; the pipeline took 4 s.
    lines = check_table(plan(), records()).splitlines()

    assert lines[2] == "| full size: the pipeline, an exam, ms | 3,805 | 4,000 | -5 % |"
    assert lines[4].endswith("begin, each, ms | 3,805 | 3,900 | -2 % |")
    assert lines[6] == "| hook calls a second, PostgreSQL, 20 at a time | 200 | 160 | +25 % |"


def test_what_the_page_says_of_its_table_is_so() -> None:
    needed = [capacity(plan) for plan in plans_of(PROGRAMMES, kept_records()).values()]
    clinic, hospital, network, country, national = (one.on_cpus.days_to_rescore for one in needed)

    assert {one.hook_processes for one in needed} == {1}  # "one process in every one of these programmes"
    assert clinic < hospital < 10  # "days in a hospital"
    assert 50 < network < 70  # "two months in a network"
    assert min(country, national) > 365 / 2  # "most of a year or more in a country and above"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.004567, "0.0046"), (0.351, "0.351"), (5, "5"), (12.34, "12.3"), (8.0, "8"), (1234.5, "1,234")],
)
def test_a_number_has_three_digits_that_count(value: float, said: str) -> None:
    assert number(value) == said


def test_what_has_no_end_is_never() -> None:
    assert number(float("inf")) == "never"
