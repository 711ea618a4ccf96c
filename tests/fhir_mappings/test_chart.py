"""The chart of one call."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fhir_mappings.chart import Chart, Unread, read_chart
from fhir_mappings.codes import ICD_10_CM, SNOMED, Coding
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import BreastHistory
from fhir_mappings.orders import usual_order_codes
from tests.fhir_mappings.fhir_json import (
    PATIENT,
    bundle,
    condition,
    outcome,
    patient,
    procedure,
    service_request,
    study,
)

TODAY = date(2026, 5, 20)

UNREACHABLE = Unread("the EHR did not answer")
NOTHING = "the EHR sent nothing for it"


def chart(**resources: Any) -> Chart:
    """The chart of the tests' patient, nothing on record but what is given."""
    empty = {key: bundle() for key in ("mammograms", "conditions", "procedures", "orders")}
    return read_chart({"patient": patient(), **empty, **resources}, PATIENT, TODAY)


def test_an_empty_chart_was_looked_at_and_holds_nothing() -> None:
    read = chart()
    assert read.patient.id == PATIENT
    assert (read.exams.exams, read.history, read.mri_orders) == ((), BreastHistory(False, False), ())
    assert read.problems == ()


def test_a_full_chart_is_read_part_by_part() -> None:
    read = chart(
        mammograms=bundle(study()),
        conditions=bundle(condition(ICD_10_CM, "C50.911")),
        procedures=bundle(procedure(SNOMED, "27865001")),
        orders=bundle(service_request("77049", status="active")),
    )
    assert len(read.exams.exams) == 1
    assert read.history == BreastHistory(breast_cancer=True, bilateral_mastectomy=True)
    assert isinstance(read.mri_orders, tuple)
    assert [order.status for order in read.mri_orders] == ["active"]


@pytest.mark.parametrize("key", ["patient", "mammograms"])
@pytest.mark.parametrize("value", [UNREACHABLE, None, outcome(), "x"])
def test_a_chart_without_patient_or_mammograms_is_refused(key: str, value: object) -> None:
    with pytest.raises(ResourceProblem, match=f"^{key}: "):
        chart(**{key: value})


def test_a_refused_chart_says_which_part_and_why() -> None:
    with pytest.raises(ResourceProblem, match=r"^mammograms: the EHR did not answer$"):
        chart(mammograms=UNREACHABLE)


@pytest.mark.parametrize("key", ["conditions", "procedures"])
@pytest.mark.parametrize(
    ("value", "why"), [(UNREACHABLE, UNREACHABLE.why), (None, NOTHING), (bundle(outcome()), "error")]
)
def test_half_a_history_that_shows_nothing_is_unread(key: str, value: object, why: str) -> None:
    history = chart(**{key: value}).history
    assert isinstance(history, Unread)
    assert why in history.why


def test_half_a_history_that_already_decides_is_kept_and_says_that_it_is_half() -> None:
    read = chart(conditions=bundle(condition(ICD_10_CM, "C50.911")), procedures=UNREACHABLE)
    told = "the history was read only in part: the EHR did not answer"
    assert read.history == BreastHistory(breast_cancer=True, bilateral_mastectomy=False, problems=(told,))
    assert read.problems == (told,)
    other = chart(procedures=bundle(procedure(SNOMED, "27865001")), conditions=outcome()).history
    assert isinstance(other, BreastHistory)
    assert other.bilateral_mastectomy


@pytest.mark.parametrize(("value", "why"), [(UNREACHABLE, UNREACHABLE.why), (None, NOTHING), (outcome(), "error")])
def test_mri_orders_that_could_not_be_read_are_not_none(value: object, why: str) -> None:
    unread = chart(orders=value).mri_orders
    assert isinstance(unread, Unread)
    assert why in unread.why


def test_a_missing_key_is_unread() -> None:
    read = read_chart({"patient": patient(), "mammograms": bundle()}, PATIENT, TODAY)
    assert (read.history, read.mri_orders) == (Unread(NOTHING), Unread(NOTHING))


def test_only_standing_breast_mri_orders_are_kept() -> None:
    orders = bundle(
        service_request("77067"),
        *(service_request("77049", status=status, id=status) for status in ("active", "on-hold", "completed", "draft")),
        *(service_request("77049", status=status, id=status) for status in ("revoked", "entered-in-error")),
    )
    kept = chart(orders=orders).mri_orders
    assert isinstance(kept, tuple)
    assert [order.status for order in kept] == ["active", "on-hold", "completed", "draft"]


def test_a_sites_own_mri_code_is_recognised() -> None:
    site = ("https://site.example/orders", "MRIBRST")
    codes = usual_order_codes().adding(breast_mri=[Coding(*site)])
    resources = {"patient": patient(), "mammograms": [], "orders": [service_request(site[1], site[0])]}
    kept = read_chart(resources, PATIENT, TODAY, codes).mri_orders
    assert isinstance(kept, tuple)
    assert [order.codings[0].key for order in kept] == [site]


def test_the_problems_of_every_part_are_gathered() -> None:
    read = chart(
        mammograms=bundle(study(patient_id="p2")),
        conditions=bundle(condition(ICD_10_CM, "C50", "p2")),
        orders=bundle(service_request("77049", patient_id="p2")),
    )
    assert [problem.split(" ", 3)[3] for problem in read.problems] == [
        "imaging study of another patient",
        "condition of another patient",
        "order of another patient",
    ]
