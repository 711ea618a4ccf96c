"""The order-sign service: which calls it answers, and that it answers as order-select does."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_mappings.orders import usual_order_codes
from hooks.contract import ContractError
from hooks.order_sign import SERVICE, concerns
from hooks.request import HookRequest
from tests.hooks.builders import DIAGNOSTIC, MRI, SCREENING, call, order_sign_body, service_request


def is_concerned(*drafts: dict[str, Any]) -> bool:
    return concerns(HookRequest.from_json(order_sign_body(*drafts)), usual_order_codes())


def test_signing_a_screening_mammogram_deserves_an_answer() -> None:
    assert is_concerned()
    assert is_concerned(service_request("73721", "d1"), service_request(SCREENING, "d2"))


@pytest.mark.parametrize("code", [DIAGNOSTIC, MRI, "73721", None])
def test_signing_anything_else_is_none_of_our_business(code: object) -> None:
    assert not is_concerned(service_request(code))


def test_a_revised_order_that_is_signed_again_need_not_be_a_draft() -> None:
    assert is_concerned(service_request(SCREENING) | {"status": "active"})


@pytest.mark.parametrize("member", ["userId", "patientId", "draftOrders"])
@pytest.mark.parametrize("broken", ["missing", None, 7, ""])
def test_what_order_sign_requires_is_missed_by_name(member: str, broken: object) -> None:
    body = order_sign_body()
    if broken == "missing":
        del body["context"][member]
    else:
        body["context"][member] = broken
    with pytest.raises(ContractError, match=member):
        concerns(HookRequest.from_json(body), usual_order_codes())


def test_the_card_offers_an_mri_unless_one_is_signed_with_it() -> None:
    (card,) = SERVICE.answer(call(HookRequest.from_json(order_sign_body())))
    both = order_sign_body(service_request(SCREENING, "d1"), service_request(MRI, "d2"))
    (without,) = SERVICE.answer(call(HookRequest.from_json(both)))

    assert len(card.suggestions) == 2
    assert without.summary.endswith("breast MRI already in the draft orders")
