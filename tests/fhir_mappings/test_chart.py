"""The chart of one call."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fhir_mappings.chart import Chart, Unread, read_chart
from fhir_mappings.codes import CPT, ICD_10_CM, SNOMED, Coding
from fhir_mappings.dates import parse_partial_date
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import BreastHistory
from fhir_mappings.orders import Orders, usual_order_codes
from tests.fhir_mappings.fhir_json import (
    PATIENT,
    Json,
    bundle,
    concept,
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
    assert (read.exams.exams, read.history, read.mri_orders) == ((), BreastHistory(False, False), Orders())
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
    assert [order.status for order in read.mri_orders.orders] == ["active"]


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
    assert read.problems == (told, "procedures: the EHR did not answer")
    other = chart(procedures=bundle(procedure(SNOMED, "27865001")), conditions=outcome()).history
    assert isinstance(other, BreastHistory)
    assert other.bilateral_mastectomy


@pytest.mark.parametrize(("value", "why"), [(UNREACHABLE, UNREACHABLE.why), (None, NOTHING), (outcome(), "error")])
@pytest.mark.parametrize(("key", "other"), [("orders", "procedures"), ("procedures", "orders")])
@pytest.mark.parametrize("code", ["77049", "77066"])
def test_what_was_ordered_or_done_counts_where_the_other_half_could_not_be_read_and_that_is_said(
    code: str, key: str, other: str, value: object, why: str
) -> None:
    found = service_request(code) if other == "orders" else procedure(CPT, code)
    read = chart(**{key: value, other: bundle(found)})
    orders, others = read.mri_orders, read.diagnostic_orders
    if code == "77066":
        orders, others = others, orders
    assert (len(orders.orders), len(others.orders)) == (1, 0)
    assert orders.problems == others.problems
    assert [said for said in read.problems if said.startswith(f"{key}: ") and why in said] == list(orders.problems)


def test_a_missing_key_is_unread() -> None:
    read = read_chart({"patient": patient(), "mammograms": bundle()}, PATIENT, TODAY)
    nothing = Orders(problems=(f"orders: {NOTHING}", f"procedures: {NOTHING}"))
    assert (read.history, read.mri_orders, read.diagnostic_orders) == (Unread(NOTHING), nothing, nothing)
    assert read.problems == nothing.problems


@pytest.mark.parametrize("kind", [service_request("77049", patient_id="p2"), procedure(CPT, "77049", "p2")])
def test_what_was_left_out_of_the_orders_or_procedures_is_never_taken_for_none(kind: Json) -> None:
    key = "orders" if kind["resourceType"] == "ServiceRequest" else "procedures"
    read = chart(**{key: bundle(kind)})
    assert read.mri_orders.problems == read.diagnostic_orders.problems == read.problems
    assert "of another patient" in read.problems[0]


@pytest.mark.parametrize(("code", "count"), [("77066", 1), ("77067", 0)])
def test_an_exam_that_says_itself_that_it_was_diagnostic_counts_like_an_order_for_one(code: str, count: int) -> None:
    exam = study(started="2026-05-03", procedureCode=[concept(CPT, code)])
    found = chart(mammograms=bundle(exam)).diagnostic_orders
    assert [order.dated for order in found.orders] == [parse_partial_date("2026-05-03")] * count


def test_orders_beside_the_chart_that_were_not_read_are_said_once_and_hide_none_that_were() -> None:
    read = chart(orders=bundle(service_request("77049"))).beside_unread_orders(("draft orders: 1 of them",))
    assert (len(read.mri_orders.orders), read.problems) == (1, ("draft orders: 1 of them",))
    assert read.mri_orders.problems == read.diagnostic_orders.problems == read.problems


def test_only_standing_breast_mri_orders_are_kept() -> None:
    orders = bundle(
        service_request("77067"),
        *(service_request("77049", status=status, id=status) for status in ("active", "on-hold", "completed", "draft")),
        *(service_request("77049", status=status, id=status) for status in ("revoked", "entered-in-error")),
    )
    kept = chart(orders=orders).mri_orders.orders
    assert [order.status for order in kept] == ["active", "on-hold", "completed", "draft"]


def test_a_sites_own_mri_code_is_recognised() -> None:
    site = ("https://site.example/orders", "MRIBRST")
    codes = usual_order_codes().adding(breast_mri=[Coding(*site)])
    resources = {"patient": patient(), "mammograms": [], "orders": [service_request(site[1], site[0])]}
    kept = read_chart(resources, PATIENT, TODAY, codes).mri_orders.orders
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
