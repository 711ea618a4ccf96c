"""What a monitor reads, and who may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from cds.store.runs import RunRecords, RunSummary
from cds.store.score_spread import FEWEST
from cds.store.stage_times import Spent
from cds.store.tables import Stage
from cds.web.app import Front, create_app
from cds.web.monitors import Monitors
from hooks.site import Mode
from tests.cds.builders import MODEL, NOW, claimed, new_exam, refused
from tests.cds.operations.drifting import DRIFTED, STEADY, put_drift
from tests.cds.web.calls import full
from tests.cds.web.conftest import URL, Service

SECRET = "monitor-secret"
ROUTE = "/cds-services/<service_id>"


def watched(service: Service, monitors: Monitors | None) -> FlaskClient:
    """The application with those who may read what it counts."""
    return create_app(service.parts(), Front(monitors=monitors)).test_client()


@pytest.fixture
def caller(service: Service) -> FlaskClient:
    return watched(service, Monitors(SECRET))


def told(caller: FlaskClient) -> dict[tuple[str, ...], float]:
    """Every number, by its name and labels."""
    answer = caller.get("/metrics", headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_calls_are_counted_by_route_and_status_and_their_time_is_taken(caller: FlaskClient) -> None:
    caller.post(URL, json=full())
    caller.post(URL, json=full())
    caller.post(URL, data=b"no json", content_type="application/json")
    caller.get("/doe/jane")

    numbers = told(caller)
    assert numbers["mammotrend_calls_total", ROUTE, "200"] == 2
    assert numbers["mammotrend_calls_total", ROUTE, "400"] == 1
    assert numbers["mammotrend_calls_total", "none", "404"] == 1
    assert numbers["mammotrend_call_seconds_count", ROUTE] == 3


def test_cards_and_what_became_of_them_are_told(service: Service, caller: FlaskClient) -> None:
    service.score()
    card, other = (caller.post(URL, json=full()).json["cards"][0]["uuid"] for _ in range(2))  # type: ignore[index]
    overridden = {
        "card": card,
        "outcome": "overridden",
        "outcomeTimestamp": "2026-05-20T23:31:00Z",
        "overrideReason": {"reason": {"code": "mri-elsewhere", "system": "urn:x", "display": "Done"}},
    }
    accepted = {"card": other, "outcome": "accepted", "outcomeTimestamp": "2026-05-20T23:31:00Z"}
    assert caller.post(f"{URL}/feedback", json={"feedback": [overridden, accepted]}).status_code == 200

    numbers = told(caller)
    assert numbers["mammotrend_cards", "mri-suggested", ""] == 2
    assert numbers["mammotrend_cards_overridden", "mri-suggested", "mri-elsewhere"] == 1
    assert numbers["mammotrend_cards_accepted", "mri-suggested"] == 1


def test_what_waits_is_told(service: Service, caller: FlaskClient) -> None:
    service.score()
    service.store.register([new_exam("1.2.8"), new_exam("1.2.9")], MODEL.key, NOW)

    numbers = told(caller)
    assert numbers["mammotrend_exams", "scored"] == 1
    assert numbers["mammotrend_exams", "queued"] == 2


def test_an_answer_that_waited_in_vain_is_a_budget_miss_and_one_that_waited_for_nothing_is_none(
    service: Service, caller: FlaskClient
) -> None:
    caller.post(URL, json=full())
    service.mode = Mode.SILENT
    watched(service, Monitors(SECRET)).post(URL, json=full())

    numbers = told(caller)
    assert numbers["mammotrend_budget_misses",] == 1
    assert numbers["mammotrend_cards", "under-way", "silent"] == 1


def test_refusals_and_the_oldest_exam_that_waits_are_told(service: Service, caller: FlaskClient) -> None:
    service.store.register([new_exam("1.2.1")], MODEL.key, NOW)
    service.store.save_refusal(claimed(service.store), refused(), NOW)
    service.store.register([new_exam("1.2.2")], MODEL.key, NOW)

    numbers = told(caller)
    assert numbers["mammotrend_exams_refused", "missing-view"] == 1
    assert numbers["mammotrend_oldest_queued_timestamp_seconds",] == NOW.timestamp()


def test_the_last_run_that_ended_is_told_and_one_that_was_killed_is_not(caller: FlaskClient, engine: Engine) -> None:
    assert not [name for name, *_ in told(caller) if "last_run" in name]

    runs, later = RunRecords(engine), NOW + timedelta(hours=1)
    ended = runs.start(MODEL.key, NOW)
    runs.finish(ended, RunSummary(9, 5, {"implant": 1, "no-images": 1}, {"x": 3}, 4, ("an EHR",), {"cards": 7}), later)
    runs.start(MODEL.key, later)

    numbers = told(caller)
    assert numbers["mammotrend_last_run_started_timestamp_seconds",] == NOW.timestamp()
    assert numbers["mammotrend_last_run_ended_timestamp_seconds",] == later.timestamp()
    came_to = {
        result: numbers["mammotrend_last_run_exams", result] for result in ("found", "scored", "refused", "failed")
    }
    assert came_to == {"found": 9, "scored": 5, "refused": 2, "failed": 3}
    assert (numbers["mammotrend_last_run_written",], numbers["mammotrend_last_run_problems",]) == (4, 1)
    assert numbers["mammotrend_last_run_cleared", "cards"] == 7


def test_how_long_the_stages_of_scoring_take_is_told_and_what_never_ran_is_zero(
    service: Service, caller: FlaskClient
) -> None:
    service.store.add_times(MODEL.key, NOW, {Stage.FETCH: Spent(1.5, 2)})
    service.store.add_times(MODEL.key, NOW + timedelta(days=400), {Stage.FETCH: Spent(2.0, 1)})
    service.store.add_times("another model", NOW, {Stage.FETCH: Spent(9.0, 9)})

    numbers = told(caller)
    assert numbers["mammotrend_scoring_stage_seconds_total", "fetch"] == 3.5
    assert numbers["mammotrend_scoring_stage_exams_total", "fetch"] == 3
    for stage in ("prepare", "score", "store"):
        assert numbers["mammotrend_scoring_stage_seconds_total", stage] == 0
        assert numbers["mammotrend_scoring_stage_exams_total", stage] == 0


def test_how_scores_lie_is_told_by_unit_and_month_in_percent(service: Service, caller: FlaskClient) -> None:
    for number in range(FEWEST):
        service.score(f"1.2.{number}", 0.01 + number / 1000)

    numbers, group = told(caller), ("HOLOGIC Selenia", "2026-05")
    assert numbers["mammotrend_scores", *group] == FEWEST
    assert numbers["mammotrend_score_mean_percent", *group] == pytest.approx(1.45)
    quartiles = [numbers["mammotrend_score_percent", *group, quantile] for quantile in ("0.25", "0.5", "0.75")]
    assert quartiles == pytest.approx([1.2, 1.4, 1.7])


def test_of_few_exams_no_score_is_told(service: Service, caller: FlaskClient) -> None:
    service.score()

    numbers = told(caller)
    assert numbers["mammotrend_scores", "HOLOGIC Selenia", "2026-05"] == 1
    assert not [name for name, *_ in numbers if name.startswith("mammotrend_score_")]


def test_a_unit_that_drifts_is_told_from_one_that_does_not_and_from_one_of_which_nobody_can_say(
    service: Service, caller: FlaskClient
) -> None:
    put_drift(service.engine)
    service.score()

    alarms = {key[1]: value for key, value in told(caller).items() if key[0] == "mammotrend_drift_alarm"}
    assert alarms == {DRIFTED: 1, STEADY: 0}


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", f"Bearer {SECRET} ", f"bearer {SECRET}", "Bearer é"]
)
def test_without_the_secret_nothing_is_told(caller: FlaskClient, header: str | None) -> None:
    answer = caller.get(
        "/metrics", headers={} if header is None else {"Authorization": header.encode().decode("latin-1")}
    )
    assert (answer.status_code, answer.data) == (401, b"")


def test_a_site_without_monitors_has_no_such_page(service: Service) -> None:
    assert watched(service, None).get("/metrics").status_code == 404


def test_in_a_demonstration_anybody_may_read(service: Service) -> None:
    assert watched(service, Monitors()).get("/metrics").status_code == 200


def test_nothing_of_a_patient_is_told(service: Service, caller: FlaskClient) -> None:
    service.score()
    caller.post(URL, json=full())
    caller.post("/cds-services/Doe-Jane", json=full())

    said = caller.get("/metrics", headers={"Authorization": f"Bearer {SECRET}"}).text
    for secret in ("Doe", "Jane", "p1", "1.2.1", SECRET):
        assert secret not in said.replace('le="0.1', "")
