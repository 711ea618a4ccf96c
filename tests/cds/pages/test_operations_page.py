"""The operator's page: what it shows, to whom, and under which policy."""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from sqlalchemy import Engine

from cds.demo.loopback import serve
from cds.operations.readiness import Lookout
from cds.operations.sign_of_life import LASTS, SCHEDULE, checked_model
from cds.pages.operations_page import KINDS, CardLine
from cds.store.assessments import AssessmentRecords
from cds.store.audit import AuditTrail
from cds.store.card_counts import CardCounts
from cds.store.cards import CardRecords
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords, RunSummary
from cds.store.score_spread import FEWEST
from cds.store.stage_times import Spent
from cds.store.store import Store
from cds.store.tables import Destination, Stage
from cds.web.app import Front, create_app
from cds.web.limits import FrontLimits
from cds.web.monitors import OPERATOR, Monitors
from hooks.cards import CardKind
from model.domain import AcquisitionDevice
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, claimed, conclusion, new_exam, refused
from tests.cds.operations.drifting import DRIFTED, put_drift
from tests.cds.web.calls import full
from tests.cds.web.conftest import Service

SECRET = "a-secret-of-the-operators"


def basic(password: str, user: str = OPERATOR) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.fixture
def service(engine: Engine) -> Service:
    """The application over an empty store."""
    return Service(Store(engine), CardRecords(engine), AuditTrail(engine), engine)


def app(service: Service, monitors: Monitors | None, limits: FrontLimits | None = None) -> Flask:
    """The application, whose archive answers."""
    lookout = Lookout(RunRecords(service.engine), MODEL.key, service.clock, {"archive old": lambda: "answers"})
    front = Front(monitors=monitors, limits=limits or FrontLimits())
    return create_app(replace(service.parts(), lookout=lookout), front)


@pytest.fixture
def operator(service: Service) -> FlaskClient:
    return app(service, Monitors(SECRET)).test_client()


class _Tables(HTMLParser):
    """The rows of tables, and the lines of lists, by the heading above them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._heading, self._cell, self._text = "", False, ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr" or tag == "li":
            self.found.setdefault(self._heading, []).append([])
        self._text = "" if tag in ("th", "td", "h2", "li") else self._text

    def handle_endtag(self, tag: str) -> None:
        said = " ".join(self._text.split())
        if tag == "h2":
            self._heading = said
        elif tag in ("th", "td", "li"):
            self.found[self._heading][-1].append(said)

    def handle_data(self, data: str) -> None:
        self._text += data


def shown(operator: FlaskClient) -> dict[str, list[list[str]]]:
    """What stands in the tables of the page, each below its heading, without the row of the columns' names."""
    answer = operator.get("/operations", headers=basic(SECRET))
    assert answer.status_code == 200, answer.text
    for secret in (PATIENT + "<", "MRN-1", "1.2.1", "Practitioner", SECRET):
        assert secret not in answer.text
    tables = _Tables()
    tables.feed(answer.text)
    return tables.found


def fill(service: Service) -> None:
    """Something of everything: two units, a refused exam, cards, a night, a letter that was given up."""
    other = AcquisitionDevice("GE", "Pristina")
    for number in range(FEWEST):
        service.score(f"1.2.{number}", 0.02 + number / 1000, day=date(2026, 4 + number % 2, 3))
        service.score(f"1.3.{number}", 0.03, device=other)
    service.store.register([new_exam("1.4.1")], MODEL.key, NOW)
    service.store.save_refusal(claimed(service.store), refused("1.4.1"), NOW)
    service.cards(full())
    runs, assessments = RunRecords(service.engine), AssessmentRecords(service.engine)
    run = runs.start(MODEL.key, NOW - timedelta(hours=3))
    runs.finish(run, RunSummary(9, 5, {"implant": 2}, {"x": 1}, 4, ("main: no answer",)), NOW - timedelta(hours=2))
    runs.start(MODEL.key, NOW)
    seconds = {Stage.FETCH: 30.0, Stage.PREPARE: 25.0, Stage.SCORE: 41.0, Stage.STORE: 0.5}
    service.store.add_times(MODEL.key, NOW, {stage: Spent(one, 20) for stage, one in seconds.items()})
    assessments.assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: conclusion(), {Destination.CHART})
    letters = OutboxRecords(service.engine)
    letter = letters.claim(NOW, LEASE)
    assert letter is not None
    letters.failed(letter, "refused", NOW, final=True)


