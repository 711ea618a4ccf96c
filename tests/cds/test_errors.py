"""The tree of errors holds together."""

from __future__ import annotations

import inspect

import pytest

import cds.errors
from cds.errors import MammoTrendError, PacsUnreachable, told
from fhir_mappings.errors import ResourceProblem
from model.errors import CheckpointBroken, DeviceBusy


def test_every_error_is_drawn_in_the_tree_and_has_an_error_status() -> None:
    errors = {
        name: kind
        for name, kind in vars(cds.errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception) and kind.__module__ == cds.errors.__name__
    }
    assert len(errors) > 10
    drawn = (cds.errors.__doc__ or "").split()
    for name, kind in errors.items():
        assert name in drawn
        assert issubclass(kind, MammoTrendError)
        assert kind.http_status >= 400


@pytest.mark.parametrize("kind", [PacsUnreachable, CheckpointBroken, DeviceBusy, ResourceProblem])
def test_our_own_errors_are_told_in_their_own_words(kind: type[Exception]) -> None:
    assert told(kind("it does not answer")) == "it does not answer"


@pytest.mark.parametrize("kind", [KeyError, OSError, ValueError])
def test_of_others_only_the_kind_is_told(kind: type[Exception]) -> None:
    assert told(kind("MRN-1")) == f"an unforeseen fault ({kind.__name__})"
