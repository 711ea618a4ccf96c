"""One assessment in the chart, however often and against whatever odds it is put there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, request
from hypothesis import given, settings
from hypothesis import strategies as st

from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from cds.ehr.client import FhirEhr
from cds.ehr.write_back import Written, put
from cds.errors import (
    EhrAnswerBroken,
    EhrChartUnclear,
    EhrConflict,
    EhrError,
    EhrNotFound,
    EhrRefused,
    EhrRejected,
    EhrUnreachable,
)
from fhir_mappings.comparison import same_content
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.risk_assessments import retracted, risk_assessment
from model.domain import ModelVersion, RiskScore, ScoredExam
from tests.builders import operation_outcome, searchset

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TOKEN = "s3cret"
MODEL = ModelVersion("Mirai", "a" * 64, "preprocessing-1", "calibration-1")
SCORE = RiskScore((0.004, 0.008, 0.0112, 0.0145, 0.017), (0.01, 0.02, 0.03, 0.04, 0.05), MODEL)
EXAM = ScoredExam("1.2.3", date(2026, 5, 3), SCORE, datetime(2026, 5, 3, 23, 5, tzinfo=UTC))


def assessment(patient_id: str = "p1", study_uid: str = "1.2.3", **more: Any) -> dict[str, Any]:
    """The assessment of an exam."""
    exam = replace(EXAM, study_uid=study_uid)
    return risk_assessment(exam, patient_id, identifier_system="urn:risk", method_text="Mirai", **more)


@pytest.fixture
def store() -> ResourceStore:
    store = ResourceStore(lambda: datetime(2026, 5, 4, 1, 5, tzinfo=UTC))
    for patient_id in ("p1", "p2"):
        store.put({"resourceType": "Patient", "id": patient_id})
    return store


@pytest.fixture
def app(store: ResourceStore) -> Flask:
    return fhir_app(store, [TOKEN])


@contextmanager
def opened(app: WSGIApplication) -> Iterator[FhirEhr]:
    """The EHR as it is written to."""
    with serve(app) as url, FhirEhr(url, TOKEN, 2, wait=lambda seconds: None) as ehr:
        yield ehr


def held(store: ResourceStore) -> list[dict[str, Any]]:
    """Every assessment in the chart."""
    return store.all("RiskAssessment")


def on_writes(app: Flask, answer: Callable[[Response], Response | None], method: str = "POST", times: int = 1) -> None:
    """Replace the answers to the first few writes, after they have been carried out."""
    left = [None] * times

    @app.after_request
    def spoil(response: Response) -> Response:
        if request.method != method or not left:
            return response
        left.pop()
        return answer(response) or response


def before_writes(app: Flask, answer: Callable[[], object], method: str = "POST", times: int = 1) -> None:
    """Do something before the first few requests of a kind; what is a Response is answered in place of their own."""
    left = [None] * times

    @app.before_request
    def intervene() -> Response | None:
        if request.method != method or not left:
            return None
        left.pop()
        done = answer()
        return done if isinstance(done, Response) else None


def test_a_new_assessment_is_created_once_and_found_again(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        first, second = put(ehr, assessment()), put(ehr, assessment())
    (stored,) = held(store)
    assert first == Written(f"RiskAssessment/{stored['id']}", "1", changed=True)
    assert second == Written(first.reference, "1", changed=False)


def test_a_changed_assessment_is_written_over_the_one_held(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        first = put(ehr, assessment())
        second = put(ehr, assessment(status="amended", note="Research use"))
    assert second == Written(first.reference, "2", changed=True)
    assert [(each["status"], each["note"]) for each in held(store)] == [("amended", [{"text": "Research use"}])]


def test_a_note_that_is_no_longer_said_goes_from_the_chart(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        put(ehr, assessment(note="Research use"))
        assert put(ehr, assessment()).changed
    assert "note" not in held(store)[0]


def test_what_the_server_adds_is_no_reason_to_write(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        put(ehr, assessment())
        (stored,) = held(store)
        store.put({**stored, "text": {"status": "generated", "div": "<div/>"}, "extension": []})
        assert put(ehr, assessment()) == Written(f"RiskAssessment/{stored['id']}", "2", changed=False)


def test_a_retraction_voids_the_one_held(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        first = put(ehr, assessment())
        assert put(ehr, retracted(assessment())) == Written(first.reference, "2", changed=True)
        assert not put(ehr, retracted(assessment())).changed
    assert [each["status"] for each in held(store)] == ["entered-in-error"]


def test_a_retraction_of_what_was_never_there_is_nothing_to_do(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        assert put(ehr, retracted(assessment())) == Written(None, None, changed=False)
    assert held(store) == []


def without_hits(app: Flask) -> WSGIApplication:
    """A server whose searches find nothing yet; reads and writes are as they are."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        hides = environ["REQUEST_METHOD"] == "GET" and environ.get("QUERY_STRING")
        return app({**environ, "QUERY_STRING": "identifier=none"} if hides else environ, start)

    return answer


