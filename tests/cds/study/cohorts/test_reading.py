"""Files of exams: what is read, what is refused by row and column, what is left out and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from cds.errors import StudyNotPossible
from cds.study.cohorts.cohort import Cohort
from cds.study.cohorts.flow import Step
from cds.study.cohorts.reading import read_cohort

HEADER = "patient,exam_date,score"


def read(folder: Path, *lines: str, scores_in: str | None = None) -> Cohort:
    """The lines as a file; the header is the first."""
    file = folder / "exams.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_cohort(file, scores_in)


def refusal(folder: Path, *lines: str, scores_in: str | None = None) -> str:
    with pytest.raises(StudyNotPossible) as refused:
        read(folder, *lines, scores_in=scores_in)
    return str(refused.value)


def test_a_file_with_every_column_is_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        f"{HEADER},device,density,age,diagnosis_date,diagnosis_type,detection,last_follow_up,group,model,image_type,more",
        "b,2020-03-04,2.5,Selenia,c,51.5,,,,2024-01-01,A,m,FFDM,x",
        "a,2021-03-04,7.5,Selenia,b,60,2021-05-01,Invasive,SCREEN,,,m,FFDM,x",
        "a,2019-03-04,3.5,Senographe,b,58,2021-05-01,,,,,m,FFDM,x",
    )

    assert found.exams["score"].tolist() == pytest.approx([0.025, 0.035, 0.075])
    assert found.exams["device"].tolist() == ["Selenia", "Senographe", "Selenia"]
    assert found.exams["exam_date"].tolist() == [*map(pd.Timestamp, ("2020-03-04", "2019-03-04", "2021-03-04"))]
    ill, well = found.women.loc[1], found.women.loc[0]
    assert (ill["diagnosis_type"], ill["detection"], ill["diagnosis_date"]) == (
        "invasive",
        "screen",
        pd.Timestamp("2021-05-01"),
    )
    assert (well["group"], well["last_follow_up"], well["diagnosis_type"]) == (
        "A",
        pd.Timestamp("2024-01-01"),
        "unknown",
    )
    assert (found.flow.women, found.flow.exams, found.flow.left_out) == (2, 3, ())
    assert found.model == "m"


def test_a_file_that_names_no_model_is_of_none(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER, "a,2020-01-01,2.5").model is None
    assert read(tmp_path, f"{HEADER},model", "a,2020-01-01,2.5,").model is None


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    days = pd.to_datetime(["2020-01-02", "2021-01-02"])
    table = pd.DataFrame({"patient": [17, 17], "exam_date": days, "score": [0.02, np.nan], "device": ["S", None]})
    table.astype({"device": "category"}).to_parquet(tmp_path / "exams.parquet")
    table["exam_date"] = table["exam_date"].dt.date
    table.to_parquet(tmp_path / "days.parquet")

    for name in ("exams", "days"):
        found = read_cohort(tmp_path / f"{name}.parquet", None)
        assert found.exams[["score", "device"]].to_numpy().tolist() == [[0.02, "S"]]
        assert found.flow.left_out == (Step("an exam without a score", 0, 1),)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("patient,score", "a,2"), "lacks the columns: exam_date"),
        ((f"{HEADER},score", "a,2020-01-01,2,2"), "several columns of one name: score"),
        ((HEADER,), "has no rows"),
        ((HEADER, "a,2020-01-01,2", "a,2021-01-01"), "row 2 has not as many columns"),
        ((HEADER, "a,2020-01-01,2", ",2020-01-01,2"), "column patient, row 2: empty"),
        ((HEADER, "a,,2"), "column exam_date, row 1: empty"),
        ((HEADER, "a,2020-01-01,2", "a,2020-02-30,2", "b,03/04/2020,2"), "column exam_date, rows 2, 3: not a day"),
        ((HEADER, "a,9999-12-31,2"), "column exam_date, row 1: not a day between"),
        ((HEADER, "a,2020-01-01,two"), "column score, row 1: not a number"),
        ((HEADER, "a,2020-01-01,inf"), "column score, row 1: not a number"),
        ((HEADER, "a,2020-01-01,2", "a,2021-01-01,-2"), "column score, row 2: under 0"),
        ((HEADER, "a,2020-01-01,2", "a,2021-01-01,101"), "column score, row 2: over 100, which no percent is"),
        ((f"{HEADER},age", "a,2020-01-01,2,150"), "column age, row 1: not an age"),
        (
            (f"{HEADER},diagnosis_type", "a,2020-01-01,2,benign"),
            "column diagnosis_type, row 1: neither empty nor one of",
        ),
        ((f"{HEADER},model", "a,2020-01-01,2,m", "a,2021-01-01,2,n"), "column model, row 2: not the same as in row 1"),
        ((f"{HEADER},model", "a,2020-01-01,2,m", "a,2021-01-01,2,"), "column model, row 2: not the same as in row 1"),
        (
            (f"{HEADER},diagnosis_date", "a,2020-01-01,2,2022-01-01", "b,2020-01-01,2,", "a,2021-01-01,2,2022-01-02"),
            "column diagnosis_date, rows 1, 3: one woman's rows say different things",
        ),
    ],
)
def test_what_is_wrong_is_named_by_column_and_row(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    assert words in refusal(tmp_path, *lines)


def test_of_many_wrong_rows_the_first_are_named_and_nothing_that_stands_in_them(tmp_path: Path) -> None:
    said = refusal(tmp_path, HEADER, *(f"Jane Doe {n},secret,2" for n in range(9)))

    assert said == "column exam_date, rows 1, 2, 3, 4, 5 and more: not a day as YYYY-MM-DD"


def test_rows_are_counted_on_over_the_batches_of_a_large_file(tmp_path: Path) -> None:
    good = ["a" * 30_000 + ",2020-01-01,2"] * 400  # more than one batch of 8 MB

    assert "row 401:" in refusal(tmp_path, HEADER, *good, "b,2020-13-01,2")


def test_what_is_neither_csv_nor_parquet_is_refused_without_being_quoted(tmp_path: Path) -> None:
    for name, content in {"a.csv": b"patient,exam_date,score\n\xff,2020-01-01,2\n", "a.parquet": b"Jane Doe"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StudyNotPossible, match="must be CSV in UTF-8") as refused:
            read_cohort(tmp_path / name, None)
        assert "Doe" not in str(refused.value)
    with pytest.raises(StudyNotPossible, match="not a file"):
        read_cohort(tmp_path / "none.csv", None)


# In percent or as fractions


def test_scores_over_1_are_percent_and_scores_under_a_tenth_are_fractions(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER, "a,2020-01-01,0.9", "b,2020-01-01,29.5").exams["score"].max() == pytest.approx(0.295)
    assert read(tmp_path, HEADER, "a,2020-01-01,0.009", "b,2020-01-01,0.3").exams["score"].max() == pytest.approx(0.3)


def test_scores_that_may_be_either_must_be_said_to_be_one(tmp_path: Path) -> None:
    lines = (HEADER, "a,2020-01-01,0.9", "b,2020-01-01,0.3")

    assert "--scores-in" in refusal(tmp_path, *lines)
    assert read(tmp_path, *lines, scores_in="percent").exams["score"].max() == pytest.approx(0.009)
    assert read(tmp_path, *lines, scores_in="fraction").exams["score"].max() == pytest.approx(0.9)


def test_percent_and_fractions_in_one_file_are_never_taken_for_one_unit(tmp_path: Path) -> None:
    lines = (HEADER, "a,2020-01-01,2.1", "b,2020-01-01,0.021", "c,2020-01-01,0.5")

    said = refusal(tmp_path, *lines)

    assert "mixed; row 1 over 1, row 2 under 0.1" in said
    assert "column score, row 1: over 1, which no fraction is" in refusal(tmp_path, *lines, scores_in="fraction")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([0.0, 0.004, 0.1, 0.5, 1.0, 1.7, 30.0, 100.0]), min_size=1))
def test_scores_are_never_off_by_a_factor_of_100(tmp_path: Path, scores: list[float]) -> None:
    lines = [f"p{n},2020-01-01,{score}" for n, score in enumerate(scores)]
    has_percent, has_fraction = any(one > 1 for one in scores), any(one < 0.1 for one in scores)

    if has_percent != has_fraction:
        found = read(tmp_path, HEADER, *lines).exams["score"].tolist()
        assert found == pytest.approx([one / 100 if has_percent else one for one in scores])
    else:
        assert "--scores-in" in refusal(tmp_path, HEADER, *lines)


@pytest.mark.parametrize(
    "rows", [('a,2020-01-01,2,"U', "b,2020-01-01,2,U"), ('a,2020-01-01,2,"U', 'b,2020-01-01,3,"U')]
)
@pytest.mark.parametrize("column", ["device", "remark"])
def test_a_quotation_mark_that_is_not_closed_loses_no_rows(column: str, rows: tuple[str, ...], tmp_path: Path) -> None:
    assert "a quotation mark is not closed" in refusal(tmp_path, f"{HEADER},{column}", *rows, "c,2020-01-01,2,U")


def test_empty_lines_and_windows_line_ends_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "exams.csv"
    file.write_bytes(f"\ufeff{HEADER}\r\na,2020-01-01,2\r\n\r\nb,2020-01-01,3\r\n\r\n".encode())

    assert len(read_cohort(file, None).exams) == 2


@pytest.mark.parametrize("scores", [pa.array([True, False]), pa.array([1, 2], pa.timestamp("ns"))])
def test_what_pandas_would_take_for_numbers_and_is_none_is_refused(scores: pa.Array, tmp_path: Path) -> None:
    days = pa.array(["2020-01-01", "2020-01-01"])
    parquet.write_table(pa.table({"patient": ["a", "b"], "exam_date": days, "score": scores}), tmp_path / "a.parquet")

    with pytest.raises(StudyNotPossible, match="column score: not numbers"):
        read_cohort(tmp_path / "a.parquet", None)


@pytest.mark.parametrize(("column", "most"), [("group", 30), ("device", 300)])
def test_a_column_that_names_each_woman_stands_in_no_report(column: str, most: int, tmp_path: Path) -> None:
    rows = [f"{number},2020-01-01,2,Jane {number}" for number in range(most + 1)]

    assert len(read(tmp_path, f"{HEADER},{column}", *rows[:-1]).women) == most
    said = refusal(tmp_path, f"{HEADER},{column}", *rows)
    assert f"column {column}: more than {most} different words" in said
    assert "Jane" not in said


@pytest.mark.parametrize("word", ["today", "now", "2020-01-01T00:00:00", "20200101"])
def test_only_a_written_day_is_a_day(word: str, tmp_path: Path) -> None:
    assert "column exam_date, row 1: not a day" in refusal(tmp_path, HEADER, f"a,{word},2")
    assert "column last_follow_up, row 1: not a day" in refusal(
        tmp_path, f"{HEADER},last_follow_up", f"a,2020-01-01,2,{word}"
    )


@pytest.mark.parametrize("column", ["group", "device", "model"])
@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200f", "\u061c", "\x07", "\x85", "\u2028", "\u2029"])
def test_a_name_with_a_mark_that_changes_what_is_read_stands_in_no_report(
    mark: str, column: str, tmp_path: Path
) -> None:
    said = refusal(tmp_path, f"{HEADER},{column}", "a,2020-01-01,2,north", f"b,2020-01-01,2,so{mark}uth")

    assert said == f"column {column}, row 2: a line break, or a mark of control or direction, is in the text"


@pytest.mark.parametrize(
    "name", ["U\u00a01", "U\u30001", "\u0645\u06cc\u200c\u0634\u0648\u062f", "\u0915\u094d\u200d\u0937"]
)
def test_spaces_of_a_spreadsheet_and_joiners_of_a_script_stand_in_a_name(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, f"{HEADER},device", f"a,2020-01-01,2,{name}")

    assert list(found.exams["device"]) == [name]