# Who may look


def test_without_the_password_nothing_is_shown(operator: FlaskClient) -> None:
    for headers in ({}, basic("x"), basic(SECRET, "admin"), {"Authorization": f"Bearer {SECRET}"}):
        for path in ("/operations", "/operations/operations.css"):
            answer = operator.get(path, headers=headers)
            assert (answer.status_code, answer.data) == (401, b"")
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_a_site_without_a_secret_has_no_such_page(service: Service) -> None:
    for path in ("/operations", "/operations/operations.css"):
        assert app(service, None).test_client().get(path, headers=basic(SECRET)).status_code == 404


def test_in_a_demonstration_anybody_may_look(service: Service) -> None:
    assert app(service, Monitors()).test_client().get("/operations").status_code == 200


def test_how_often_somebody_may_guess_is_limited(service: Service) -> None:
    client = app(service, Monitors(SECRET), FrontLimits(calls_per_minute=2)).test_client()

    told = [client.get("/operations", headers=basic(guess)).status_code for guess in ("a", "b", SECRET)]

    assert told == [401, 401, 429]


def test_the_policy_lets_nothing_in_but_its_own_style_sheet(operator: FlaskClient) -> None:
    answer = operator.get("/operations", headers=basic(SECRET))

    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    sheet = operator.get("/operations/operations.css", headers=basic(SECRET))
    assert (sheet.status_code, sheet.mimetype) == (200, "text/css")


def test_its_style_sheet_is_found_behind_a_path_of_the_proxy_and_on_the_machine_itself(operator: FlaskClient) -> None:
    (sheet,) = re.findall(
        r'<link rel="stylesheet" href="([^"]+)">', operator.get("/operations", headers=basic(SECRET)).text
    )

    for home in ("http://127.0.0.1:8410", "https://cds.example/mammotrend"):
        assert urljoin(f"{home}/operations", sheet) == f"{home}/operations/operations.css"


# What it shows


def test_an_empty_site_says_so(operator: FlaskClient) -> None:
    found = shown(operator)

    assert found.keys() == {"State"}
    assert found["State"] == [
        ["✗ Service not ready"],
        ["✓ Store answers"],
        ["✗ Model no worker with this model reported in 5 minutes"],
        ["✗ Schedule no worker reported in 5 minutes"],
        ["✓ Deliveries none given up"],
        ["✓ archive old answers"],
    ]


def test_a_site_at_work_shows_all_of_it(service: Service, operator: FlaskClient) -> None:
    fill(service)
    for name in (checked_model(MODEL.key), SCHEDULE):
        RunRecords(service.engine).sign(name, "worker", NOW, LASTS)

    found = shown(operator)

    assert found["State"][0] == ["✓ Service ready"]
    assert found["State"][4] == ["✗ Deliveries 1 given up: mammotrend outbox list"]
    assert found["Last nights and runs"][1:] == [
        ["2026-05-20 23:30", "ended without a word", "", "", "", "", "", ""],
        ["2026-05-20 20:30", "60 min", "9", "5", "2", "1", "4", "main: no answer"],
    ]
    assert found["Exams"][1:] == [["refused", "1"], ["scored", "20"]]
    assert found["Refused, by first reason"][1:] == [["missing-view", "1"]]
    assert [row[:4] for row in found["Scoring an exam, last 7 days"][1:]] == [
        ["fetch", "1.50", "20", "30.0"],
        ["prepare", "1.25", "20", "25.0"],
        ["score", "2.05", "20", "41.0"],
        ["store", "0.03", "20", "0.5"],
    ]
    assert found["Deliveries"][1:] == [["chart", "given up", "1"]]
    assert found["Cards of the last 90 days"][1:] == [["MRI suggested", "1", "0 (0 %)", "0 (0 %)", "0", ""]]


