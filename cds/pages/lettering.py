"""Where words find room in a drawing: at what they name, over no point, and over no other words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes

HEIGHT = 12.0
"""Of a line of words, in points."""
LETTER = {"value": 6.4, "note": 5.4}
"""How wide a letter of such words is at the most, in points; a page writes them in letters of its own."""
MARGINS = (34.0, 27.0)
"""What the names of the axes take of a drawing's width and height, in points."""
RADIUS = 6.0
"""Of a point."""


@dataclass(frozen=True)
class Box:
    """A part of a drawing, in points from where its axes meet."""

    left: float
    right: float
    bottom: float
    top: float

    def meets(self, other: Box) -> bool:
        """Whether the two have any place in common."""
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


@dataclass(frozen=True)
class Side:
    """Where words may stand: so many points from what they name, and which edge of theirs is there."""

    right: float
    up: float
    across: str
    upright: str


Spot = tuple[tuple[float, float], Side]
"""A place of the drawing, as day and per cent, and the side of it."""


class Lettering:
    """The words of one drawing, whose limits must be set, and what is taken of its room."""

    def __init__(self, axes: Axes, width: float, height: float) -> None:
        self._axes = axes
        self._width, self._height = width - MARGINS[0], height - MARGINS[1]
        self._taken: list[Box] = []

    def keep(self, *places: tuple[float, float], right: float = RADIUS, up: float = RADIUS) -> None:
        """Leave free what lies between these places, and so many points around them."""
        across, upright = zip(*map(self._points, places), strict=True)
        self._taken.append(Box(min(across) - right, max(across) + right, min(upright) - up, max(upright) + up))

    def write(self, text: str, kind: str, spots: Iterable[Spot], *, always: bool = False) -> None:
        """Words at the first of these that is free; where none is, at the first of all or not at all."""
        wanted = [(spot, self._box(spot, len(text) * LETTER[kind])) for spot in spots]
        found = next((one for one in wanted if self._is_free(one[1])), wanted[0] if always else None)
        if found is None:
            return
        (place, side), box = found
        self._taken.append(box)
        self._axes.annotate(
            text,
            place,
            (side.right, side.up),
            textcoords="offset points",
            ha=side.across,
            va=side.upright,
            gid=kind,
            zorder=4,
            fontsize=9.5,
        )

    def _box(self, spot: Spot, width: float) -> Box:
        place, side = spot
        x, y = self._points(place)
        left = x + side.right - {"left": 0.0, "center": 0.5, "right": 1.0}[side.across] * width
        bottom = y + side.up - {"bottom": 0.0, "center": 0.5, "top": 1.0}[side.upright] * HEIGHT
        return Box(left, left + width, bottom, bottom + HEIGHT)

    def _is_free(self, box: Box) -> bool:
        is_inside = box.left >= 0 and box.right <= self._width and box.bottom >= 0
        return is_inside and not any(box.meets(taken) for taken in self._taken)

    def _points(self, place: tuple[float, float]) -> tuple[float, float]:
        (left, right), (bottom, top) = self._axes.get_xlim(), self._axes.get_ylim()
        return (
            self._width * (place[0] - left) / (right - left),
            self._height * (place[1] - bottom) / (top - bottom),
        )
