"""What the chart is told beside the five risks."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.errors import ResourceProblem
from hooks.chart_entry import chart_entry
from hooks.site import Site
from model.domain import Trajectory
from tests.hooks.builders import SITE, history_of, scored


def note_of(trajectory: Trajectory, **more: Any) -> str:
    _, resource = chart_entry(trajectory, "p1", SITE, **more)
    (note,) = resource["note"]
    return str(note["text"])


def test_the_note_begins_with_the_banners_and_ends_with_what_the_caller_adds() -> None:
    note = note_of(history_of(), notes=("The archive was slow.",))
    assert note.startswith("Synthetic demonstration model. Not for clinical use. Research use.")
    assert note.endswith("The archive was slow.")


def test_the_note_tells_how_the_score_moved_and_no_rate() -> None:
    note = note_of(history_of())
    assert "Change from 2020-05-03 to 2026-05-03: +4.5 percentage points in 6.0 years." in note
    assert "per year" not in note


def test_the_note_calls_a_change_below_the_minimum_detectable_one_not_measurable() -> None:
    note = note_of(history_of({2025: 0.021, 2026: 0.022}, minimum_detectable_change=0.005))
    assert "No measurable change from 2025-05-03 to 2026-05-03" in note
    assert "Change from" not in note


def test_the_note_has_the_exams_warnings_and_says_where_nothing_can_be_compared() -> None:
    note = note_of(Trajectory((scored(warnings=("Device not validated.",)),)))
    assert "Device not validated." in note
    assert "whether it has moved is not known" in note


def test_the_assessment_is_of_the_latest_exam_under_one_identifier() -> None:
    identifier, resource = chart_entry(history_of(), "p1", SITE)
    again, _ = chart_entry(history_of({2019: 0.01, 2026: 0.066}), "p1", SITE)
    before, _ = chart_entry(history_of({2025: 0.066}), "p1", SITE)
    assert identifier == again != before
    assert resource["basis"] == [{"reference": "ImagingStudy/s2026"}]


def test_settings_of_which_no_resource_can_be_built_are_told() -> None:
    with pytest.raises(ResourceProblem):
        chart_entry(history_of(), "p1", Site(identifier_system=" "))
