"""What one caller, and all together, may ask: size, pace, and places to work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from itertools import islice
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import EhrUnreachable
from cds.services import CallingEhr
from cds.store.seen_tokens import SeenTokens
from cds.trust.clients import Client, ClientTrust
from cds.web import limits
from cds.web.app import Front, create_app
from cds.web.limits import MOST_CALLERS, CallRate, FrontLimits, Places
from hooks.site import Site
from tests.cds.builders import Json, order_select
from tests.cds.trust import callers
from tests.cds.trust.callers import PUBLIC_URL, RSA, bearer, call, claims, header, keys, signed
from tests.cds.web.calls import LEAVE, diagnostics, full
from tests.cds.web.conftest import URL, OpenedEhr, Service


class Seconds:
    """A clock that a test winds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def client(service: Service, **values: Any) -> FlaskClient:
    """The application with these limits."""
    return create_app(service.parts(), Front(limits=FrontLimits(**values))).test_client()


# Size


def test_a_request_as_large_as_allowed_is_read_and_a_larger_one_is_not(service: Service) -> None:
    asking = client(service, largest_request_bytes=1000)

    assert asking.post(URL, data=b" " * 1000, content_type="application/json").status_code == 400
    assert diagnostics(asking.post(URL, data=b" " * 1001, content_type="application/json"), 413)
    assert diagnostics(asking.post("/nowhere", data=b" " * 1001), 413)


# Pace


def test_who_calls_too_often_is_told_when_to_come_again(service: Service) -> None:
    asking = client(service, calls_per_minute=2)
    assert [asking.post(URL, json=full()).status_code for _ in range(2)] == [200, 200]

    refused = asking.post(URL, json=full())
    assert diagnostics(refused, 429)
    assert refused.headers["Retry-After"] == "30"

    service.clock.sleep(30)
    assert [asking.post(URL, json=full()).status_code for _ in range(2)] == [200, 429]


