"""Whatever an EHR sends: read, or refused as a ResourceProblem, never a crash."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.bundles import next_link, outcome_problem
from fhir_mappings.chart import Chart, read_chart
from fhir_mappings.dates import PartialDate, parse_partial_date
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.orders import draft_orders, selected, unmatched_selections
from fhir_mappings.risk_assessments import check_risk_assessment
from tests.fhir_mappings.fhir_json import (
    PATIENT,
    bundle,
    condition,
    endpoint,
    outcome,
    patient,
    procedure,
    service_request,
    study,
)

TODAY = date(2026, 5, 20)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3)
)
SERIES = {"uid": "1.2.3", "modality": {"code": "MG"}, "endpoint": [{"reference": "#e1"}]}
EXAMPLES = (
    patient(birthDate="1974", gender="female", deceasedBoolean=False, identifier=[{"value": "x"}]),
    study(started="2026-05-03", series=[SERIES], contained=[endpoint("https://pacs.example")]),
    endpoint("https://pacs.example"),
    service_request("77049", authoredOn="2026", reasonCode=[{"text": "x"}]),
    service_request("77049", occurrenceTiming={"event": ["2026"], "repeat": {"boundsPeriod": {"end": "2026"}}}),
    condition("http://hl7.org/fhir/sid/icd-10-cm", "C50", verificationStatus={"coding": [{"code": "confirmed"}]}),
    procedure("http://snomed.info/sct", "27865001"),
    outcome("information"),
)


@st.composite
def broken_resources(draw: st.DrawFn) -> Any:
    """A real resource with one place, at any depth, replaced by any JSON."""
    return _replaced(draw, draw(st.sampled_from(EXAMPLES)))


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(JSON)
    if isinstance(value, list):
        place = draw(st.integers(0, len(value) - 1))
        return [_replaced(draw, each) if index == place else each for index, each in enumerate(value)]
    key = draw(st.sampled_from(sorted(value)))
    return {**value, key: _replaced(draw, value[key])}


@given(st.lists(broken_resources(), max_size=4), JSON)
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_broken_resources_are_read_or_refused(resources: list[Any], junk: Any) -> None:
    answer = bundle(*EXAMPLES, *resources, study("1.2.9", "p2", id="foreign"))
    keys = ("mammograms", "conditions", "procedures", "orders", "allergies", "observations")
    read = read_chart({"patient": patient(), **dict.fromkeys(keys, answer)}, PATIENT, TODAY)
    assert isinstance(read, Chart)
    assert "ImagingStudy/foreign" not in {exam.resource for exam in read.exams.exams}
    assert "left out 1 imaging study of another patient" in read.problems
    with suppress(ResourceProblem):
        read_chart({"patient": patient(), **dict.fromkeys(keys, junk)}, PATIENT, TODAY)


@given(broken_resources())
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_a_broken_patient_is_read_or_refused(resource: Any) -> None:
    with suppress(ResourceProblem):
        assert read_chart({"patient": resource, "mammograms": []}, PATIENT, TODAY).patient.id == PATIENT


@given(JSON, JSON, st.lists(broken_resources(), max_size=3))
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_broken_contexts_are_read_or_refused(junk: Any, selections: Any, drafts: list[Any]) -> None:
    given_context = {"patientId": PATIENT, "selections": selections, "draftOrders": bundle(*drafts)}
    with suppress(ResourceProblem):
        assert len(selected(draft_orders(given_context).drafts, given_context)) <= len(drafts)
        assert unmatched_selections(given_context) >= 0
    with suppress(ResourceProblem):
        draft_orders({"draftOrders": junk, "patientId": junk})


@given(JSON)
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_any_json_is_a_date_or_none_and_has_a_next_page_or_none(junk: Any) -> None:
    assert isinstance(parse_partial_date(junk), PartialDate | None)
    assert isinstance(next_link(junk), str | None)
    assert isinstance(outcome_problem(junk), str | None)
    with suppress(ResourceProblem):
        check_risk_assessment({"resourceType": "RiskAssessment", "status": "final", "prediction": junk})
