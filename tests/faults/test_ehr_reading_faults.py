"""An EHR that fails while the night reads it: what it listed is taken, what it did not is read the next time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import ECKey

from cds.demo.loopback import serve
from cds.ehr.backend_token import BackendClient, BackendToken
from cds.ehr.signing_key import SigningKey
from cds.store.runs import RunRecords
from tests.cds.builders import EHR
from tests.cds.ehr.token_server import CLIENT, TokenServer
from tests.faults.books import scores
from tests.faults.front import (
    Fault,
    after,
    answering,
    dripping,
    losing_the_answer,
    silent_for,
    skipping_a_page,
    truncating,
)
from tests.faults.site import EHR_TIMEOUT_S, Site

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

EC = ECKey.generate_key("P-384")
KEY = SigningKey("ES384", EC.thumbprint(), EC)

CHANGES = "GET /ImagingStudy.modality=MG"
FURTHER_PAGES = f"{CHANGES}.*_offset="
HERS = "GET /ImagingStudy.patient=p1"
PATIENT = "GET /Patient/p1"

FAULTS: dict[str, tuple[Fault, str]] = {
    "401": (answering(401), "answered 401"),
    "403": (answering(403), "answered 403"),
    "429": (answering(429, Retry_After="3600"), "answered 429"),
    "429-soon": (answering(429, Retry_After="7"), "answered 429"),
    "500": (answering(500), "answered 500"),
    "410": (answering(410), "answered 410"),
    "silent": (silent_for(EHR_TIMEOUT_S + 0.5), "did not answer within"),
    "truncated": (truncating(), ""),
    "broken-off": (losing_the_answer(), ""),
    "drips": (dripping(0.1, longest_s=EHR_TIMEOUT_S + 1), "did not answer within"),
}
faults = pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)


@faults
@pytest.mark.parametrize("asked", [CHANGES, HERS, PATIENT], ids=["changes", "her-list", "patient"])
def test_what_an_ehr_could_not_give_one_night_is_read_the_next(site: Site, fault: Fault, said: str, asked: str) -> None:
    with site.ehr.failing(fault, asked):
        first = site.night()
    assert [said in problem for problem in first.problems] == [True]
    assert site.unbalanced() == []
    assert "1.2.2" not in scores(site.engine)

    site.clock.advance(timedelta(days=1))
    second = site.night()

    assert second.problems == ()
    assert site.unfinished() == []


@faults
def test_a_page_that_is_missing_in_the_middle_does_not_cost_the_patients_of_the_others(
    site: Site, fault: Fault, said: str
) -> None:
    site.ehr.page_size = 1
    with site.ehr.failing(after(1, fault), FURTHER_PAGES):
        first = site.night()
    assert [said in problem for problem in first.problems] == [True]
    assert RunRecords(site.engine).watermark(f"ehr {EHR}") is None
    assert scores(site.engine) == ["1.2.0", "1.2.1"]  # the patients of the two pages that came
    assert site.unbalanced() == []

    site.clock.advance(timedelta(days=1))
    second = site.night()

    assert second.problems == ()
    assert site.unfinished() == []


def test_a_page_that_the_ehr_leaves_out_without_a_word_is_missed_by_its_own_count(site: Site) -> None:
    site.ehr.page_size = 1
    with site.ehr.failing(skipping_a_page(), f"{CHANGES}.*_offset=2"):
        first = site.night()
    assert first.problems == (f"{EHR}: it counts 5 changed studies and listed 4; all are read again in the next run",)
    assert "1.2.2" not in scores(site.engine)
    assert site.unbalanced() == []

    site.clock.advance(timedelta(days=1))
    second = site.night()

    assert second.problems == ()
    assert site.unfinished() == []


def test_a_token_that_ends_between_two_pages_ends_the_night_and_the_next_one_has_a_new_one(site: Site) -> None:
    site.ehr.page_size = 1
    with site.ehr.failing(after(1, answering(401)), FURTHER_PAGES), site.ehr.failing(answering(401), "patient="):
        first = site.night()
    assert any("answered 401" in problem for problem in first.problems)
    assert site.unbalanced() == []

    site.accepted[:] = ["renewed"]
    assert "answered 401" in site.night().problems[0]
    site.access = "renewed"

    assert site.night().problems == ()
    assert site.unfinished() == []


def test_a_token_of_our_own_that_ends_between_two_pages_is_renewed_and_nobody_notices(site: Site) -> None:
    site.ehr.page_size = 1
    server = TokenServer([EC], site.clock)
    site.accepted[:] = ["token-1"]

    def renewing(app: WSGIApplication) -> WSGIApplication:
        site.accepted[:] = ["token-2"]
        return app

    with serve(server.app()) as url:
        site.access = BackendToken(BackendClient(f"{url}/fhir", CLIENT, KEY, "system/*.rs"), now=site.clock)
        with site.ehr.failing(after(1, renewing), FURTHER_PAGES):
            summary = site.night()

    assert (summary.problems, len(server.claims)) == ((), 2)
    assert site.unfinished() == []
