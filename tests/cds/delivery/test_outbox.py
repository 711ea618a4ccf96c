"""Bringing assessments to the systems outside: once each, again after what may pass, given up where nothing helps."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from cds.delivery.outbox import LEASE, ChartDelivery, Outbox
from cds.errors import EhrChartUnclear, EhrConflict, EhrRejected, EhrUnreachable, MammoTrendError
from cds.store.assessments import AssessmentRecords, retract
from cds.store.outbox import Delivery, OutboxRecords
from cds.store.tables import Destination, OutboxState
from tests.cds.builders import EHR, MODEL, NOW, PATIENT, Clock, conclusion

Answers = list[str | Exception]


class Delivering:
    """A Deliver that answers so, one after the other."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.got: list[Delivery] = []

    def __call__(self, delivery: Delivery) -> str | None:
        self.got.append(delivery)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def outbox(engine: Engine, deliver: Delivering | ChartDelivery, clock: Clock | None = None) -> Outbox:
    AssessmentRecords(engine).assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: conclusion(), {Destination.CHART})
    return Outbox(OutboxRecords(engine), {Destination.CHART: deliver}, clock or Clock())


def state(engine: Engine) -> tuple[OutboxState, str | None]:
    (letter,) = OutboxRecords(engine).letters(list(OutboxState))
    return letter.state, letter.problem


def test_what_is_due_is_delivered_once(engine: Engine) -> None:
    deliver = Delivering("RiskAssessment/1")
    box = outbox(engine, deliver)

    assert box.has_work()
    assert box.deliver_next()
    assert not box.deliver_next()
    assert not box.has_work()
    assert state(engine) == (OutboxState.DELIVERED, None)


