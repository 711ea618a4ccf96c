"""What else in a chart bears on a breast MRI: present, looked and not found, or not looked up."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.circumstances import Circumstance, Circumstances, read_circumstances
from fhir_mappings.code_sets import CodeSets, code_sets
from fhir_mappings.codes import ICD_10_CM, SNOMED
from tests.fhir_mappings.fhir_json import PATIENT, bundle

TODAY = date(2026, 5, 20)
KEYS = ("conditions", "procedures", "allergies", "observations")


def coded(kind: str, system: str, code: str, **elements: Any) -> dict[str, Any]:
    element = "valueCodeableConcept" if kind == "Observation" else "code"
    concept = {"coding": [{"system": system, "code": code}]}
    subject = {"subject": {"reference": f"Patient/{PATIENT}"}, "patient": {"reference": f"Patient/{PATIENT}"}}
    return {"resourceType": kind, **subject, element: concept, **elements}


def read(**given: object) -> Circumstances:
    resources = {key: bundle() for key in KEYS} | given
    return read_circumstances(resources, PATIENT, TODAY, code_sets())


def condition(code: str, **elements: Any) -> dict[str, Any]:
    return coded("Condition", ICD_10_CM, code, **elements)


def birads(category: str, day: str | None) -> dict[str, Any]:
    codes = {"0": "397138000", "1": "397140005", "2": "397141009", "4": "397144001"}
    dated = {"effectiveDateTime": day} if day else {}
    return coded("Observation", SNOMED, codes[category], status="final", **dated)


UNKNOWN_TO_US = frozenset({Circumstance.LIFETIME_RISK, Circumstance.CHEST_IRRADIATION})


def test_nothing_on_record_is_nothing_found_of_what_there_are_codes_for() -> None:
    assert read() == Circumstances(not_asked=UNKNOWN_TO_US)


def own_codes(name: str) -> CodeSets:
    written = f'[[{name}]]\nsystem = "urn:site"\ncodes = ["OWN"]\nsource = "our catalogue"'
    return code_sets((("own.toml", written),))


@pytest.mark.parametrize(
    ("asked", "key", "kind"),
    [
        (Circumstance.LIFETIME_RISK, "conditions", "Condition"),
        (Circumstance.LIFETIME_RISK, "observations", "Observation"),
        (Circumstance.CHEST_IRRADIATION, "conditions", "Condition"),
        (Circumstance.CHEST_IRRADIATION, "procedures", "Procedure"),
    ],
)
def test_what_no_code_is_known_for_is_asked_by_the_sites_own(asked: Circumstance, key: str, kind: str) -> None:
    on_record = {name: bundle() for name in KEYS} | {key: bundle(coded(kind, "urn:site", "OWN"))}
    found = read_circumstances(on_record, PATIENT, TODAY, own_codes(asked))
    assert (found.present, found.not_asked) == (frozenset({asked}), UNKNOWN_TO_US - {asked})
    assert read(**on_record).present == frozenset()


def test_the_question_of_an_observation_is_not_its_answer() -> None:
    question = {"code": {"coding": [{"system": "urn:site", "code": "OWN"}]}}
    asked = coded("Observation", SNOMED, "1") | question
    on_record = {name: bundle() for name in KEYS} | {"observations": bundle(asked)}
    assert not read_circumstances(on_record, PATIENT, TODAY, own_codes("lifetime-risk")).present


@pytest.mark.parametrize(
    ("key", "resource", "expected"),
    [
        ("conditions", condition("Z1501"), Circumstance.RAISED_RISK),
        ("conditions", condition("Z92.3"), Circumstance.IRRADIATION),
        ("conditions", condition("Z33.1"), Circumstance.PREGNANCY),
        ("conditions", condition("N18.5"), Circumstance.RENAL_DISEASE),
        ("conditions", condition("Z39.1"), Circumstance.LACTATION),
        ("observations", coded("Observation", SNOMED, "77386006"), Circumstance.PREGNANCY),
        ("observations", birads("0", "2026-05-04"), Circumstance.OPEN_ASSESSMENT),
        ("allergies", coded("AllergyIntolerance", SNOMED, "58281002"), Circumstance.CONTRAST_ALLERGY),
        ("allergies", coded("AllergyIntolerance", SNOMED, "385420005"), Circumstance.CONTRAST_ALLERGY),
        ("allergies", coded("AllergyIntolerance", SNOMED, "407976008"), Circumstance.CONTRAST_ALLERGY),
        ("conditions", coded("Condition", SNOMED, "293637006"), Circumstance.CONTRAST_ALLERGY),
    ],
)
def test_what_is_on_record_is_present(key: str, resource: dict[str, Any], expected: Circumstance) -> None:
    assert read(**{key: bundle(resource)}).present == {expected}
    assert read(**{key: bundle(resource, resource)}).present == {expected}
    withdrawn = resource | {"verificationStatus": "entered-in-error", "status": "entered-in-error"}
    assert read(**{key: bundle(withdrawn)}).present == frozenset()


def test_a_substance_that_only_a_reaction_names_counts() -> None:
    substance = {"coding": [{"system": SNOMED, "code": "58281002"}]}
    allergy = coded("AllergyIntolerance", SNOMED, "1", reaction=[{"substance": substance}])
    assert read(allergies=bundle(allergy)).present == {Circumstance.CONTRAST_ALLERGY}


@pytest.mark.parametrize(
    ("elements", "lasts"),
    [
        ({}, True),
        ({"recordedDate": "2026-01-02"}, True),
        ({"recordedDate": "2025"}, True),
        ({"onsetDateTime": "2025-06-01"}, False),
        ({"onsetDateTime": "2026-01-01", "abatementDateTime": "2026-04-01"}, False),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        ({"clinicalStatus": "resolved"}, False),
    ],
)
def test_a_pregnancy_has_an_end(elements: dict[str, Any], lasts: bool) -> None:
    assert (Circumstance.PREGNANCY in read(conditions=bundle(condition("Z34.02", **elements))).present) is lasts


@pytest.mark.parametrize(
    ("assessments", "is_open"),
    [
        ([birads("0", "2026-05-04"), birads("1", "2026-05-10")], False),
        ([birads("0", "2026-05-10"), birads("1", "2026-05-04")], True),
        ([birads("4", "2026-05-04"), birads("2", "2026-05-04")], True),
        ([birads("0", None), birads("2", "2026-05-04")], True),
        ([birads("2", "2026-05-04")], False),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_bi_rads_category_counts(assessments: list[dict[str, Any]], is_open: bool, order: int) -> None:
    found = read(observations=bundle(*assessments[::order])).present
    assert (Circumstance.OPEN_ASSESSMENT in found) is is_open


def test_what_could_not_be_read_is_not_absent() -> None:
    unread = read(observations=None, allergies={"resourceType": "OperationOutcome"}).unread
    assert set(unread) == {Circumstance.PREGNANCY, Circumstance.OPEN_ASSESSMENT, Circumstance.CONTRAST_ALLERGY}
    assert unread[Circumstance.OPEN_ASSESSMENT] == "the EHR sent nothing for it"


def test_another_patients_resource_is_left_out_and_said() -> None:
    hers = condition("Z33.1", subject={"reference": "Patient/other"}, patient={"reference": "Patient/other"})
    found = read(conditions=bundle(hers))
    assert found.present == frozenset()
    assert "of another patient" in found.unread[Circumstance.PREGNANCY]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceType", "resource", "entry", "code", "coding", "system", "reaction", "status"]),
            parts,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)))
def test_whatever_an_ehr_sends_is_read(values: dict[str, object]) -> None:
    assert isinstance(read_circumstances(values, PATIENT, TODAY, code_sets()), Circumstances)


@pytest.mark.parametrize(
    ("status", "counts"),
    [("active", True), ("unconfirmed", True), ("inactive", False), ("resolved", False), ("refuted", False)],
)
def test_an_allergy_before_stu3_has_one_status_for_all(status: str, counts: bool) -> None:
    allergy = coded("AllergyIntolerance", SNOMED, "293637006", status=status)

    assert (Circumstance.CONTRAST_ALLERGY in read(allergies=bundle(allergy)).present) is counts


@pytest.mark.parametrize("day", ["recordedDate", "assertedDate", "dateRecorded"])
def test_the_day_of_a_diagnosis_is_found_under_its_older_names(day: str) -> None:
    assert Circumstance.PREGNANCY in read(conditions=bundle(condition("Z33.1", **{day: "2026-03-01"}))).present
    assert Circumstance.PREGNANCY not in read(conditions=bundle(condition("Z33.1", **{day: "2021-03-01"}))).present
