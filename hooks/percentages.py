"""Risks as people read them: fractions inside the code, per cent and percentage points on a card."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

_MOST_DECIMALS = 20  # more than a float's shortest text can hold, so rounding always stops hiding something before


def percent(fraction: float, *, beside: float) -> str:
    """A fraction as per cent, such as `6.6 %`.

    One decimal, or as many more as it takes to stay on its own side of `beside` (a fraction): a score just over the
    threshold must never look equal to it.
    """
    return f"{_beside(fraction, beside)} %"


def yearly_percents(fractions: Sequence[float], *, beside: float) -> tuple[str, ...]:
    """Risks year by year as per cent, all with the decimals by which the last stays on its own side of `beside`.

    A threshold is one of the last year's risk: decimals of their own would have the others seem to be held against it.
    """
    decimals = len(_beside(fractions[-1], beside).partition(".")[2])
    return tuple(f"{_percent(fraction):.{decimals}f} %" for fraction in fractions)


def threshold_percent(fraction: float) -> str:
    """A threshold as per cent with every decimal it has, at least one: `1.7 %`, `1.667 %`, `2.0 %`."""
    return f"{_in_full(fraction)} %"


def points(change: float, decimals: int = 1) -> str:
    """A change of risk (a fraction) in percentage points with its sign: `+4.5`, `-0.3`, `0.0`."""
    rounded = round(_percent(change), decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"


def size_in_points(change: float, *, beside: float) -> str:
    """The size of a change in percentage points, without its sign, on its own side of `beside` as `percent` is."""
    return _beside(abs(change), beside)


def limit_in_points(limit: float) -> str:
    """A limit of changes in percentage points with every decimal it has, at least one: `0.5`, `0.25`."""
    return _in_full(limit)


def change_in_words(change: float) -> str:
    """A change of risk (a fraction) as a summary says it: `up 4.5 points`, `down 0.3 points`, `0.0 points change`."""
    text = points(change)
    if text == "0.0":
        return "0.0 points change"
    return f"{'up' if change > 0 else 'down'} {text[1:]} points"


def _beside(fraction: float, limit: float) -> str:
    if fraction == limit:
        return _in_full(limit)
    exact, beyond, is_over = _percent(fraction), _percent(limit), fraction > limit
    decimals = 1
    while decimals < _MOST_DECIMALS and not _is_beyond(round(exact, decimals), beyond, is_over):
        decimals += 1
    return f"{exact:.{decimals}f}"


@lru_cache
def _in_full(fraction: float) -> str:
    """Of limits, which a site has few of."""
    exact = _percent(fraction).normalize()
    return f"{exact:.{max(1, -int(exact.as_tuple().exponent))}f}"


def _is_beyond(shown: Decimal, limit: Decimal, is_over: bool) -> bool:
    return shown > limit if is_over else shown < limit


def _percent(fraction: float) -> Decimal:
    """Exact per cent of the float's shortest text: 0.017 is 1.7, not 1.70000000000000003."""
    return Decimal(repr(float(fraction))) * 100
