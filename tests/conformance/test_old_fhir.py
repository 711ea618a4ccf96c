"""Calls in FHIR before R4: what they hold is read rightly, said to be unknown, or refused; never read wrongly."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_mappings.codes import ICD_10_CM, SNOMED
from tests.builders import searchset
from tests.cds.builders import PATIENT, Json, service_request
from tests.cds.web.calls import diagnostics
from tests.cds.web.conftest import Service
from tests.conformance.calls import CALLS, ORDER_SELECT, ORDER_SIGN, PATIENT_VIEW, address
from tests.conformance.family import actions
from tests.conformance.old_fhir import (
    CHARTS,
    ORDER_TYPES,
    dstu2_study,
    old_allergy,
    old_call,
    old_condition,
    old_drug,
    old_order,
    old_patient,
    old_procedure,
    stu3_allergy,
    stu3_condition,
    stu3_study,
)

every_service = pytest.mark.parametrize("service_id", CALLS)
every_version = pytest.mark.parametrize("version", CHARTS)
OLD_ORDERS = [(version, kind) for version, kinds in ORDER_TYPES.items() for kind in kinds]
GADOLINIUM = "58281002"  # the codes are those of fhir_mappings/code_sets


def call(service: Service, service_id: str, body: Any) -> Any:
    return service.client().post(address(service_id), json=body)


def only_card(service: Service, version: str, service_id: str = PATIENT_VIEW, **prefetched: Any) -> Json:
    answer = call(service, service_id, old_call(service_id, version, **prefetched))
    assert answer.status_code == 200, answer.text
    (card,) = answer.get_json()["cards"]
    found: Json = card
    return found


def offers_an_mri(card: Json) -> bool:
    return "ServiceRequest" in [action["resource"]["resourceType"] for action in actions(card)]


@every_service
@every_version
def test_Q15_a_chart_of_an_older_version_is_read_and_what_it_lacks_is_said(
    service: Service, service_id: str, version: str
) -> None:
    service.score()

    card = only_card(service, version, service_id)

    assert "6.6 %" in card["summary"]
    assert "Whether a breast MRI of the last 12 months is on record is not known" in card["detail"]
    assert "Age 52" in card["detail"]


@every_version
@pytest.mark.parametrize("study", [dstu2_study(), stu3_study()])
def test_Q15_an_exam_is_found_by_the_uid_of_an_older_study(service: Service, version: str, study: Json) -> None:
    card = only_card(service, version, mammograms=searchset(study))

    assert "scoring of the exam of 2026-05-03 is under way" in card["summary"]


@pytest.mark.parametrize("study", [dstu2_study(uid=None), stu3_study(uid=None)])
def test_Q15_an_exam_is_found_by_the_accession_number_of_an_older_study(service: Service, study: Json) -> None:
    assert "under way" in only_card(service, "STU3", mammograms=searchset(study))["summary"]


@pytest.mark.parametrize("without", [{}, {"series": None}])
def test_Q15_an_older_study_of_another_modality_is_no_mammogram(service: Service, without: Json) -> None:
    other = {"system": "http://nema.org/dicom/dicm", "code": "CT"}
    study = dstu2_study(modalityList=[other], **({"series": [{"modality": other}]} | without))

    answer = call(service, PATIENT_VIEW, old_call(PATIENT_VIEW, "DSTU2", mammograms=searchset(study)))

    assert (answer.status_code, answer.get_json()) == (200, {"cards": []})


@pytest.mark.parametrize("service_id", [ORDER_SELECT, ORDER_SIGN])
@pytest.mark.parametrize(("version", "kind"), OLD_ORDERS)
def test_Q15_orders_of_an_older_version_are_refused_and_never_passed_over(
    service: Service, service_id: str, version: str, kind: str
) -> None:
    service.score()
    for drafts in ([old_order(kind)], [service_request("77067"), old_order(kind, "77049", "d2")]):
        answer = call(service, service_id, old_call(service_id, version, *drafts))
        assert "before R4" in diagnostics(answer, 400)


@pytest.mark.parametrize("service_id", [ORDER_SELECT, ORDER_SIGN])
@pytest.mark.parametrize("kind", ["MedicationOrder", "MedicationPrescription", "DeviceUseRequest"])
def test_Q15_drugs_of_an_older_version_are_none_of_our_business(service: Service, service_id: str, kind: str) -> None:
    answer = call(service, service_id, old_call(service_id, "DSTU2", old_drug(kind)))

    assert (answer.status_code, answer.get_json()) == (200, {"cards": []})


@pytest.mark.parametrize(("version", "kind"), OLD_ORDERS)
def test_Q15_a_breast_mri_among_older_orders_is_never_taken_for_none(service: Service, version: str, kind: str) -> None:
    service.score()
    ordered = searchset(old_order(kind, "77049"))

    card = only_card(service, version, orders=ordered)

    assert "no MRI suggestion: orders of FHIR before R4 are not read" in card["summary"]
    assert "No breast MRI order" not in card["detail"]
    assert not offers_an_mri(card)


@pytest.mark.parametrize("condition", [old_condition("254837009"), stu3_condition("254837009")])
@pytest.mark.parametrize(
    ("changes", "is_offered"),
    [
        ({}, False),
        ({"clinicalStatus": "resolved"}, False),
        ({"verificationStatus": "unknown"}, False),
        ({"verificationStatus": "refuted"}, True),
        ({"verificationStatus": "entered-in-error"}, True),
    ],
)
def test_Q15_a_diagnosis_counts_by_its_older_statuses(
    service: Service, condition: Json, changes: Json, is_offered: bool
) -> None:
    service.score()

    assert offers_an_mri(only_card(service, "STU3", conditions=searchset(condition | changes))) == is_offered


@pytest.mark.parametrize(
    ("said", "is_offered"), [({}, False), ({"notPerformed": True}, True), ({"notDone": True}, True)]
)
def test_Q15_a_mastectomy_that_was_not_done_is_none(service: Service, said: Json, is_offered: bool) -> None:
    service.score()
    bilateral = old_procedure("27865001", **said)

    assert offers_an_mri(only_card(service, "DSTU2", procedures=searchset(bilateral))) == is_offered


@pytest.mark.parametrize(
    ("allergy", "is_offered"),
    [
        (old_allergy(GADOLINIUM), False),
        (old_allergy(GADOLINIUM, status="unconfirmed"), False),
        *(
            (old_allergy(GADOLINIUM, status=one), True)
            for one in ("refuted", "entered-in-error", "inactive", "resolved")
        ),
        (stu3_allergy(GADOLINIUM), False),
        (stu3_allergy(GADOLINIUM, verificationStatus="refuted"), True),
        (stu3_allergy(GADOLINIUM, clinicalStatus="resolved"), True),
    ],
)
def test_Q15_an_allergy_counts_by_its_older_statuses(service: Service, allergy: Json, is_offered: bool) -> None:
    service.score()

    assert offers_an_mri(only_card(service, "DSTU2", allergies=searchset(allergy))) == is_offered


@pytest.mark.parametrize(("asserted", "is_offered"), [("2026-03-01", False), ("2021-03-01", True)])
def test_Q15_a_pregnancy_is_as_old_as_stu3_says(service: Service, asserted: str, is_offered: bool) -> None:
    service.score()
    pregnancy = stu3_condition("77386006", assertedDate=asserted)

    assert offers_an_mri(only_card(service, "STU3", conditions=searchset(pregnancy))) == is_offered


@pytest.mark.parametrize(("status", "is_said"), [("active", True), ("resolved", False), ("inactive", False)])
def test_Q15_a_lactation_that_is_over_by_its_older_status_is_not_said(
    service: Service, status: str, is_said: bool
) -> None:
    service.score()
    lactation = stu3_condition(clinicalStatus=status) | {"code": {"coding": [{"system": ICD_10_CM, "code": "Z39.1"}]}}

    card = only_card(service, "STU3", conditions=searchset(lactation))

    assert ("Lactation is on record" in card["detail"]) == is_said


@pytest.mark.parametrize(
    ("suspicious_on", "benign_on", "is_offered"),
    [("2026-05-01", "2026-05-10", True), ("2026-05-10", "2026-05-01", False)],
)
def test_Q15_a_category_that_was_only_issued_is_as_old_as_that(
    service: Service, suspicious_on: str, benign_on: str, is_offered: bool
) -> None:
    service.score()
    categories = [
        old_category("397144001", f"{suspicious_on}T10:00:00Z"),
        old_category("397141009", f"{benign_on}T10:00:00Z"),
    ]

    assert offers_an_mri(only_card(service, "STU3", observations=searchset(*categories))) == is_offered


def old_category(code: str, issued: str) -> Json:
    """A BI-RADS category with nothing but the moment of its report."""
    return {
        "resourceType": "Observation",
        "id": f"b{code}",
        "status": "final",
        "subject": {"reference": f"Patient/{PATIENT}"},
        "code": {"text": "BI-RADS category"},
        "issued": issued,
        "valueCodeableConcept": {"coding": [{"system": SNOMED, "code": code}]},
    }


@every_version
@pytest.mark.parametrize("elements", [{"gender": {"coding": [{"code": "F"}]}}, {"gender": "UN"}, {"gender": None}])
def test_Q15_a_sex_that_cannot_be_read_is_unknown_and_said(service: Service, version: str, elements: Json) -> None:
    service.score()

    card = only_card(service, version, patient=old_patient(**elements))

    assert "Sex is not on record" in card["detail"]
    assert not offers_an_mri(card)


# Whatever of it is missing, renamed or of another shape

NAMES = {"patient": "subject", "subject": "patient", "uid": "oid", "modalityList": "modality", "code": "item"}
SHAPES: list[Callable[[Any], Any]] = [
    lambda value: None,
    lambda value: [value],
    lambda value: {"value": value},
    lambda value: value[0] if isinstance(value, list) and value else value,
    lambda value: str(value)[:40],
    lambda value: 7,
]


def reshaped(value: Any, path: list[int], change: int) -> Any:
    """The value with the part at the path left out, renamed or in another shape."""
    if not path or not isinstance(value, dict | list) or not value:
        return SHAPES[change % len(SHAPES)](value)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[path[0] % len(keys)]
    if len(path) == 1 and isinstance(value, dict) and change >= len(SHAPES):
        renamed = {} if change == len(SHAPES) else {NAMES.get(key, f"{key}Old"): value[key]}
        return {name: part for name, part in value.items() if name != key} | renamed
    copy: Any = value.copy()
    copy[key] = reshaped(value[key], path[1:], change)
    return copy


KEYS = ["patient", "mammograms", "procedures", "orders", "allergies", "observations"]
CHANGE = st.tuples(st.sampled_from([*KEYS, "context"]), st.lists(st.integers(0, 9), max_size=9), st.integers(0, 7))
DRAFT = st.sampled_from([service_request("77067"), *(old_order(kind) for _, kind in OLD_ORDERS), old_drug()])


@pytest.fixture
def scored(service: Service) -> Service:
    """The service for a woman over the threshold who had breast cancer, whatever else her chart says."""
    service.score()
    service.budget_s = 0.0
    return service


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    service_id=st.sampled_from(list(CALLS)),
    version=st.sampled_from(list(CHARTS)),
    drafts=st.lists(DRAFT, max_size=2),
    changes=st.lists(CHANGE, max_size=4),
)
def test_Q15_older_shapes_that_are_mixed_up_break_nothing_and_bring_no_mri_against_the_record(
    scored: Service, service_id: str, version: str, drafts: list[Json], changes: list[tuple[str, list[int], int]]
) -> None:
    cancer = searchset(old_condition("254837009"), stu3_condition("254837009"))
    body: Any = old_call(service_id, version, *drafts, conditions=cancer)
    for part, path, change in changes:
        whole = body if part == "context" else body["prefetch"]
        whole[part] = reshaped(whole[part], path, change)

    answer = call(scored, service_id, body)

    assert answer.status_code in (200, 400, 412), answer.text
    if answer.status_code == 200:
        assert not [card for card in answer.get_json()["cards"] if offers_an_mri(card)]
    else:
        assert answer.get_json()["resourceType"] == "OperationOutcome"