def test_one_callers_haste_is_not_anothers(service: Service) -> None:
    asking = client(service, calls_per_minute=1)

    for address in ("10.0.0.1", "10.0.0.2"):
        answers = [asking.get("/cds-services", environ_overrides={"REMOTE_ADDR": address}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]


def test_behind_the_sites_proxy_its_clients_are_told_apart(service: Service) -> None:
    front = Front(limits=FrontLimits(calls_per_minute=1), proxies=(ip_network("127.0.0.1/32"),))
    asking = create_app(service.parts(), front).test_client()

    for address in ("203.0.113.7", "203.0.113.8"):
        answers = [asking.get("/cds-services", headers={"X-Forwarded-For": address}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]


def test_who_asks_whether_the_service_lives_and_a_browser_that_asks_for_leave_are_not_counted(service: Service) -> None:
    asking = client(service, calls_per_minute=1)

    assert {asking.get("/healthz").status_code for _ in range(5)} == {200}
    assert {asking.options(URL).status_code for _ in range(5)} == {200}
    assert asking.get("/cds-services").status_code == 200


@given(st.lists(st.floats(0, 200), max_size=200), st.integers(1, 20))
def test_no_minute_has_more_calls_than_twice_the_rate_and_who_keeps_to_it_is_never_refused(
    waits_s: list[float], per_minute: int
) -> None:
    clock = Seconds()
    rate, patient = CallRate(per_minute, clock), CallRate(per_minute, clock)
    taken_s: list[float] = []
    for wait_s in waits_s:
        clock.now_s += wait_s
        if rate.wait_s("a") == 0:
            taken_s.append(clock.now_s)
        if wait_s >= 60 / per_minute:
            assert patient.wait_s("b") == 0
    assert all(sum(start <= at < start + 60 for at in taken_s) <= 2 * per_minute for start in taken_s)


@given(st.integers(1, 1000), st.integers(0, 50))
def test_the_wait_that_a_caller_is_told_is_long_enough(per_minute: int, more: int) -> None:
    clock = Seconds()
    rate = CallRate(per_minute, clock)
    told_s = [rate.wait_s("a") for _ in range(per_minute + more)]
    assert told_s[:per_minute] == [0.0] * per_minute

    clock.now_s += rate.wait_s("a") + 1e-6

    assert rate.wait_s("a") == 0


def test_the_callers_that_are_remembered_are_bounded() -> None:
    rate = CallRate(1, Seconds())
    assert rate.wait_s("first") == 0

    assert all(rate.wait_s(f"caller {number}") == 0 for number in range(MOST_CALLERS))

    assert rate.wait_s("first") == 0  # forgotten
    assert rate.wait_s(f"caller {MOST_CALLERS - 1}") > 0


def test_who_called_lately_is_remembered_longest() -> None:
    rate = CallRate(2, Seconds())
    for caller in ("first", *(f"caller {number}" for number in range(MOST_CALLERS - 1)), "first", "one more"):
        assert rate.wait_s(caller) == 0

    assert rate.wait_s("first") > 0


# Places


def test_a_place_that_is_left_is_free_again_and_none_is_had_twice() -> None:
    places = Places(at_work=2, longest_wait_s=0.0)

    assert [places.take() for _ in range(20)] == [True, True, *[False] * 18]
    places.leave()
    assert [places.take() for _ in range(2)] == [True, False]


def test_who_waits_gets_the_place_that_becomes_free() -> None:
    places = Places(at_work=1, longest_wait_s=30.0)
    assert places.take()
    got: list[bool] = []
    waiting = threading.Thread(target=lambda: got.append(places.take()))
    waiting.start()

    places.leave()
    waiting.join(30)

    assert got == [True]


@contextmanager
def at_work(app: Flask, calls: int) -> Iterator[None]:
    """So many calls in the middle of their work while the block runs."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    @app.post("/work")
    def work() -> dict[str, str]:
        begun.release()
        go_on.wait(30)
        return {}

    threads = [threading.Thread(target=lambda: app.test_client().post("/work")) for _ in range(calls)]
    for thread in threads:
        thread.start()
    assert all(begun.acquire(timeout=30) for _ in threads)
    yield
    go_on.set()
    for thread in threads:
        thread.join(30)


def test_a_call_for_which_there_is_no_place_is_told_to_come_again_and_reading_goes_on(service: Service) -> None:
    app = create_app(service.parts(), Front(limits=FrontLimits(calls_at_work=2, longest_wait_s=0.0)))
    with at_work(app, 2):
        refused = app.test_client().post(URL, json=full())
        assert diagnostics(refused, 503)
        assert refused.headers["Retry-After"] == "1"
        assert app.test_client().get("/cds-services").status_code == 200
        assert app.test_client().get("/healthz").status_code == 200

    assert app.test_client().post(URL, json=full()).status_code == 200


def test_of_several_ehrs_none_has_more_than_half_of_the_places() -> None:
    places = Places(at_work=4, longest_wait_s=0.0, ehrs=("one", "two"))

    assert [places.take("one") for _ in range(9)] == [True, True, *[False] * 7]
    assert [places.take("two") for _ in range(3)] == [True, True, False]
    assert not places.take()  # of whom it is not known whose it is
    places.leave("one")
    assert [places.take(ehr) for ehr in ("two", "one", "one")] == [False, True, False]


def test_the_only_ehr_has_all_places() -> None:
    places = Places(at_work=4, longest_wait_s=0.0, ehrs=("one",))

    assert [places.take("one") for _ in range(5)] == [True] * 4 + [False]


def test_however_many_wait_of_one_ehr_they_leave_room_for_another_to_wait() -> None:
    places = Places(at_work=2, longest_wait_s=30.0, ehrs=("one", "two"))
    assert places.take("one")
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(places.take, "one") for _ in range(3)]
        told = [one.result() for one in islice(as_completed(waiting, timeout=30), 2)]
        assert told == [False, False]
        assert places.take("two")
        places.leave("one")
    assert sorted(one.result() for one in waiting) == [False, False, True]


class SilentEhr(OpenedEhr):
    """An EHR that does not answer until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_answer = threading.Semaphore(0), threading.Event()

    def pages(self, query: str) -> Iterator[Json]:
        """Nothing, and after a long time."""
        self.begun.release()
        assert self.may_answer.wait(30)
        raise EhrUnreachable("no answer")


def guarded(service: Service, *clients: Client, **values: Any) -> Flask:
    """The application behind its guard, with these limits."""
    trust = ClientTrust(clients, SeenTokens(service.engine))
    parts = replace(service.parts(), trust=trust, public_url=PUBLIC_URL)
    return create_app(parts, Front(limits=FrontLimits(longest_wait_s=0.0, **values)))


def asked(app: Flask, authorization: str, body: Json | None = None) -> int:
    """The status of a call with this token."""
    headers = {"Authorization": authorization}
    return app.test_client().post(URL, json=body or full(), headers=headers).status_code


def test_a_silent_ehr_does_not_have_the_calls_of_another_refused(service: Service) -> None:
    silent, theirs = SilentEhr(), callers.client(ehr="ehr-2", issuer="https://two.example", keys=keys(RSA))
    calling = CallingEhr("ehr-2", "https://two.example/r4", Site(), ZoneInfo("UTC"), silent.open)
    service.others = (calling,)
    app = guarded(service, callers.client(), theirs, calls_at_work=4)

    def ask_silent(number: int) -> int:
        claimed = claims(iss=theirs.issuer, jti=f"silent-{number}")
        token = bearer(signed(header(alg="RS384", kid="rsa-1"), claimed, RSA, "RS384"))
        return asked(app, token, order_select(fhirServer=calling.fhir_server, fhirAuthorization=LEAVE))

    with ThreadPoolExecutor(4) as threads:
        theirs_asked = [threads.submit(ask_silent, number) for number in range(4)]
        assert all(silent.begun.acquire(timeout=30) for _ in range(2))
        assert asked(app, call()) == 200
        silent.may_answer.set()
    assert {one.result() for one in theirs_asked} <= {412, 503}


def test_a_call_that_is_sent_away_to_come_again_may_bring_its_token_once_more(service: Service) -> None:
    app = guarded(service, callers.client(), calls_per_minute=1, calls_at_work=1)
    with at_work(app, 1):
        assert [asked(app, call()) for _ in range(2)] == [503, 429]

    service.clock.sleep(60)
    answers = [asked(app, call())]
    service.clock.sleep(60)
    assert [*answers, asked(app, call())] == [200, 401]


def test_however_a_call_ends_its_place_is_free_again(service: Service) -> None:
    app = create_app(service.parts(), Front(limits=FrontLimits(calls_at_work=1, longest_wait_s=0.0)))

    @app.post("/fault")
    def fault() -> NoReturn:
        raise ValueError("unforeseen")

    asking = app.test_client()
    for path, status in [("/fault", 500), (URL, 415), ("/nowhere", 404), ("/cds-services", 405)] * 2:
        assert asking.post(path).status_code == status


def test_a_server_has_threads_for_those_at_work_for_those_that_wait_and_for_refusals() -> None:
    assert FrontLimits(calls_at_work=5).threads == 2 * 5 + limits.SPARE_THREADS
