"""A study's summary: written with its origin, read back as it was, and refused where it is not one."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import StudyNotPossible
from cds.study.telling.summaries import FILE_NAME, MOST_FOLDERS, Origin, Summary, summaries_in, write_summary

lines = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
figures = st.dictionaries(
    lines.map("figure {}".format),
    st.none() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | lines,
)


@given(st.builds(Summary, st.builds(Origin, lines, st.none() | lines, st.dates()), figures))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, summary: Summary) -> None:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "one").mkdir()
    write_summary(summary, folder / "one")

    assert list(summaries_in(folder)) == [("one", summary)]


@pytest.mark.parametrize("group", ["U\u00a01", "\u0645\u06cc\u200c\u0634\u0648\u062f"])
def test_a_group_with_a_space_of_a_spreadsheet_or_a_joiner_is_read_back(group: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    summary = Summary(Origin("impact", None, date(2026, 5, 1)), {f"flagged_percent_of_{group}": 3.0})
    write_summary(summary, tmp_path / "one")

    assert list(summaries_in(tmp_path)) == [("one", summary)]


def put(folder: Path, content: str) -> Path:
    (folder / "one").mkdir()
    (folder / "one" / FILE_NAME).write_text(content, encoding="utf-8")
    return folder


ORIGIN = '"study": "drift", "model": null, "made_on": "2026-05-01"'


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        f"{{{ORIGIN}, " + '"units": NaN}',
        f"{{{ORIGIN}, " + '"units": 1e999}',
        f"{{{ORIGIN}, " + '"units": true}',
        f"{{{ORIGIN}, " + '"units": [1]}',
        f"{{{ORIGIN}, " + '"units": "a\\u202eb"}',
        f"{{{ORIGIN}, " + '"a\\nb": 1}',
        '{"study": "drift", "model": 3, "made_on": "2026-05-01"}',
        '{"study": 3, "model": null, "made_on": "2026-05-01"}',
        '{"study": "drift", "model": null, "made_on": "yesterday"}',
        '{"study": "drift", "model": null, "made_on": 20260501}',
        "[" * 100_000,
        '{"a": "' + "x" * (1 << 20) + '"}',
    ],
)
def test_what_is_no_summary_is_told_with_its_folder(content: str, tmp_path: Path) -> None:
    ((name, problem),) = summaries_in(put(tmp_path, content))

    assert name == "one"
    assert isinstance(problem, str)


@pytest.mark.parametrize("lacking", ["study", "model", "made_on"])
def test_one_of_an_older_program_is_told_as_such(lacking: str, tmp_path: Path) -> None:
    put(tmp_path, f"{{{ORIGIN}}}".replace(f'"{lacking}"', '"units"'))

    assert list(summaries_in(tmp_path)) == [("one", f"does not say its {lacking}: make the study again")]


def test_other_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / FILE_NAME).write_text("{}")

    assert list(summaries_in(tmp_path)) == []


def test_a_folder_that_cannot_be_read_is_not_one_without_studies(tmp_path: Path) -> None:
    with pytest.raises(StudyNotPossible, match=r"FileNotFoundError.*operations\.studies_folder"):
        list(summaries_in(tmp_path / "nowhere"))


def test_more_studies_than_anybody_makes_are_not_read(tmp_path: Path) -> None:
    for number in range(MOST_FOLDERS + 1):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / FILE_NAME).write_text("{}")

    with pytest.raises(StudyNotPossible, match="more than 500"):
        list(summaries_in(tmp_path))


def test_the_day_is_told_as_iso(tmp_path: Path) -> None:
    write_summary(Summary(Origin("drift", "m", date(2026, 5, 1)), {}), tmp_path)

    assert '"made_on": "2026-05-01"' in (tmp_path / FILE_NAME).read_text()
