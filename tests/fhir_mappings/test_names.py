"""The name of a patient: the one in force, as one line, whatever the chart holds beside it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.names import LONGEST_NAME, shown_name

OFFICIAL = {"use": "official", "given": ["Ada", "Mary"], "family": "Example"}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([OFFICIAL], "Ada Mary Example"),
        ([{"use": "usual", "text": "Addie"}, OFFICIAL], "Ada Mary Example"),
        ([{"use": "maiden", "family": "Before"}, {"use": "usual", "text": "Addie"}], "Addie"),
        ([OFFICIAL | {"period": {"end": "2020"}}, {"text": "Ada Now"}], "Ada Now"),
        ([{"use": "old", "text": "Before"}], ""),
        ([{"use": "official"}, {"text": "Ada"}], "Ada"),
        (OFFICIAL, "Ada Mary Example"),
        ([{"given": "Ada", "family": ["x"]}], "Ada"),
        ([{"given": [7, None, "Ada"]}], "Ada"),
        ("Ada", ""),
        (None, ""),
        ([{"text": "Ada\u202e\n Example\t"}], "Ada Example"),
        ([{"text": "x" * 5000}], "x" * LONGEST_NAME),
    ],
)
def test_the_name_that_is_shown(names: Any, shown: str) -> None:
    assert shown_name({"resourceType": "Patient", "name": names}) == shown