@pytest.mark.parametrize("what", [retracted(assessment()), assessment(status="amended")])
def test_what_a_search_does_not_find_is_found_where_it_was_written(
    app: Flask, store: ResourceStore, what: dict[str, Any]
) -> None:
    stored = store.create(assessment())
    reference = f"RiskAssessment/{stored['id']}"
    with opened(without_hits(app)) as ehr:
        assert put(ehr, what, reference) == Written(reference, "2", changed=True)
    assert [each["status"] for each in held(store)] == [what["status"]]


def test_what_was_deleted_where_it_was_written_is_not_missed_by_a_retraction(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        assert put(ehr, retracted(assessment()), "RiskAssessment/gone") == Written(None, None, changed=False)
        put(ehr, assessment(), "RiskAssessment/gone")
    assert [each["status"] for each in held(store)] == ["final"]


@pytest.mark.parametrize("other", [assessment("p2"), {**assessment(), "identifier": []}])
def test_something_else_where_it_was_written_is_left_to_the_site(
    app: Flask, store: ResourceStore, other: dict[str, Any]
) -> None:
    stored = store.create(other)
    with opened(app) as ehr, pytest.raises(EhrChartUnclear, match="something else"):
        put(ehr, retracted(assessment()), f"RiskAssessment/{stored['id']}")
    assert held(store) == [stored]


def test_one_that_cannot_be_read_where_it_was_written_is_not_taken_for_gone(app: Flask, store: ResourceStore) -> None:
    stored = store.create(assessment())
    before_writes(app, lambda: Response("", 403) if stored["id"] in request.path else None, method="GET", times=2)
    with opened(without_hits(app)) as ehr, pytest.raises(EhrRefused):
        put(ehr, retracted(assessment()), f"RiskAssessment/{stored['id']}")


def test_a_retraction_voids_also_what_a_merge_of_patients_has_moved(app: Flask, store: ResourceStore) -> None:
    moved = {"reference": "Patient/p2"}
    store.create({**assessment(), "subject": moved})
    with opened(app) as ehr:
        first = put(ehr, retracted(assessment()))
        assert put(ehr, retracted(assessment())) == replace(first, changed=False)
    assert [(each["status"], each["subject"]) for each in held(store)] == [("entered-in-error", moved)]


def test_a_retraction_of_what_is_nobodys_is_left_to_the_site(app: Flask, store: ResourceStore) -> None:
    store.create({**assessment(), "subject": {"display": "Ada"}})
    with opened(app) as ehr, pytest.raises(EhrChartUnclear, match="another patient"):
        put(ehr, retracted(assessment()))


def test_the_same_study_of_two_patients_is_two_assessments(app: Flask, store: ResourceStore) -> None:
    with opened(app) as ehr:
        put(ehr, assessment("p1"))
        put(ehr, assessment("p2"))
        put(ehr, retracted(assessment("p1")))
    statuses = {each["subject"]["reference"]: each["status"] for each in held(store)}
    assert statuses == {"Patient/p1": "entered-in-error", "Patient/p2": "final"}


def test_two_of_one_assessment_are_left_to_the_site(app: Flask, store: ResourceStore) -> None:
    for _ in range(2):
        store.create(assessment())
    before = held(store)
    with opened(app) as ehr, pytest.raises(EhrChartUnclear, match=r"holds 2 assessments.*delete all but one") as raised:
        put(ehr, assessment(status="amended"))
    assert held(store) == before
    assert "p1" not in str(raised.value)


def test_what_the_site_has_marked_as_one_too_many_is_left_alone(app: Flask, store: ResourceStore) -> None:
    void, kept = store.create(retracted(assessment())), store.create(assessment())
    with opened(app) as ehr:
        assert put(ehr, assessment(status="amended")).reference == f"RiskAssessment/{kept['id']}"
    assert store.read("RiskAssessment", void["id"]) == void


@pytest.mark.parametrize("subject", [{"reference": "Patient/p2"}, {"display": "Ada"}])
def test_an_assessment_under_another_patient_is_never_written_over(
    app: Flask, store: ResourceStore, subject: dict[str, str]
) -> None:
    store.create({**assessment(), "subject": subject})
    before = held(store)
    with opened(app) as ehr, pytest.raises(EhrChartUnclear, match="another patient"):
        put(ehr, assessment())
    assert held(store) == before


def test_a_server_that_ignores_the_search_parameter_does_not_hand_over_somebody_elses(
    app: Flask, store: ResourceStore
) -> None:
    for number in range(3):
        store.create(assessment("p2", f"1.2.{number}"))
    with opened(lambda environ, start: app({**environ, "QUERY_STRING": ""}, start)) as ehr:
        first = put(ehr, assessment())
        assert put(ehr, assessment()) == replace(first, changed=False)
    assert len(held(store)) == 4


@pytest.mark.parametrize("code", [400, 405, 412, 422, 501])
def test_a_server_without_conditional_create_is_asked_plainly(app: Flask, store: ResourceStore, code: int) -> None:
    def refuse() -> Response | None:
        return Response("", code) if "If-None-Exist" in request.headers else None

    before_writes(app, refuse, times=9)
    with opened(app) as ehr:
        first = put(ehr, assessment())
        assert put(ehr, assessment()) == replace(first, changed=False)
    assert len(held(store)) == 1


@pytest.mark.parametrize("status", ["final", "amended"])
def test_what_somebody_else_wrote_meanwhile_is_found_and_brought_up_to_date(
    app: Flask, store: ResourceStore, status: str
) -> None:
    before_writes(app, lambda: store.create(assessment()))
    with opened(app) as ehr:
        written = put(ehr, assessment(status=status))
    (stored,) = held(store)
    assert (stored["status"], written.reference) == (status, f"RiskAssessment/{stored['id']}")


def test_two_that_somebody_else_wrote_meanwhile_are_left_to_the_site(app: Flask, store: ResourceStore) -> None:
    before_writes(app, lambda: [store.create(assessment()) for _ in range(2)])
    with opened(app) as ehr, pytest.raises(EhrChartUnclear):
        put(ehr, assessment())
    assert len(held(store)) == 2


def test_a_conditional_create_that_answers_with_another_assessment_is_not_believed(
    app: Flask, store: ResourceStore
) -> None:
    other = store.create(assessment("p2"))
    before_writes(app, lambda: Response(json.dumps(other)))
    with opened(app) as ehr, pytest.raises(EhrAnswerBroken, match="for another"):
        put(ehr, assessment())
    assert held(store) == [other]


def test_a_server_that_answers_writes_without_a_body_is_read_back(app: Flask, store: ResourceStore) -> None:
    def bare(response: Response) -> Response:
        headers = {name: response.headers[name] for name in ("ETag", "Location")}
        return Response(status=response.status_code, headers=headers)

    on_writes(app, bare, "POST")
    on_writes(app, bare, "PUT")
    with opened(app) as ehr:
        first, second = put(ehr, assessment()), put(ehr, assessment(status="amended"))
    (stored,) = held(store)
    assert first == Written(f"RiskAssessment/{stored['id']}", "1", changed=True)
    assert second == replace(first, version="2")


def test_a_change_between_the_look_and_the_write_is_never_lost(app: Flask, store: ResourceStore) -> None:
    stored = store.create(assessment())
    before_writes(app, lambda: store.put({**stored, "note": [{"text": "Seen."}]}), "PUT")
    with opened(app) as ehr:
        with pytest.raises(EhrConflict, match="read it again"):
            put(ehr, assessment(status="amended"))
        assert held(store)[0]["note"] == [{"text": "Seen."}]
        assert put(ehr, assessment(status="amended")).version == "3"


LOST: dict[str, tuple[Callable[[Response], Response], type[EhrError]]] = {
    "500": (lambda response: Response("", 500), EhrUnreachable),
    "503": (lambda response: Response("", 503, {"Retry-After": "5"}), EhrUnreachable),
    "504": (lambda response: Response("", 504), EhrUnreachable),
    "broken off": (lambda response: Response("{", 201, {"Content-Length": "900"}), EhrAnswerBroken),
    "not JSON": (lambda response: Response("<html>", 201), EhrAnswerBroken),
    "no id": (lambda response: Response("", 201), EhrAnswerBroken),
    "an outcome": (lambda response: Response(json.dumps(operation_outcome()), 201), EhrAnswerBroken),
}


@pytest.mark.parametrize(("answer", "error"), LOST.values(), ids=list(LOST))
def test_a_create_whose_answer_is_lost_is_found_by_the_next_try(
    app: Flask, store: ResourceStore, answer: Callable[[Response], Response], error: type[EhrError]
) -> None:
    on_writes(app, answer)
    with opened(app) as ehr:
        with pytest.raises(error):
            put(ehr, assessment())
        (stored,) = held(store)
        assert put(ehr, assessment()) == Written(f"RiskAssessment/{stored['id']}", "1", changed=False)
    assert held(store) == [stored]


@pytest.mark.parametrize("code", [500, 503])
def test_an_update_whose_answer_is_lost_is_found_by_the_next_try(app: Flask, store: ResourceStore, code: int) -> None:
    on_writes(app, lambda response: Response("", code), "PUT")
    with opened(app) as ehr:
        put(ehr, assessment())
        with pytest.raises(EhrUnreachable):
            put(ehr, assessment(status="amended"))
        assert put(ehr, assessment(status="amended")) == Written(
            f"RiskAssessment/{held(store)[0]['id']}", "2", changed=False
        )


@pytest.mark.parametrize(
    ("code", "error"), [(401, EhrRefused), (403, EhrRefused), (429, EhrUnreachable), (500, EhrUnreachable)]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_what_is_refused_at_any_step_changes_nothing_and_succeeds_later(
    app: Flask, store: ResourceStore, method: str, code: int, error: type[EhrError]
) -> None:
    if method == "PUT":
        store.create(assessment())
    # A read that finds a busy server is made twice.
    before_writes(app, lambda: Response("", code), method, times=2 if (method, code) == ("GET", 429) else 1)
    before = held(store)
    with opened(app) as ehr:
        with pytest.raises(error):
            put(ehr, assessment(status="amended"))
        assert held(store) == before
        assert put(ehr, assessment(status="amended")).changed
    assert len(held(store)) == 1


def test_a_resource_that_the_server_does_not_accept_is_rejected(app: Flask, store: ResourceStore) -> None:
    before_writes(app, lambda: Response("", 422), times=2)
    with opened(app) as ehr, pytest.raises(EhrRejected, match="422"):
        put(ehr, assessment())
    assert held(store) == []


def test_a_server_that_keeps_no_assessments_is_told_as_such(app: Flask) -> None:
    before_writes(app, lambda: Response("", 404), "GET")
    with opened(app) as ehr, pytest.raises(EhrNotFound):
        put(ehr, assessment())


@pytest.mark.parametrize("wrong", [{"status": "done"}, {"identifier": []}, {"subject": {"reference": "Device/1"}}])
def test_what_must_not_leave_is_not_sent(app: Flask, store: ResourceStore, wrong: dict[str, Any]) -> None:
    with opened(app) as ehr, pytest.raises(ResourceProblem):
        put(ehr, {**assessment(), **wrong})
    assert held(store) == []


def test_an_assessment_without_an_identifier_is_not_sent(app: Flask, store: ResourceStore) -> None:
    nameless = {name: value for name, value in assessment().items() if name != "identifier"}
    with opened(app) as ehr, pytest.raises(ResourceProblem, match="identifier"):
        put(ehr, nameless)
    assert held(store) == []


def test_one_that_stands_on_two_pages_of_the_search_is_one(app: Flask, store: ResourceStore) -> None:
    twice = [store.create(assessment())] * 2
    before_writes(app, lambda: Response(json.dumps(searchset(*twice))), "GET")
    with opened(app) as ehr:
        assert put(ehr, assessment()).reference == f"RiskAssessment/{twice[0]['id']}"


def test_one_without_a_legal_id_is_no_reason_to_write_a_second(app: Flask, store: ResourceStore) -> None:
    before_writes(app, lambda: Response(json.dumps(searchset({**assessment(), "id": "a/b"}))), "GET")
    with opened(app) as ehr, pytest.raises(EhrAnswerBroken, match="legal id"):
        put(ehr, assessment())
    assert held(store) == []


@pytest.mark.parametrize("part", [{"total": 3}, {"entry": [{"resource": "?"}]}, {"resourceType": "Patient"}])
def test_where_it_cannot_be_told_what_the_chart_holds_nothing_is_written(
    app: Flask, store: ResourceStore, part: dict[str, Any]
) -> None:
    partial = {"resourceType": "Bundle", "type": "searchset", **part}
    before_writes(app, lambda: Response(json.dumps(partial)), "GET")
    with opened(app) as ehr, pytest.raises(EhrAnswerBroken):
        put(ehr, assessment())
    assert held(store) == []


TRIES = st.lists(
    st.tuples(st.sampled_from(["final", "amended", "entered-in-error"]), st.sampled_from([None, "before", "after"])),
    min_size=1,
    max_size=6,
)


def test_whatever_is_lost_on_the_way_the_chart_holds_one_and_says_what_was_put_last(
    app: Flask, store: ResourceStore
) -> None:
    fault: list[str | None] = [None]

    @app.before_request
    def lose_the_write() -> Response | None:
        return Response("", 503) if request.method != "GET" and fault[0] == "before" else None

    @app.after_request
    def lose_the_answer(response: Response) -> Response:
        return Response("", 503) if request.method != "GET" and fault[0] == "after" else response

    def written(patient_id: str, status: str) -> dict[str, Any]:
        resource = assessment(patient_id, status="amended" if status == "amended" else "final")
        return retracted(resource) if status == "entered-in-error" else resource

    with opened(app) as ehr:

        @settings(deadline=None, max_examples=40)  # a busy machine is slow, not wrong
        @given(TRIES)
        def put_in_any_order(tries: list[tuple[str, str | None]]) -> None:
            patient_id = store.create({"resourceType": "Patient"})["id"]
            for status, fault[0] in tries:
                with suppress(EhrUnreachable):
                    put(ehr, written(patient_id, status))
            fault[0] = None
            last = put(ehr, written(patient_id, tries[-1][0]))
            hers = [each for each in held(store) if each["subject"] == {"reference": f"Patient/{patient_id}"}]
            assert [f"RiskAssessment/{each['id']}" for each in hers] == ([last.reference] if last.reference else [])
            assert all(same_content(each, written(patient_id, tries[-1][0])) for each in hers)

        put_in_any_order()


def test_many_writers_of_one_assessment_leave_one(app: Flask, store: ResourceStore) -> None:
    with serve(app) as url:

        def write(_: int) -> Written:
            with FhirEhr(url, TOKEN, 10) as ehr:
                return put(ehr, assessment())

        with ThreadPoolExecutor(6) as threads:
            written = list(threads.map(write, range(12)))
    assert len({each.reference for each in written}) == 1
    assert len(held(store)) == 1
