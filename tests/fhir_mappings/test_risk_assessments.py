"""RiskAssessments of scored exams."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from fhir.resources.R4B.riskassessment import RiskAssessment
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.codes import SNOMED
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.risk_assessments import (
    assessment_identifier,
    check_risk_assessment,
    retracted,
    risk_assessment,
)
from model.domain import ModelVersion, RiskScore, ScoredExam

MODEL = ModelVersion("Mirai", "a" * 64, "preprocessing-1", "calibration-1")
SCORE = RiskScore((0.004, 0.008, 0.0112, 0.0145, 0.017), (0.01, 0.02, 0.03, 0.04, 0.05), MODEL)
EXAM = ScoredExam(
    "1.2.840.99999.1",
    date(2024, 2, 29),
    SCORE,
    datetime(2026, 5, 3, 23, 5, tzinfo=UTC),
    imaging_study="ImagingStudy/s1",
)
SYSTEM = "urn:example:risk"


def written(exam: ScoredExam = EXAM, **more: Any) -> dict[str, Any]:
    """The RiskAssessment of an exam of the tests' patient."""
    return risk_assessment(exam, "p1", identifier_system=SYSTEM, method_text="Mirai, calibration-1", **more)


def test_the_risks_are_written_as_percentages_of_the_unrounded_fractions() -> None:
    assert [each["probabilityDecimal"] for each in written()["prediction"]] == [0.4, 0.8, 1.12, 1.45, 1.7]


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5).map(sorted))
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_every_legal_risk_makes_a_valid_resource_of_plain_json(risks: list[float]) -> None:
    resource = written(replace(EXAM, score=replace(SCORE, calibrated=tuple(risks))))
    assert json.loads(json.dumps(resource, allow_nan=False)) == resource
    for prediction, risk in zip(resource["prediction"], risks, strict=True):
        assert prediction["probabilityDecimal"] == pytest.approx(risk * 100, rel=1e-12)
        assert 0 <= prediction["probabilityDecimal"] <= 100


def test_each_risk_is_meant_for_the_years_from_the_exam_also_from_29_february() -> None:
    periods = [prediction["whenPeriod"] for prediction in written()["prediction"]]
    assert {period["start"] for period in periods} == {"2024-02-29"}
    assert [period["end"] for period in periods] == [
        "2025-02-28",
        "2026-02-28",
        "2027-02-28",
        "2028-02-29",
        "2029-02-28",
    ]


def test_the_outcome_is_breast_cancer() -> None:
    (coding,) = written()["prediction"][0]["outcome"]["coding"]
    assert (coding["system"], coding["code"]) == (SNOMED, "254837009")


def test_it_says_who_when_from_what_and_by_what() -> None:
    resource = written()
    assert (resource["status"], resource["subject"]) == ("final", {"reference": "Patient/p1"})
    assert resource["occurrenceDateTime"] == "2026-05-03T23:05:00Z"
    assert resource["basis"] == [{"reference": "ImagingStudy/s1"}]
    assert resource["method"] == {"text": "Mirai, calibration-1"}
    assert resource["performer"] == {"reference": "#device"}
    (device,) = resource["contained"]
    assert device["deviceName"] == [{"name": "Mirai", "type": "model-name"}]
    assert [part["value"] for part in device["version"]] == ["a" * 64, "preprocessing-1", "calibration-1"]


def test_without_an_imaging_study_or_a_note_both_are_left_out() -> None:
    assert not {"basis", "note"} & written(replace(EXAM, imaging_study=None)).keys()
    assert written(note="Research use")["note"] == [{"text": "Research use"}]


def test_the_assessments_of_earlier_exams_are_a_basis_after_the_study() -> None:
    earlier = ("RiskAssessment/r1", "https://ehr.example/RiskAssessment/r2")
    basis = [{"reference": reference} for reference in earlier]
    assert written(earlier=earlier)["basis"] == [{"reference": "ImagingStudy/s1"}, *basis]
    assert written(replace(EXAM, imaging_study=None), earlier=earlier)["basis"] == basis


@pytest.mark.parametrize("earlier", ["Observation/r1", "r1", "", "urn:uuid:0"])
def test_an_earlier_assessment_that_is_none_is_refused(earlier: str) -> None:
    with pytest.raises(ResourceProblem, match="earlier"):
        written(earlier=[earlier])


def test_a_changed_assessment_is_amended_and_no_other_status_is_written() -> None:
    assert written(status="amended")["status"] == "amended"
    for status in ("entered-in-error", "preliminary", "done", ""):
        with pytest.raises(ResourceProblem):
            written(status=status)


