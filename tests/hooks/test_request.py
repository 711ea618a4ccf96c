"""What an EHR may send, and what is said when it is not a CDS Hooks call."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.request import Authorization, ContractError, HookRequest
from tests.hooks.builders import order_select_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("member", ["hook", "hookInstance", "context"])
@pytest.mark.parametrize("broken", [None, "", 7, []])
def test_Q2_a_required_member_that_is_missing_or_of_the_wrong_type_is_named(member: str, broken: object) -> None:
    body = order_select_body()
    body[member] = broken
    with pytest.raises(ContractError, match=member):
        HookRequest.from_json(body)


@pytest.mark.parametrize("body", [None, [], "hook", 3, True])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(ContractError, match="the request body"):
        HookRequest.from_json(body)


def test_Q4_Q5_members_that_nobody_knows_are_ignored() -> None:
    body = order_select_body() | {"extension": {"com.example.version": "R4"}, "color": 3}
    body["context"]["newField"] = [1]
    assert HookRequest.from_json(body).patient_id == "p1"


def test_Q11_a_null_in_the_prefetch_stays_a_null_and_a_missing_key_stays_missing() -> None:
    request = HookRequest.from_json(order_select_body() | {"prefetch": {"patient": None}})
    assert request.prefetch["patient"] is None
    assert "mammograms" not in request.prefetch


@pytest.mark.parametrize("prefetch", [[], "x", 1])
def test_a_prefetch_that_is_no_object_is_refused(prefetch: object) -> None:
    with pytest.raises(ContractError, match="prefetch"):
        HookRequest.from_json(order_select_body() | {"prefetch": prefetch})


@pytest.mark.parametrize("server", ["fhir", "/fhir", "ftp://ehr/fhir", 7, "http://", "http://[bad", "http://ehr /fhir"])
def test_a_fhir_server_that_is_no_absolute_web_address_is_refused(server: object) -> None:
    with pytest.raises(ContractError, match="fhirServer"):
        HookRequest.from_json(order_select_body() | {"fhirServer": server})


@pytest.mark.parametrize("patient_id", ["../Patient/9", "a/b", "p1?x=1", "..", "a b", "p1\n", "ä", "x" * 129])
def test_a_patient_id_that_could_change_an_address_is_refused_and_not_repeated(patient_id: str) -> None:
    body = order_select_body()
    body["context"]["patientId"] = patient_id
    with pytest.raises(ContractError) as refused:
        _ = HookRequest.from_json(body).patient_id
    assert patient_id not in str(refused.value).replace("'-' and '.'", "")


def test_a_patient_id_written_as_a_reference_is_understood() -> None:
    body = order_select_body()
    body["context"]["patientId"] = "Patient/p1"
    assert HookRequest.from_json(body).patient_id == "p1"


def test_F2_neither_the_token_nor_the_patient_appears_in_a_repr() -> None:
    leave = {"access_token": "s3cret-token", "token_type": "Bearer", "expires_in": 300, "patient": "p-4711"}
    body = order_select_body() | {"fhirAuthorization": leave, "prefetch": {"patient": {"name": "Doe"}}}
    body["context"]["patientId"] = "p-4711"
    text = repr(HookRequest.from_json(body))
    assert not [word for word in ("s3cret", "4711", "Doe") if word in text]


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        ("patient/Observation.read", "patient/Observation.read"),
        ("patient/Observation.rs user/*.cruds", "patient/Observation.rs user/*.cruds"),
        (["patient/Patient.read", 7, "x"], "patient/Patient.read x"),
        (None, ""),
    ],
)
def test_F6_scopes_of_every_dialect_are_kept_as_written(scope: object, kept: str) -> None:
    assert Authorization.from_json({"access_token": "t", "scope": scope}).scope == kept


@pytest.mark.parametrize(
    ("written", "seconds"), [(300, 300), ("300", 300), (None, None), (True, None), (-1, None), (1.5, None), ([], None)]
)
def test_an_odd_lifetime_of_a_token_is_not_known_rather_than_wrong(written: object, seconds: int | None) -> None:
    assert Authorization.from_json({"access_token": "t", "expires_in": written}).expires_in == seconds


@pytest.mark.parametrize("token", [None, "", 7, "two words", "line\r\nHost: evil", "ключ"])
def test_a_token_that_could_not_stand_in_a_header_is_refused(token: object) -> None:
    with pytest.raises(ContractError, match="access_token"):
        Authorization.from_json({"access_token": token})


def test_a_token_that_is_not_a_bearer_token_is_refused() -> None:
    with pytest.raises(ContractError, match="Bearer"):
        Authorization.from_json({"access_token": "t", "token_type": "MAC"})


@given(members=st.dictionaries(st.sampled_from([*sorted(order_select_body()), "prefetch", "fhirServer"]), JSON))
def test_whatever_json_comes_is_a_request_or_a_contract_error(members: dict[str, Any]) -> None:
    try:
        request = HookRequest.from_json(order_select_body() | members)
    except ContractError:
        return
    assert request.hook
    assert request.hook_instance


def test_a_number_that_is_not_finite_does_no_harm() -> None:
    assert Authorization.from_json({"access_token": "t", "expires_in": math.inf}).expires_in is None


def test_a_complete_call_is_read() -> None:
    leave = {"access_token": "t", "token_type": "bearer", "expires_in": 300, "scope": "patient/*.rs", "subject": "s"}
    body = order_select_body() | {"fhirServer": "https://ehr.example/fhir/r4", "fhirAuthorization": leave}
    request = HookRequest.from_json(body)
    assert request.fhir_server == "https://ehr.example/fhir/r4"
    assert request.authorization == Authorization("t", 300, "patient/*.rs", "s")
    assert (request.hook, request.patient_id, request.context_text("userId")) == (
        "order-select",
        "p1",
        "Practitioner/dr1",
    )
