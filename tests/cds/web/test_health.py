"""Is the process alive, and can the service do its work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from cds.errors import EhrUnreachable, MammoTrendError
from cds.operations.readiness import Lookout
from cds.operations.sign_of_life import LASTS, SCHEDULE, checked_model
from cds.store.runs import RunRecords
from cds.web.app import Front, create_app
from cds.web.limits import FrontLimits
from cds.web.monitors import Monitors
from tests.cds.builders import MODEL, NOW
from tests.cds.web.conftest import Service
from tests.cds.web.test_errors import FailingStore

SECRET = "monitor-secret"
TOKEN = {"Authorization": f"Bearer {SECRET}"}


def with_a_worker(engine: Engine) -> None:
    """A worker with the site's model has just said that it is there."""
    for name in (checked_model(MODEL.key), SCHEDULE):
        RunRecords(engine).sign(name, "worker", NOW, LASTS)


@pytest.fixture
def watched(service: Service, engine: Engine) -> FlaskClient:
    """The application of a site with a secret, whose EHR does not answer."""

    def silent() -> str:
        raise EhrUnreachable("no connection to the EHR at https://ehr.example:443; try again later")

    lookout = Lookout(RunRecords(engine), MODEL.key, service.clock, {"EHR main": silent})
    return create_app(replace(service.parts(), lookout=lookout), Front(monitors=Monitors(SECRET))).test_client()


def test_the_process_says_that_it_is_alive_without_looking_at_anything(service: Service) -> None:
    service.store = FailingStore(MammoTrendError("must not be asked"))

    answer = service.client().get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "alive"})
    assert service.ehr.tokens == []


def test_anybody_may_know_whether_the_service_is_ready_and_no_more(watched: FlaskClient, engine: Engine) -> None:
    answer = watched.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"status": "not ready"})

    with_a_worker(engine)
    answer = watched.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready"})


@pytest.mark.parametrize("header", ["", "Bearer x", SECRET])
def test_without_the_secret_no_more_is_told(watched: FlaskClient, header: str) -> None:
    assert watched.get("/readyz", headers={"Authorization": header}).json == {"status": "not ready"}


def test_a_site_without_a_secret_tells_nobody_more(service: Service, engine: Engine) -> None:
    with_a_worker(engine)

    assert service.client().get("/readyz", headers=TOKEN).json == {"status": "ready"}


def test_with_the_secret_it_says_what_is_missing(watched: FlaskClient) -> None:
    answer = watched.get("/readyz", headers=TOKEN)

    assert answer.status_code == 503
    assert answer.json == {
        "status": "not ready",
        "store": "answers",
        "model": "no worker with this model has reported lately",
        "schedule": "no worker has reported lately",
        "outside": {"EHR main": "no connection to the EHR at https://ehr.example:443; try again later"},
    }


def test_an_ehr_that_does_not_answer_does_not_make_it_unready(watched: FlaskClient, engine: Engine) -> None:
    with_a_worker(engine)

    answer = watched.get("/readyz", headers=TOKEN)

    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["outside"]["EHR main"].startswith("no connection")


def test_a_store_that_fails_makes_it_unready(watched: FlaskClient, engine: Engine) -> None:
    with_a_worker(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE lease"))

    assert watched.get("/readyz").status_code == 503
    assert watched.get("/readyz", headers=TOKEN).json["store"] == "does not answer"  # type: ignore[index]


def test_how_often_it_is_asked_is_limited_and_for_life_it_is_not(service: Service) -> None:
    front = Front(limits=FrontLimits(calls_per_minute=1))
    client = create_app(service.parts(), front).test_client()

    assert [client.get("/readyz").status_code for _ in range(2)] == [503, 429]
    assert [client.get("/healthz").status_code for _ in range(2)] == [200, 200]