@pytest.mark.parametrize(
    "fault", [EhrUnreachable("no answer"), EhrConflict("it has changed"), RuntimeError("MRN-1"), OSError("p1")]
)
def test_what_may_pass_is_tried_again_later(engine: Engine, fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clock, deliver = Clock(), Delivering(fault, "RiskAssessment/1")
    box = outbox(engine, deliver, clock)

    assert box.deliver_next()
    assert state(engine)[0] is OutboxState.QUEUED
    assert not box.deliver_next()
    clock.advance(timedelta(minutes=1))
    assert box.deliver_next()
    assert state(engine) == (OutboxState.DELIVERED, None)
    assert not [secret for secret in ("MRN-1", "1.2.1") if secret in caplog.text]


def test_an_ehr_that_asks_for_time_gets_it(engine: Engine) -> None:
    clock = Clock()
    box = outbox(engine, Delivering(EhrUnreachable("busy", retry_after_s=7200), "RiskAssessment/1"), clock)
    box.deliver_next()

    clock.advance(timedelta(minutes=119))
    assert not box.deliver_next()
    clock.advance(timedelta(minutes=1))
    assert box.deliver_next()


def test_an_ehr_that_asks_for_a_day_is_asked_after_six_hours_and_not_at_once(engine: Engine) -> None:
    clock = Clock()
    box = outbox(engine, Delivering(EhrUnreachable("busy", retry_after_s=86_400), "RiskAssessment/1"), clock)
    box.deliver_next()

    assert not box.deliver_next()
    clock.advance(timedelta(hours=6))
    assert box.deliver_next()


@pytest.mark.parametrize("fault", [EhrRejected("it does not accept it"), EhrChartUnclear("two of them")])
def test_what_nothing_but_somebody_can_mend_is_given_up_with_its_reason(engine: Engine, fault: MammoTrendError) -> None:
    clock = Clock()
    box = outbox(engine, Delivering(fault), clock)
    box.deliver_next()

    assert state(engine) == (OutboxState.DEAD, str(fault))
    clock.advance(timedelta(days=9))
    assert not box.deliver_next()


def test_where_the_settings_no_longer_name_the_destination_it_is_kept(engine: Engine) -> None:
    box = Outbox(OutboxRecords(engine), {}, Clock())
    outbox(engine, Delivering())

    box.deliver_next()

    assert state(engine)[0] is OutboxState.QUEUED
    assert "configure it again" in str(state(engine)[1])


def test_a_sender_that_was_killed_on_the_way_leaves_it_to_the_next_one(engine: Engine) -> None:
    clock, deliver = Clock(), Delivering("RiskAssessment/1")
    box = outbox(engine, deliver, clock)
    OutboxRecords(engine).claim(NOW, LEASE)

    assert not box.deliver_next()
    clock.advance(LEASE)
    assert box.deliver_next()


def test_once_an_ehr_does_not_answer_the_others_letters_to_it_wait_too(engine: Engine) -> None:
    deliver = Delivering(EhrUnreachable("no answer"), "RiskAssessment/1", "RiskAssessment/2")
    clock = Clock()
    box = outbox(engine, deliver, clock)
    AssessmentRecords(engine).assess(EHR, "p2", MODEL.key, NOW, lambda *_: conclusion("1.2.2"), {Destination.CHART})

    assert [box.deliver_next() for _ in range(2)] == [True, False]
    assert not box.has_work()
    clock.advance(timedelta(minutes=1))
    assert [box.deliver_next() for _ in range(3)] == [True, True, False]


class Chart:
    """A WritableEhr that holds RiskAssessments and answers as a server with conditional create does.

    While its index is `behind`, a search finds nothing.
    """

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.behind = False

    def opening(self) -> Callable[[], AbstractContextManager[Chart]]:
        return lambda: nullcontext(self)

    def read(self, path: str) -> dict[str, Any]:
        return self.held[path]

    def search(self, query: str) -> dict[str, Any]:
        entries = [{"resource": resource} for resource in self.held.values() if not self.behind]
        return {"resourceType": "Bundle", "type": "searchset", "entry": entries}

    def pages(self, query: str) -> Any:
        yield self.search(query)

    def create(self, resource: dict[str, Any], if_none_exist: str | None = None) -> dict[str, Any]:
        stored = {**resource, "id": f"r{len(self.held)}", "meta": {"versionId": "1"}}
        self.held[f"RiskAssessment/{stored['id']}"] = stored
        return stored

    def update(self, resource: dict[str, Any], if_match: str | None = None) -> dict[str, Any]:
        self.held[f"RiskAssessment/{resource['id']}"] = {**resource, "meta": {"versionId": "2"}}
        return self.held[f"RiskAssessment/{resource['id']}"]


def test_an_assessment_comes_into_the_chart_of_its_own_ehr(engine: Engine) -> None:
    charts: Mapping[str, Chart] = {EHR: Chart(), "another": Chart()}
    box = outbox(engine, ChartDelivery({name: chart.opening() for name, chart in charts.items()}))

    box.deliver_next()

    assert state(engine) == (OutboxState.DELIVERED, None)
    (written,) = charts[EHR].held.values()
    assert written["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert charts["another"].held == {}


@pytest.mark.parametrize(("five_year", "status"), [(None, "entered-in-error"), (0.05, "amended")])
def test_what_the_ehrs_search_does_not_find_is_found_by_where_it_was_written(
    engine: Engine, five_year: float | None, status: str
) -> None:
    chart = Chart()
    box = outbox(engine, ChartDelivery({EHR: chart.opening()}))
    box.deliver_next()
    chart.behind = True

    if five_year is None:
        with Session(engine) as session:
            retract(session, EHR, PATIENT, "1.2.1", NOW)
            session.commit()
    else:
        changed = conclusion(five_year=five_year)
        AssessmentRecords(engine).assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: changed, {Destination.CHART})
    box.deliver_next()

    assert [held["status"] for held in chart.held.values()] == [status]


def test_an_ehr_that_may_not_be_written_to_is_not(engine: Engine) -> None:
    box = outbox(engine, ChartDelivery({}))

    box.deliver_next()

    assert state(engine)[0] is OutboxState.QUEUED
