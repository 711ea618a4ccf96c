"""Whole calls of the three services, as an EHR makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.cds.builders import PATIENT, Json, order_select, prefetch
from tests.cds.web.calls import LEAVE
from tests.cds.web.conftest import FHIR_SERVER

ORDER_SELECT = "breast-risk-order-select"
ORDER_SIGN = "breast-risk-order-sign"
PATIENT_VIEW = "breast-risk-patient-view"


def order_sign(**members: Any) -> Json:
    """The body of an order-sign call in which one screening mammogram is signed."""
    body = order_select(**members)
    del body["context"]["selections"]
    return body | {"hook": "order-sign"}


def patient_view(**members: Any) -> Json:
    """The body of a patient-view call."""
    context = {"userId": "PractitionerRole/r1", "patientId": PATIENT}
    return order_select(**members) | {"hook": "patient-view", "context": context}


CALLS: dict[str, Callable[..., Json]] = {
    ORDER_SELECT: order_select,
    ORDER_SIGN: order_sign,
    PATIENT_VIEW: patient_view,
}
"""The body of a call of each service, by its id."""


def address(service_id: str) -> str:
    """Where a service is called."""
    return f"/cds-services/{service_id}"


def whole(service_id: str, *study_uids: str, **values: Any) -> Json:
    """A call of a service with everything in its prefetch, and the leave to fetch more."""
    wanted = prefetch(*(study_uids or ("1.2.1",)), **values)
    return CALLS[service_id](prefetch=wanted, fhirServer=FHIR_SERVER, fhirAuthorization=LEAVE)
