"""Section 2 of the checklist: what discovery answers."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from cds.web.app import create_app
from tests.cds.builders import Json
from tests.cds.web.conftest import Service

HOOKS = {"order-select", "order-sign", "patient-view"}


@pytest.fixture
def announced(service: Service) -> list[Json]:
    """The services as a client finds them."""
    services: list[Json] = service.client().get("/cds-services").get_json()["services"]
    return services


def test_D1_D6_discovery_is_answered_with_200_also_while_the_database_is_not(service: Service, engine: Engine) -> None:
    SQLModel.metadata.drop_all(engine)

    answer = service.client().get("/cds-services")

    assert answer.status_code == 200
    assert len(answer.get_json()["services"]) == 3


def test_D2_without_services_the_list_is_empty(service: Service) -> None:
    answer = create_app(replace(service.parts(), services=())).test_client().get("/cds-services")

    assert (answer.status_code, answer.get_json()) == (200, {"services": []})


def test_D3_every_service_has_hook_description_and_id(announced: list[Json]) -> None:
    assert {one["hook"] for one in announced} == HOOKS
    assert all(isinstance(one[name], str) for one in announced for name in ("hook", "description", "id"))


def test_D4_every_service_has_a_title(announced: list[Json]) -> None:
    titles = {one["title"] for one in announced}

    assert len(titles) == 3
    assert all(isinstance(title, str) and title.strip() for title in titles)


def test_D5_prefetch_is_an_object_of_texts_and_usage_requirements_a_text(announced: list[Json]) -> None:
    for one in announced:
        assert one["prefetch"]
        assert all(isinstance(template, str) for template in one["prefetch"].values())
        assert isinstance(one["usageRequirements"], str)


def test_D7_no_id_is_used_for_two_hooks(announced: list[Json]) -> None:
    assert len({one["id"] for one in announced}) == len(announced)