def test_a_retraction_keeps_everything_but_the_status() -> None:
    resource = written(note="Research use")
    assert retracted(resource) == {**resource, "status": "entered-in-error"}
    assert resource["status"] == "final"


def test_what_is_no_valid_assessment_is_not_retracted_either() -> None:
    with pytest.raises(ResourceProblem):
        retracted({**written(), "subject": {"reference": "Practitioner/1"}})


def test_a_second_writing_has_the_same_identifier_and_another_model_study_or_patient_has_not() -> None:
    later = replace(EXAM, scored_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert assessment_identifier(later, "p1") == assessment_identifier(EXAM, "p1")
    assert written()["identifier"] == [{"system": SYSTEM, "value": assessment_identifier(EXAM, "p1")}]
    recalibrated = replace(EXAM, score=replace(SCORE, model=replace(MODEL, calibration="calibration-2")))
    other_study = replace(EXAM, study_uid="1.2.840.99999.2")
    different = [(EXAM, "p1"), (recalibrated, "p1"), (other_study, "p1"), (EXAM, "p2")]
    assert len({assessment_identifier(exam, patient_id) for exam, patient_id in different}) == 4


def test_the_identifier_needs_no_escaping_in_a_search_and_hides_the_study_uid() -> None:
    assert assessment_identifier(EXAM, "p1").isalnum()
    assert EXAM.study_uid not in json.dumps(written())


@pytest.mark.parametrize(
    ("patient_id", "method"), [("", "m"), ("a b", "m"), ("p1/../p2", "m"), ("p1", ""), ("p1", "   ")]
)
def test_what_cannot_be_written_is_refused(patient_id: str, method: str) -> None:
    with pytest.raises(ResourceProblem):
        risk_assessment(EXAM, patient_id, identifier_system=SYSTEM, method_text=method)


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        written(replace(EXAM, scored_at=datetime(2026, 5, 3)))  # noqa: DTZ001 - the mistake under test


AGES = {"low": {"value": 40}, "high": {"value": 45}}
BROKEN: dict[str, Any] = {
    "status": {"status": "done"},
    "no status": {"status": None},
    "probability": {"prediction": [{"probabilityDecimal": 150.0, "whenRange": AGES}]},
    "negative": {"prediction": [{"probabilityDecimal": -0.1, "whenRange": AGES}]},
    "text": {"prediction": [{"probabilityDecimal": "1.7", "whenRange": AGES}]},
    "range over 100": {"prediction": [{"probabilityRange": {"high": {"value": 101}}, "whenRange": AGES}]},
    "range": {"prediction": [{"probabilityRange": {"low": {"value": 9}, "high": {"value": 2}}, "whenRange": AGES}]},
    "no when": {"prediction": [{"probabilityDecimal": 1.7}]},
    "two whens": {"prediction": [{"whenRange": AGES, "whenPeriod": {"start": "2026"}}]},
    "ages": {"prediction": [{"whenRange": {"low": {"value": 45}, "high": {"value": 40}}}]},
    "period": {"prediction": [{"whenPeriod": {"start": "2026-05-03", "end": "2026-05-02"}}]},
    "subject": {"subject": {"reference": "Practitioner/1"}},
    "performer": {"performer": {"reference": "Organization/1"}},
    "encounter": {"encounter": {"reference": "Patient/1"}},
    "condition": {"condition": {"reference": "Observation/1"}},
    "unused contained": {
        "contained": [{"resourceType": "Device", "id": "device"}, {"resourceType": "Device", "id": "x"}]
    },
    "dangling": {"basis": [{"reference": "#nowhere"}]},
    "null": {"note": None},
    "empty text": {"note": [{"text": ""}]},
    "empty list": {"basis": []},
    "other resource": {"resourceType": "Observation"},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=list(BROKEN))
def test_what_r4_forbids_is_found_whether_or_not_the_models_let_it_pass(broken: dict[str, Any]) -> None:
    resource = written()
    check_risk_assessment(resource)
    with pytest.raises(ResourceProblem):
        check_risk_assessment({**resource, **broken})


@pytest.mark.parametrize("key", ["status", "probability", "subject", "ages"])
def test_the_models_alone_would_let_these_mistakes_pass(key: str) -> None:
    passed = deepcopy({**written(), **BROKEN[key]})
    RiskAssessment.model_validate(passed)
    with pytest.raises(ResourceProblem):
        check_risk_assessment(passed)
