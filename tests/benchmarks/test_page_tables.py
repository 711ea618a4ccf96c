"""Tables are put where a page has a place for them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.page_tables import into_page, markdown, on_page

PAGE = "before\n\n<!-- one -->\n\nold\n\n<!-- end -->\n\nbetween\n\n<!-- two -->\n\n<!-- end -->\nafter\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(PAGE)
    return tmp_path / "page.md"


def test_columns_of_numbers_are_to_the_right() -> None:
    table = markdown(["", "cores", "from"], [["a", "1,200", "us"], ["b", "-0.5", "2 people"], ["c", "never", "them"]])

    assert table.splitlines() == [
        "| | cores | from |",
        "| --- | ---: | --- |",
        "| a | 1,200 | us |",
        "| b | -0.5 | 2 people |",
        "| c | never | them |",
    ]


def test_a_table_takes_the_place_of_the_one_before_and_the_rest_stays(page: Path) -> None:
    into_page(page, {"one": r"| new \1 |", "two": "| first |"})

    assert page.read_text() == PAGE.replace("old", r"| new \1 |").replace(
        "<!-- two -->\n\n<!-- end -->", "<!-- two -->\n\n| first |\n\n<!-- end -->"
    )
    assert on_page(page, "two") == "| first |"


def test_put_in_twice_it_is_there_once(page: Path) -> None:
    into_page(page, {"one": "| new |", "two": "| other |"})
    once = page.read_text()
    into_page(page, {"one": "| new |", "two": "| other |"})

    assert page.read_text() == once


def test_a_page_without_a_place_is_left_as_it_is(page: Path) -> None:
    with pytest.raises(ValueError, match="0 places for the table 'three'"):
        into_page(page, {"one": "| new |", "three": "| x |"})
    with pytest.raises(ValueError, match="no place for the table 'three'"):
        on_page(page, "three")

    assert page.read_text() == PAGE
