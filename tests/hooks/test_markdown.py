"""Text from outside stays text, wherever it is put."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.markdown import bullets, escape, link, paragraphs, plain, table


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("<script>alert(1)</script>", "script alert\\(1\\) /script"),
        ("a|b", "a\\|b"),
        ("[click](http://evil.example)", "\\[click\\] \\(http: //evil.example\\)"),
        ("**bold** `code`", "\\*\\*bold\\*\\* \\`code\\`"),
        ("one\r\ntwo\u2028three", "one two three"),
        ("\"quoted\" & 'so'", "&quot;quoted&quot; &amp; &#x27;so&#x27;"),
    ],
)
def test_S16_markup_from_outside_is_shown_and_never_obeyed(outside: str, shown: str) -> None:
    assert escape(outside) == shown


@given(text=st.text())
def test_S16_nothing_from_outside_makes_a_tag_a_cell_a_line_or_a_link(text: str) -> None:
    shown = escape(text)
    unescaped = re.sub(r"\\.", "", shown.replace("&#x27;", ""))
    assert not set(unescaped) & set("<>|[]`*_~\n\r\\")
    assert "://" not in shown


@given(text=st.text())
def test_plain_text_is_one_line_of_bounded_length_without_angle_brackets(text: str) -> None:
    shown = plain(text)
    assert shown == " ".join(shown.split())
    assert not set(shown) & set("<>\n\r\x00\u202e")
    assert len(shown) <= 240


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert plain("x" * 500).endswith("x…")


def test_lone_surrogates_do_no_harm() -> None:
    assert plain("a\ud800b").encode() == b"a b"


def test_blocks_tables_and_links_are_github_markdown() -> None:
    assert paragraphs(("a", "", "b")) == "a\n\nb"
    assert bullets(("a", "b")) == "- a\n- b"
    assert table(("A", "B"), [("1", "2")]) == "| A | B |\n| --- | --- |\n| 1 | 2 |"
    assert link("a]b", "https://a.example/?x=1&y=(2)") == "[a\\]b](<https://a.example/?x=1&y=(2)>)"
