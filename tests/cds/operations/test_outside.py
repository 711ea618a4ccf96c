"""Systems outside, asked whether they answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask, request

from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.errors import EhrUnreachable, PacsRefused, PacsUnreachable
from cds.operations.outside import ANSWERS, archive_root, outside
from cds.settings import EhrSettings, PacsSettings, Settings
from tests.cds.pacs.archives import listing, refusing, study_row

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def running() -> Iterator[ExitStack]:
    """What is entered is there until the test has ended."""
    with ExitStack() as stack:
        yield stack


def site(fhir_server: str = NOBODY, root: str = NOBODY, **of_archive: Any) -> Settings:
    ehr = EhrSettings(name="main", fhir_server=fhir_server)
    return Settings(ehrs=(ehr,), pacs=(PacsSettings(name="old", dicomweb_root=root, **of_archive),))


def test_who_answers_is_told_by_its_name(running: ExitStack) -> None:
    asked: list[dict[str, str]] = []
    ehr = running.enter_context(serve(fhir_app(ResourceStore(), ["a-token"])))
    archive = running.enter_context(serve(listing([study_row()], asked)))

    said = {name: ask() for name, ask in outside(site(ehr, archive)).items()}

    assert said == {"EHR main": ANSWERS, "archive old": ANSWERS}
    assert [keys["limit"] for keys in asked] == ["1"]


def test_an_archive_without_a_study_answers_too(running: ExitStack) -> None:
    archive = running.enter_context(serve(listing([])))

    assert outside(site(root=archive))["archive old"]() == ANSWERS


def test_who_does_not_answer_is_asked_once(running: ExitStack) -> None:
    asked: list[str] = []
    app = Flask("busy")

    @app.before_request
    def busy() -> tuple[str, int]:
        asked.append(request.path)
        return "", 503

    asks = outside(site(root=running.enter_context(serve(app))))
    with pytest.raises(EhrUnreachable):
        asks["EHR main"]()
    with pytest.raises(PacsUnreachable):
        asks["archive old"]()
    assert asked == ["/studies"]


def test_an_archive_is_asked_with_its_credentials(running: ExitStack) -> None:
    archive = running.enter_context(serve(refusing(401)))

    with pytest.raises(PacsRefused):
        outside(site(root=archive, username="u", password="p"))["archive old"]()


def test_a_whole_study_may_take_what_the_site_says_and_a_look_less() -> None:
    settings = site(study_timeout_s=100.0, read_timeout_s=50.0)
    (pacs,) = settings.pacs

    usual, look = archive_root(pacs, settings), archive_root(pacs, settings, whole_timeout_s=5.0, retries=0)

    assert (usual.whole_timeout_s, usual.read_timeout_s, usual.retries) == (100.0, 50.0, 3)
    assert (look.whole_timeout_s, look.read_timeout_s, look.retries) == (5.0, 5.0, 0)
