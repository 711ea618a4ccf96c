"""What came with the call, what is fetched, what stays unread: five cases that must never be confused."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cds.ehr.prefetch import complete
from cds.errors import EhrAnswerBroken, EhrRefused, EhrUnreachable, HookRequestError, UntrustedServer
from fhir_mappings.chart import Unread
from tests.builders import imaging_study, operation_outcome, searchset
from tests.fakes import FakeEhr

TEMPLATES = {"patient": "Patient/{{context.patientId}}", "mammograms": "ImagingStudy?patient={{context.patientId}}"}
CONTEXT = {"patientId": "p1"}
PATIENT = {"resourceType": "Patient", "id": "p1"}
ONE_STUDY = searchset(imaging_study("p1", "2025-01-05"))
STUDIES = searchset(imaging_study("p1", "2025-01-05"), imaging_study("p1", "2024-01-05"))
EMPTY = {"resourceType": "Bundle", "type": "searchset"}
NEXT = [{"relation": "next", "url": "https://ehr.example/fhir?page=2"}]


def ehr() -> FakeEhr:
    return FakeEhr({"Patient/p1": PATIENT, "ImagingStudy?patient=p1": STUDIES})


def completed(prefetch: dict[str, object], source: FakeEhr | None) -> dict[str, object | Unread]:
    return complete(TEMPLATES, prefetch, CONTEXT, source).values


def test_a_complete_prefetch_is_taken_without_asking_the_ehr() -> None:
    source = ehr()
    prefetch: dict[str, object] = {"patient": PATIENT, "mammograms": ONE_STUDY}
    assert completed(prefetch, source) == prefetch
    assert source.asked == []


def test_Q10_keys_that_no_template_asked_for_are_left_out() -> None:
    assert completed({"patient": PATIENT, "mammograms": EMPTY, "extra": PATIENT}, None).keys() == TEMPLATES.keys()


def test_a_missing_key_is_fetched() -> None:
    assert completed({}, ehr()) == {"patient": PATIENT, "mammograms": STUDIES}


def test_a_missing_key_without_access_is_unread() -> None:
    assert completed({}, None)["mammograms"] == Unread(
        "it is not in the prefetch, and the call gave no access to fetch it"
    )


def test_null_for_a_search_means_that_there_is_nothing() -> None:
    source = ehr()
    assert completed({"patient": PATIENT, "mammograms": None}, source)["mammograms"] == EMPTY
    assert source.asked == []


def test_null_for_a_read_is_fetched() -> None:
    assert completed({"patient": None, "mammograms": EMPTY}, ehr())["patient"] == PATIENT


def test_an_empty_bundle_is_an_answer() -> None:
    source = ehr()
    assert completed({"patient": PATIENT, "mammograms": EMPTY}, source)["mammograms"] == EMPTY
    assert source.asked == []


def test_epics_empty_search_is_an_answer() -> None:
    entry = {"resource": operation_outcome("warning", "not-found"), "search": {"mode": "outcome"}}
    nothing = {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": [entry]}
    assert completed({"patient": PATIENT, "mammograms": nothing}, None)["mammograms"] == nothing


FAILED: list[Any] = [
    operation_outcome("error", "throttled"),
    searchset(operation_outcome("error", "throttled")),
    searchset(imaging_study("p1", "2025-01-05"), operation_outcome("fatal", "throttled")),
    "not a resource",
    [PATIENT],
    7,
    {},
    {"resourceType": "Patient", "id": "p1"},
    {**ONE_STUDY, "link": NEXT},
    {**ONE_STUDY, "total": 2},
]


@pytest.mark.parametrize("value", FAILED)
def test_Q10_Q11_a_failed_wrong_or_partial_search_is_fetched_whole(value: object) -> None:
    assert completed({"patient": PATIENT, "mammograms": value}, ehr())["mammograms"] == STUDIES


@pytest.mark.parametrize("value", [{"resourceType": "Person", "id": "p1"}, searchset(PATIENT), [PATIENT], "p1", {}])
def test_Q10_a_prefetched_read_of_another_type_is_fetched(value: object) -> None:
    assert completed({"patient": value, "mammograms": EMPTY}, ehr())["patient"] == PATIENT


@pytest.mark.parametrize("value", FAILED)
def test_a_failed_wrong_or_partial_search_without_access_is_unread(value: object) -> None:
    assert isinstance(completed({"patient": PATIENT, "mammograms": value}, None)["mammograms"], Unread)


@pytest.mark.parametrize("value", FAILED)
@pytest.mark.parametrize("error", [EhrRefused("no"), EhrAnswerBroken("no"), UntrustedServer("no")])
def test_a_partial_search_that_cannot_be_fetched_never_passes_for_the_whole(value: object, error: Any) -> None:
    source = FakeEhr({"ImagingStudy?patient=p1": error})
    assert completed({"patient": PATIENT, "mammograms": value}, source)["mammograms"] == Unread("no")


def test_the_outcomes_codes_are_told_and_its_texts_are_not() -> None:
    outcome = operation_outcome("error", "security")
    outcome["issue"][0]["diagnostics"] = "Ada Lovelace may not be seen"
    unread = completed({"patient": outcome, "mammograms": EMPTY}, None)["patient"]
    assert isinstance(unread, Unread)
    assert "security" in unread.why
    assert "Ada" not in unread.why


def test_one_refusal_leaves_the_other_keys_to_be_fetched() -> None:
    source = FakeEhr({"Patient/p1": EhrRefused("scope"), "ImagingStudy?patient=p1": STUDIES})
    assert completed({}, source) == {"patient": Unread("scope"), "mammograms": STUDIES}


def test_an_ehr_that_does_not_answer_is_not_asked_again() -> None:
    source = FakeEhr({"Patient/p1": EhrUnreachable("down"), "ImagingStudy?patient=p1": STUDIES})
    assert completed({}, source) == {"patient": Unread("down"), "mammograms": Unread("down")}
    assert source.asked == ["Patient/p1"]


@pytest.mark.parametrize("patient_id", [None, 7, "", ".", "..", "a/b", "a?b", "p1\n", "ä", "x" * 129, ["p1"], "{{x}}"])
def test_a_patient_id_that_is_no_fhir_id_is_a_wrong_request(patient_id: object) -> None:
    with pytest.raises(HookRequestError) as raised:
        complete(TEMPLATES, {"patient": PATIENT, "mammograms": EMPTY}, {"patientId": patient_id}, ehr())
    assert raised.value.http_status == 400


def test_a_long_id_of_a_real_ehr_is_taken() -> None:
    long_id = "e" * 100 + "-.3"
    source = FakeEhr({f"Patient/{long_id}": PATIENT})
    assert complete({"patient": TEMPLATES["patient"]}, {}, {"patientId": long_id}, source).values == {
        "patient": PATIENT
    }


@example("\ud800")
@given(st.text(st.characters(), min_size=1))
def test_what_fills_a_template_never_changes_its_shape(encounter: str) -> None:
    source = FakeEhr()
    complete({"e": "Encounter?_id={{context.encounterId}}&_count=1"}, {}, {"encounterId": encounter}, source)
    value = source.asked[0].removeprefix("Encounter?_id=").removesuffix("&_count=1")
    assert not set(value) & set("&/?#=+ \n")
    assert value.isascii()


@pytest.mark.parametrize("context", [{}, {"encounterId": None}, {"encounterId": 7}])
def test_a_template_that_the_context_cannot_fill_is_unread(context: dict[str, object]) -> None:
    source = ehr()
    value = complete({"e": "Encounter/{{context.encounterId}}"}, {}, context, source).values["e"]
    assert isinstance(value, Unread)
    assert source.asked == []
