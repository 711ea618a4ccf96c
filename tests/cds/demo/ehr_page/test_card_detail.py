"""A card's Markdown becomes a part of the page, and nothing else."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cds.demo.ehr_page.card_detail import rendered

HARMLESS = {
    *("p", "strong", "em", "s", "code", "pre", "blockquote", "hr", "br", "a", "ul", "ol", "li", "div"),
    *("table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"),
}


class Page(HTMLParser):
    """The elements of some HTML, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_the_marks_of_a_card_are_shown() -> None:
    html = rendered("**7.1 %**\n\n- met: over 1.7 %\n\n~~old~~")
    assert "<strong>7.1 %</strong>" in html
    assert "<li>met: over 1.7 %</li>" in html
    assert "<s>old</s>" in html


def test_a_table_scrolls_by_itself_also_from_the_keyboard() -> None:
    html = rendered("| Exam | Score |\n| --- | --- |\n| 2026 | 7.1 % |")
    assert html.startswith('<div class="wide" tabindex="0" role="region" aria-label="Table"><table>')
    assert html.rstrip().endswith("</table></div>")
    assert "<td>7.1 %</td>" in html


def test_a_link_opens_beside_the_chart_and_does_not_tell_where_it_was_followed() -> None:
    (_, (tag, attributes)) = Page(rendered("[rule](<https://example.org/rule>)")).elements
    assert (tag, attributes) == (
        "a",
        {"href": "https://example.org/rule", "target": "_blank", "rel": "noopener noreferrer"},
    )


@pytest.mark.parametrize(
    "detail", ["[x](javascript:alert)", "[x](data:text/html,x)", "[x](vbscript:x)", "[x](file:///x)"]
)
def test_a_link_that_could_run_something_stays_text(detail: str) -> None:
    assert [tag for tag, _ in Page(rendered(detail)).elements] == ["p"]


def test_an_image_is_not_loaded() -> None:
    assert not any(tag == "img" for tag, _ in Page(rendered("![scan](https://example.org/scan.png)")).elements)


@given(st.text(st.sampled_from("<>\"'&/!=[]()`*_~|-#\n abcimgscriptonerrorstyle:;"), max_size=80))
@example("<script>alert(1)</script>")
@example('<img src=x onerror="alert(1)">')
@example("<a href='javascript:x'>x</a>")
def test_whatever_a_detail_holds_only_harmless_marks_come_of_it(detail: str) -> None:
    for tag, attributes in Page(rendered(detail)).elements:
        assert tag in HARMLESS
        assert not any(name.startswith("on") for name in attributes)
