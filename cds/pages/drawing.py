"""How any drawing is made: by matplotlib, as SVG that stands in a page, the same text for the same data."""

from __future__ import annotations

import io
from collections.abc import Callable
from threading import Lock
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cds.pages.inline_svg import inline_svg

# The library keeps its settings for the whole process, so only one drawing is made at a time.
_DRAWING = Lock()


def drawing(name: str, width: float, height: float, draw: Callable[[Axes], object]) -> str:
    """What `draw` makes, in inches at 72 points; two drawings of one page need different names."""
    settings: Any = {
        "font.size": 10.0,
        "svg.fonttype": "none",  # text stays text: to be selected, searched, and written in the page's own letters
        "svg.hashsalt": f"mammotrend {name}",  # names in one drawing are not those in another
        "text.parse_math": False,
    }
    with _DRAWING, mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return inline_svg(written.getvalue())
