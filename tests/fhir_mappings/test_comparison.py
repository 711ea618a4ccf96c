"""What a server may add to a resource, and what it may not change."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.comparison import same_content

SENT: dict[str, Any] = {
    "resourceType": "RiskAssessment",
    "status": "final",
    "subject": {"reference": "Patient/p1"},
    "basis": [{"reference": "ImagingStudy/s1"}, {"reference": "RiskAssessment/r1"}],
    "prediction": [{"probabilityDecimal": 0.0}, {"probabilityDecimal": 1.7}],
    "performer": {"reference": "#device"},
}


@pytest.mark.parametrize(
    "added",
    [
        {"id": "r2", "meta": {"versionId": "3"}, "text": {"status": "generated", "div": "<div/>"}},
        {"note": [], "extension": None, "code": {}, "encounter": {"reference": ""}},
        {"subject": {"reference": "https://ehr.example/fhir/Patient/p1"}},
        {"basis": [{"reference": "ImagingStudy/s1/_history/4"}, {"reference": "RiskAssessment/r1", "display": ""}]},
    ],
)
def test_what_the_server_adds_of_its_own_changes_nothing(added: dict[str, Any]) -> None:
    assert same_content(SENT, {**SENT, **added})
    assert same_content({**SENT, **added}, SENT)


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "amended"},
        {"subject": {"reference": "Patient/p2"}},
        {"basis": [{"reference": "RiskAssessment/r1"}, {"reference": "ImagingStudy/s1"}]},
        {"basis": [{"reference": "ImagingStudy/s1"}]},
        {"prediction": [{"probabilityDecimal": 1.7}]},
        {"prediction": [{"probabilityDecimal": 0.0}, {"probabilityDecimal": 1.71}]},
        {"prediction": [{}, {"probabilityDecimal": 1.7}]},
        {"note": [{"text": "Research use"}]},
        {"performer": {"reference": "#other"}},
    ],
)
def test_what_is_said_otherwise_is_another_content(changed: dict[str, Any]) -> None:
    assert not same_content(SENT, {**SENT, **changed})
    assert not same_content({**SENT, **changed}, SENT)


JSON = st.recursive(
    st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=9), JSON, max_size=4))
def test_the_order_of_elements_means_nothing_and_nothing_is_changed_by_comparing(resource: dict[str, Any]) -> None:
    before = deepcopy(resource)
    assert same_content(resource, dict(reversed(resource.items())))
    assert resource == before
