"""The tree of errors holds together."""

from __future__ import annotations

import inspect

import cds.errors
from cds.errors import MammoTrendError


def test_every_error_is_drawn_in_the_tree_and_has_an_error_status() -> None:
    errors = {
        name: kind for name, kind in vars(cds.errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert len(errors) > 10
    drawn = (cds.errors.__doc__ or "").split()
    for name, kind in errors.items():
        assert name in drawn
        assert issubclass(kind, MammoTrendError)
        assert kind.http_status >= 400