@pytest.mark.parametrize(("fetching", "named"), [(30.0, "score"), (60.0, "fetch")])
def test_the_stage_that_limits_scoring_is_named(
    service: Service, operator: FlaskClient, fetching: float, named: str
) -> None:
    times = {Stage.FETCH: Spent(fetching, 20), Stage.PREPARE: Spent(25.0, 20), Stage.SCORE: Spent(41.0, 20)}
    service.store.add_times(MODEL.key, NOW, times)

    said = operator.get("/operations", headers=basic(SECRET)).text

    assert f"The others wait for <strong>{named}</strong>, which takes most in all." in said


def test_the_times_of_a_week_are_shown_and_none_of_before(service: Service, operator: FlaskClient) -> None:
    service.store.add_times(MODEL.key, NOW - timedelta(days=8), {Stage.FETCH: Spent(9.0, 1)})
    assert "No times of these days are known yet." in operator.get("/operations", headers=basic(SECRET)).text

    service.store.add_times(MODEL.key, NOW - timedelta(days=7), {Stage.FETCH: Spent(2.0, 1)})
    assert shown(operator)["Scoring an exam, last 7 days"][1][:3] == ["fetch", "2.00", "1"]


def test_scores_are_shown_by_unit_and_month_the_newest_first(service: Service, operator: FlaskClient) -> None:
    fill(service)

    rows = [
        row
        for row in shown(operator)["Five-year scores by mammography unit and month of the exam"]
        if row[0] != "Month"
    ]

    assert rows == [
        ["2026-05", "10", "3.00 %", "3.00 %", "3.00 %", "3.00 %"],
        ["2026-05", "5", *["too few"] * 4],
        ["2026-04", "5", *["too few"] * 4],
    ]


def test_cards_are_named_in_words_and_why_they_were_overridden_in_those_of_their_form() -> None:
    assert KINDS.keys() == {*CardKind, ""}
    told = CardLine(CardKind.OVER_WITHOUT_MRI, CardCounts(reasons=Counter({"decide-later": 2, "other": 1, "": 1})))

    assert told.words == "over the threshold, no MRI suggested"
    assert told.reasons == "To be decided later: 2; another reason: 1; no reason given: 1"


def test_a_unit_whose_scores_drift_is_among_what_is_ill(service: Service, operator: FlaskClient) -> None:
    put_drift(service.engine)

    (line,) = [line for (line,) in shown(operator)["State"] if "Scores" in line]
    assert line.startswith(f"✗ Scores of {DRIFTED} median 3.00 % in 2026-03, 3.00 % in 2026-04, against 2.00 to 2.00 %")


def test_it_is_said_which_units_are_told_of(operator: FlaskClient) -> None:
    said = " ".join(operator.get("/operations", headers=basic(SECRET)).text.split())

    assert "in two of the last three full months, outside the range of the nine months before" in said


def test_what_an_image_calls_its_unit_is_text_and_no_markup(service: Service, operator: FlaskClient) -> None:
    device = AcquisitionDevice("<b>ACME</b>", "$x^2$ <script>")
    for number in range(FEWEST):
        service.score(f"1.2.{number}", device=device)

    said = operator.get("/operations", headers=basic(SECRET)).text

    assert "&lt;b&gt;ACME&lt;/b&gt; $x^2$ &lt;script&gt;" in said
    assert "<script" not in said


def test_a_store_that_fails_is_answered_as_anywhere(service: Service, operator: FlaskClient) -> None:
    with service.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE run")

    assert operator.get("/operations", headers=basic(SECRET)).status_code == 503


# In a browser


@pytest.mark.integration
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_drawn_whole_at_any_width_and_nothing_breaks_the_policy(
    service: Service, browser: Browser, width: int
) -> None:
    fill(service)
    said: list[str] = []
    with serve(app(service, Monitors(SECRET))) as url:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, http_credentials={"username": OPERATOR, "password": SECRET}
        )
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{url}/operations")

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("figure svg").count() == 1
        assert page.locator("figure svg").bounding_box()["width"] > 250  # type: ignore[index] # it is drawn
        page.get_by_text("GE Pristina: 10 exams").press("Enter")
        assert page.get_by_role("cell", name="3.00 %").first.is_visible()
        page.get_by_text("GE Pristina: 10 exams").press("Enter")
        assert not page.get_by_role("cell", name="3.00 %").first.is_visible()
        page.emulate_media(media="print")
        assert page.get_by_text("3.00 %").first.is_visible()  # on paper nobody can unfold it
        context.close()
    assert said == []
