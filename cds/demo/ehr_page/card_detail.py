"""A card's detail, which is GitHub-flavoured Markdown, as HTML that can neither run nor load anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """A link leaves the chart open and does not say where it was followed from."""
        tokens[idx].attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        return str(self.renderToken(tokens, idx, options, env))

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """A table wider than its place scrolls by itself, also from the keyboard."""
        return '<div class="wide" tabindex="0" role="region" aria-label="Table"><table>\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """See `table_open`."""
        return "</table></div>\n"


# HTML in the text stays text; images would be loaded from wherever the card says.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
_MARKDOWN.enable(["table", "strikethrough"]).disable("image")


def rendered(detail: str) -> Markup:
    """The HTML of a detail."""
    return Markup(_MARKDOWN.render(detail))  # noqa: S704 - the renderer escapes whatever is not Markdown
