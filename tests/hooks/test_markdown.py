"""Text from outside stays text, wherever it is put."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.card_details import NOT_CLINICAL_BANNER
from hooks.markdown import bullets, escape, link, paragraphs, plain, table
from model.card import LONGEST_BANNER

# GitHub Flavored Markdown 0.29, "Autolinks (extension)": what becomes a link without any markup.
BARE_LINKS = re.compile(r"(?i)www\.|://|[a-z0-9._+-]@[a-z0-9_-]")


def links_in(shown: str) -> list[str]:
    """What a renderer of GitHub's would make links of: it looks at the text without its entities and backslashes."""
    return BARE_LINKS.findall(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", unescape(shown)))


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("<script>alert(1)</script>", "script alert\\(1\\) /script"),
        ("a|b", "a\\|b"),
        ("[click](http://evil.example)", "\\[click\\] \\(http: //evil.example\\)"),
        ("**bold** `code`", "\\*\\*bold\\*\\* \\`code\\`"),
        ("one\r\ntwo\u2028three", "one two three"),
        ("\"quoted\" & 'so'", "&quot;quoted&quot; &amp; &#x27;so&#x27;"),
        ("mailto:a@evil.example", "mailto:a@ evil.example"),
        ("xmpp:a\\@_evil.example/x", "xmpp:a\\\\@ \\_evil.example/x"),
        ("4 views @ 3D", "4 views @ 3D"),
        ("WWW.evil.example", "WWW .evil.example"),
    ],
)
def test_S16_markup_from_outside_is_shown_and_never_obeyed(outside: str, shown: str) -> None:
    assert escape(outside) == shown


@given(text=st.text())
def test_S16_nothing_from_outside_makes_a_tag_a_cell_a_line_or_a_link(text: str) -> None:
    shown = escape(text)
    unescaped = re.sub(r"\\.", "", shown.replace("&#x27;", ""))
    assert not set(unescaped) & set("<>|[]`*_~\n\r\\")
    assert links_in(shown) == []


@pytest.mark.parametrize("text", ["www.a", "http://a", "ftp\\://a", "a@b", "a&#64;b", "a\\@b", "a@\\_b", "mailto:a@b"])
def test_the_check_for_links_sees_each_of_their_kinds(text: str) -> None:
    assert links_in(text)


PIECES = st.sampled_from(
    ["a", "b.c", "@", ".", "_", "-", "www", ":", "/", "//", "mailto:", "xmpp:", "http", " ", "<", "&#64;", "\\"]
)


@given(pieces=st.lists(PIECES, max_size=12))
def test_S16_no_address_from_outside_becomes_a_link_whether_it_is_escaped_or_not(pieces: list[str]) -> None:
    assert links_in(escape("".join(pieces))) == []
    assert links_in(plain("".join(pieces))) == []


@given(text=st.text())
def test_plain_text_is_one_line_of_bounded_length_without_angle_brackets(text: str) -> None:
    shown = plain(text)
    assert shown == " ".join(shown.split())
    assert not set(shown) & set("<>\n\r\x00\u202e")
    assert len(shown) <= 240


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert plain("x" * 500).endswith("x…")


@pytest.mark.parametrize("opening", ["", "Whom to ask: https://www.example.com/a@b. " * 3])
def test_no_banner_loses_its_end(opening: str) -> None:
    banner = opening.ljust(LONGEST_BANNER - len(NOT_CLINICAL_BANNER), "x") + NOT_CLINICAL_BANNER
    assert len(banner) == LONGEST_BANNER
    assert plain(banner).endswith(NOT_CLINICAL_BANNER)


def test_lone_surrogates_do_no_harm() -> None:
    assert plain("a\ud800b").encode() == b"a b"


def test_blocks_tables_and_links_are_github_markdown() -> None:
    assert paragraphs(("a", "", "b")) == "a\n\nb"
    assert bullets(("a", "b")) == "- a\n- b"
    assert table(("A", "B"), [("1", "2")]) == "| A | B |\n| --- | --- |\n| 1 | 2 |"
    assert link("a]b", "https://a.example/?x=1&y=(2)") == "[a\\]b](<https://a.example/?x=1&y=(2)>)"
