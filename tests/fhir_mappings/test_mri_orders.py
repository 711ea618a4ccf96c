"""The draft breast MRI order."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from fhir_mappings.codes import CPT, LOINC, Coding
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.mri_orders import check_mri_order, mri_order
from fhir_mappings.orders import is_breast_mri, read_orders, usual_order_codes


def test_the_default_is_a_draft_of_cpt_77049_without_a_copyrighted_description() -> None:
    order = mri_order("p1", reason="Increased 5-year image-based score")
    assert (order["status"], order["intent"], order["subject"]) == ("draft", "order", {"reference": "Patient/p1"})
    assert order["code"] == {"coding": [{"system": CPT, "code": "77049"}], "text": "Breast MRI"}
    assert order["reasonCode"] == [{"text": "Increased 5-year image-based score"}]
    assert not {"requester", "supportingInfo", "note"} & order.keys()


def test_our_own_order_is_recognised_as_a_breast_mri() -> None:
    (read,) = read_orders([mri_order("p1", reason="r")], "p1").orders
    assert is_breast_mri(read, usual_order_codes())


def test_the_sites_code_comes_first_and_the_standard_ones_beside_it() -> None:
    site, standard = Coding("https://site.example", "MRIBRST", "MRI breasts"), Coding(LOINC, "36277-2")
    code = mri_order("p1", coding=site, equivalents=(standard,), reason="r")["code"]
    assert [coding["code"] for coding in code["coding"]] == ["MRIBRST", "36277-2"]
    assert code["text"] == "MRI breasts"


def test_a_clinician_an_exam_and_a_note_are_carried() -> None:
    order = mri_order(
        "p1", reason="r", intent="proposal", imaging_study="ImagingStudy/s1", requester="PractitionerRole/d", note="n"
    )
    assert order["intent"] == "proposal"
    assert order["requester"] == {"reference": "PractitionerRole/d"}
    assert order["supportingInfo"] == [{"reference": "ImagingStudy/s1"}]
    assert order["note"] == [{"text": "n"}]


LONG = f"https://ehr.example/{'x' * 3000}/Practitioner/1"


@pytest.mark.parametrize("user", ["Patient/p1", "RelatedPerson/1", "", "Dr. Who", LONG, None])
def test_a_user_who_is_no_clinician_is_not_named_as_requester(user: str | None) -> None:
    assert "requester" not in mri_order("p1", reason="r", requester=user)


def test_what_is_left_out_of_an_order_is_not_kept_in_memory_either() -> None:
    tracemalloc.start()
    for number in range(20):
        mri_order("p1", reason="r", requester=f"{number}{'x' * 1_000_000}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2_000_000


@pytest.mark.parametrize("wrong", [{"intent": "plan"}, {"reason": ""}, {"coding": Coding("", "")}])
def test_what_cannot_be_ordered_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ResourceProblem):
        mri_order("p1", **{"reason": "r", **wrong})


def test_an_illegal_patient_id_is_refused() -> None:
    with pytest.raises(ResourceProblem):
        mri_order("p 1", reason="r")


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "active"},
        {"intent": "directive"},
        {"subject": {"reference": "Group/1"}},
        {"requester": {"reference": "Patient/p1"}},
        {"note": []},
        {"supportingInfo": [{"reference": "#nowhere"}]},
        {"resourceType": "Task"},
    ],
)
def test_a_broken_draft_is_found(broken: dict[str, Any]) -> None:
    order = mri_order("p1", reason="r")
    check_mri_order(order)
    with pytest.raises(ResourceProblem):
        check_mri_order({**order, **broken})
