"""Section 11 of the checklist: Epic (E) and the public sandbox (X), as they are known to call."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from cds.services import CallingEhr, WebServices, web_services
from cds.settings import read_settings
from cds.store.seen_tokens import SeenTokens
from cds.trust.clients import ClientTrust
from cds.web.app import Front, create_app
from fhir_mappings.codes import Coding
from tests.builders import imaging_study, operation_outcome, searchset
from tests.cds.builders import (
    MODEL,
    NOW,
    Json,
    claimed,
    fhir_patient,
    new_exam,
    order_select,
    scored,
    service_request,
)
from tests.cds.model_card import model_folder
from tests.cds.trust.callers import EC, ISSUER, PUBLIC_URL, RSA, bearer, claims, client, header, signed
from tests.cds.web.conftest import FHIR_SERVER, Service
from tests.conformance.calls import ORDER_SELECT, address, whole
from tests.conformance.family import actions, suggestions

PATH = address(ORDER_SELECT)
SANDBOX = "https://sandbox.cds-hooks.org"
PREFERENCE_LIST = Coding("urn:oid:1.2.840.114350.1.13.0.1.7.2.696580", "IMG77049")
LONG_ID = "e" + "Zq0-.3" * 20
NOTHING_FOUND = {
    **searchset(),
    "total": 0,
    "entry": [{"resource": operation_outcome("warning", "not-found"), "search": {"mode": "outcome"}}],
}


def profiled(folder: Path, profile: str, more: str = "") -> CallingEhr:
    """The EHR of a site that takes everything from a profile but its own names and codes."""
    model_folder(folder / "model")
    file = folder / "mammotrend.toml"
    file.write_text(
        f'database_url = "sqlite://"\nmodel = "{folder / "model"}"\n[service]\ntrust = "demo"\n'
        f'[[ehrs]]\nname = "ehr-1"\nfhir_server = "{FHIR_SERVER}"\nmode = "research"\nprofile = "{profile}"\n{more}'
    )
    (ehr,) = web_services(read_settings(file, environment=False)).ehrs
    return ehr


def as_profiled(parts: WebServices, ehr: CallingEhr) -> WebServices:
    """The test's application for the EHR of a profile; the connection is still the test's own."""
    return replace(parts, ehrs=(replace(parts.ehrs[0], site=ehr.site),))


@pytest.fixture
def epic(service: Service, tmp_path: Path) -> FlaskClient:
    """The service of a site with an Epic-shaped EHR, for a patient over the threshold."""
    service.score()
    caller = f'[ehrs.caller]\nissuer = "{ISSUER}"\njwks_url = "https://ehr.example/jwks"\n'
    code = f'[ehrs.mri_order]\nsystem = "{PREFERENCE_LIST.system}"\ncode = "{PREFERENCE_LIST.code}"\n'
    return create_app(as_profiled(service.parts(), profiled(tmp_path, "epic", caller + code))).test_client()


def only_card(caller: FlaskClient, body: Json, path: str = PATH, **how: Any) -> Json:
    answer = caller.post(path, json=body, **how)
    assert answer.status_code == 200, answer.text
    (card,) = answer.get_json()["cards"]
    found: Json = card
    return found


# Epic


def test_E1_selection_is_any_and_a_suggestion_has_one_action(epic: FlaskClient) -> None:
    card = only_card(epic, whole(ORDER_SELECT))

    assert card["selectionBehavior"] == "any"
    assert all(len(suggestion["actions"]) == 1 for suggestion in suggestions(card))


def test_E2_E3_only_an_order_of_the_sites_own_list_is_offered_and_no_risk_assessment(epic: FlaskClient) -> None:
    (action,) = actions(only_card(epic, whole(ORDER_SELECT)))

    assert action["resource"]["resourceType"] == "ServiceRequest"
    assert PREFERENCE_LIST.code in [coding["code"] for coding in action["resource"]["code"]["coding"]]


def test_E4_a_call_is_answered_without_discovery_whatever_of_the_prefetch_was_configured(service: Service) -> None:
    service.score()
    body = whole(ORDER_SELECT)
    body["prefetch"] = {key: body["prefetch"][key] for key in ("patient", "mammograms")}

    assert "could not be" in only_card(service.client(), body)["detail"]


@pytest.mark.parametrize("key", ["conditions", "procedures", "orders", "allergies", "observations"])
def test_E5_an_empty_search_with_an_outcome_entry_found_nothing(epic: FlaskClient, key: str) -> None:
    usual = only_card(epic, whole(ORDER_SELECT))

    assert only_card(epic, whole(ORDER_SELECT, **{key: NOTHING_FOUND}))["detail"] == usual["detail"]


def test_E5_no_mammograms_with_an_outcome_entry_is_no_card(epic: FlaskClient) -> None:
    answer = epic.post(PATH, json=whole(ORDER_SELECT, mammograms=NOTHING_FOUND))

    assert (answer.status_code, answer.get_json()) == (200, {"cards": []})


@pytest.mark.parametrize(
    ("key", "algorithm", "more"),
    [
        (RSA, "RS384", {"nbf": int(NOW.timestamp()) - 300, "exp": int(NOW.timestamp()) + 900, "sub": "epic-client"}),
        (EC, "ES384", {}),
    ],
    ids=["E6 Epic", "X1 sandbox"],
)
def test_E6_X1_the_tokens_of_both_are_taken(
    service: Service, engine: Engine, key: Any, algorithm: str, more: Json
) -> None:
    service.score()
    parts = replace(service.parts(), trust=ClientTrust([client()], SeenTokens(engine)), public_url=PUBLIC_URL)
    made = signed(header(alg=algorithm, kid=key.kid), claims(**more), key, algorithm)

    assert only_card(create_app(parts).test_client(), whole(ORDER_SELECT), headers={"Authorization": bearer(made)})


def of_patient(patient_id: str) -> Json:
    """A whole call about a patient with this id."""
    body = whole(
        ORDER_SELECT,
        patient=fhir_patient(patient_id),
        mammograms=searchset(imaging_study(patient_id, "2026-05-03", "1.2.9", id="s9")),
    )
    body["context"]["patientId"] = patient_id
    body["context"]["draftOrders"]["entry"] = [{"resource": service_request("77067", "d1", patient_id)}]
    return body


def test_E7_long_ids_and_a_practitioner_role_are_taken(epic: FlaskClient, service: Service) -> None:
    service.store.register([new_exam("1.2.9", LONG_ID)], MODEL.key, NOW)
    service.store.save_score(claimed(service.store), scored("1.2.9", 0.066))
    body = of_patient(LONG_ID)
    body["context"]["userId"] = f"PractitionerRole/{LONG_ID}"

    (action,) = actions(only_card(epic, body))

    assert len(LONG_ID) > 64
    assert action["resource"]["subject"] == {"reference": f"Patient/{LONG_ID}"}
    assert action["resource"]["requester"] == {"reference": f"PractitionerRole/{LONG_ID}"}


def test_E8_medications_among_the_drafts_do_no_harm(epic: FlaskClient) -> None:
    body = whole(ORDER_SELECT)
    body["context"]["draftOrders"]["entry"] += [
        {"resource": {"resourceType": "Medication", "id": "m1", "code": {"text": "a drug"}}},
        {"resource": {"resourceType": "MedicationRequest", "id": "r1", "status": "draft", "intent": "order"}},
    ]

    assert only_card(epic, body)


def test_E9_extensions_may_be_texts(epic: FlaskClient) -> None:
    body = whole(ORDER_SELECT) | {"extension": {"com.epic.cdshooks.request.bpa-trigger-action": "23"}}
    body["fhirAuthorization"]["extension"] = "x"
    body["context"]["extension"] = "y"

    assert only_card(epic, body)


# The public sandbox


@pytest.fixture
def sandbox(service: Service, tmp_path: Path) -> FlaskClient:
    """The service as a site tries it out with the sandbox, whose pages call from a browser."""
    service.score()
    parts = as_profiled(service.parts(), profiled(tmp_path, "sandbox"))
    return create_app(parts, Front((SANDBOX,))).test_client()


def test_X2_an_order_that_is_still_without_a_code_is_no_screening(sandbox: FlaskClient) -> None:
    body = whole(ORDER_SELECT)
    body["context"]["draftOrders"]["entry"][0]["resource"]["code"] = {"coding": [{}]}

    assert sandbox.post(PATH, json=body).get_json() == {"cards": []}


def test_X3_keys_that_failed_are_left_out_and_the_card_says_what_is_not_known(sandbox: FlaskClient) -> None:
    body = whole(ORDER_SELECT)
    del body["prefetch"]["orders"], body["fhirServer"], body["fhirAuthorization"]

    assert "could not be read" in only_card(sandbox, body)["detail"]


def test_X4_every_service_has_an_id_of_its_own(sandbox: FlaskClient) -> None:
    ids = [service["id"] for service in sandbox.get("/cds-services").get_json()["services"]]

    assert len(set(ids)) == len(ids) == 3


@pytest.mark.parametrize("body", [whole(ORDER_SELECT), {}, order_select(fhirServer="https://evil.example")])
def test_X5_its_page_can_read_every_answer(sandbox: FlaskClient, body: Json) -> None:
    answer = sandbox.post(PATH, json=body, headers={"Origin": SANDBOX})

    assert answer.headers["Access-Control-Allow-Origin"] == SANDBOX


def test_X6_every_suggestion_creates_something(service: Service, cards: list[Json]) -> None:
    assert all(suggestion["actions"] for card in cards for suggestion in suggestions(card))
    assert {action["type"] for card in cards for action in actions(card)} == {"create"}


def test_X7_an_irrelevant_order_is_answered_at_once_however_often(sandbox: FlaskClient, service: Service) -> None:
    for code in ("73721", "77066", "1001"):
        assert sandbox.post(PATH, json=order_select(code, fhirServer=FHIR_SERVER)).get_json() == {"cards": []}

    assert (service.ehr.tokens, service.sleeps) == ([], [])
