"""Section 3 of the checklist: prefetch templates that every client can fill."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest

from hooks import SERVICES
from tests.cds.web.conftest import Service

READ = re.compile(r"[A-Z][A-Za-z]+/\{\{context\.\w+\}\}")
SEARCH = re.compile(r"[A-Z][A-Za-z]+\?[^#]+")
# R4: the search parameters of these types that are references, tokens or dates, and the two that order and limit.
TOKENS_AND_REFERENCES = {"patient", "modality", "category"}
RESULTS = {"_sort", "_count"}
TEMPLATES = [
    pytest.param(template, id=f"{service.hook} {key}")
    for service in SERVICES
    for key, template in service.prefetch.items()
]


def parameters(template: str) -> dict[str, str]:
    return dict(parse_qsl(template.partition("?")[2], strict_parsing="?" in template))


@pytest.mark.parametrize("template", TEMPLATES)
def test_P1_every_template_is_a_read_or_a_search(template: str) -> None:
    assert READ.fullmatch(template) or SEARCH.fullmatch(template)


def test_P1_the_templates_that_are_announced_are_those_of_the_services(service: Service) -> None:
    announced = service.client().get("/cds-services").get_json()["services"]

    assert {one["id"]: one["prefetch"] for one in announced} == {one.id: dict(one.prefetch) for one in SERVICES}


@pytest.mark.parametrize("template", TEMPLATES)
def test_P2_P3_the_only_token_is_the_patient_of_the_context(template: str) -> None:
    assert re.findall(r"\{\{(.*?)\}\}", template) == ["context.patientId"]
    assert template.count("{") == template.count("}") == 2


@pytest.mark.parametrize("template", TEMPLATES)
def test_P4_searches_keep_to_the_restricted_subset(template: str) -> None:
    searched = parameters(template)

    assert set(searched) <= TOKENS_AND_REFERENCES | RESULTS
    assert int(searched.get("_count", "1")) > 0
    assert not re.search("_include|_revinclude|_has|:", template)


@pytest.mark.parametrize("template", TEMPLATES)
def test_P5_the_newest_first_is_asked_for_as_fhir_writes_it(template: str) -> None:
    assert re.fullmatch(r"-(started|authored|date)", parameters(template).get("_sort", "-date"))
