"""The pages hang together: every link leads somewhere, and every page is in the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import links
from tests.servers import CHECKOUT


@pytest.mark.parametrize(("page", "leads"), list(links()), ids=lambda value: getattr(value, "name", value))
def test_every_link_leads_somewhere(page: Path, leads: str) -> None:
    place, _, heading = leads.partition("#")
    target = (page.parent / place).resolve() if place else page
    assert target.exists()
    if heading:
        text = target.read_text(encoding="utf-8").lower()
        assert any(f"\n{level} {heading.replace('-', ' ')}\n" in text for level in ("##", "###"))


def test_each_page_is_in_the_index() -> None:
    index = (CHECKOUT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [page.name for page in (CHECKOUT / "docs").iterdir() if page.suffix in (".md", ".yaml")]
    assert [name for name in pages if f"({name})" not in index and name != "README.md"] == []
