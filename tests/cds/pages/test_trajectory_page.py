"""The page of a card over HTTP: who may open it, what it shows, what it never shows, and what is written down."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Event, Semaphore
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from cds.pages.card_page import MADE_AT_ONCE
from cds.store.audit import AuditTrail
from cds.web.app import create_app
from fhir_mappings.access_events import AccessEvent, AccessOutcome, Action
from hooks.site import Mode
from model.domain import AcquisitionDevice
from tests.builders import imaging_study, searchset
from tests.cds.builders import (
    EHR,
    FORMER,
    IDENTIFIER,
    MODEL,
    PATIENT,
    claimed,
    fhir_patient,
    new_exam,
    order_select,
    prefetch,
    refused,
)
from tests.cds.model_card import BANNER
from tests.cds.pages.conftest import ADDRESS, Site
from tests.cds.web.conftest import URL
from tests.hooks.claims import claims_in

EXAMS = {"1.2.1": (0.021, date(2024, 5, 3)), "1.2.2": (0.026, date(2025, 5, 3)), "1.2.3": (0.066, date(2026, 5, 3))}
HOSTILE = '<script>alert(1)</script> "><img src=x onerror=alert(1)> {{ 7 * 7 }} \u202e& $x^2$'


@pytest.fixture
def link(site: Site) -> str:
    """The path of the page of a woman with three scored exams."""
    for study_uid, (risk, day) in EXAMS.items():
        site.score(study_uid, risk, day)
    return site.link(*EXAMS)


def opened(site: Site, path: str) -> TestResponse:
    return site.client().get(path)


def scores(answer: TestResponse) -> set[tuple[str, str]]:
    """The rows of the table, as day and score."""
    row = r'<th scope="row">([0-9-]+)</th>(?:<td>[^<]*</td>)?<td class="number">([^<]+)<'
    return set(re.findall(row, answer.text))


def words(answer: TestResponse) -> str:
    """What a person reads on a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def seen(site: Site, action: Action) -> list[AccessEvent]:
    return [entry.event for entry in site.service.trail.entries() if entry.event.action is action]


def test_a_card_links_to_the_page_that_shows_its_scores(site: Site, link: str) -> None:
    answer = opened(site, link)

    assert answer.status_code == 200
    for _, day in EXAMS.values():
        assert day.isoformat() in words(answer)
    assert "increased 5-year image-based score 6.6 %" in words(answer)
    assert answer.text.count("<svg") > 2


def test_C16_C17_the_link_is_absolute_and_says_what_it_leads_to(site: Site) -> None:
    site.score("1.2.1", 0.02, date(2026, 5, 3))

    (made,) = site.card("1.2.1")["links"]

    assert made["label"] == "Show the scores over time"
    assert made["type"] == "absolute"
    assert made["url"].startswith(f"{ADDRESS}/trajectory/")
    assert not [one for one in (PATIENT, IDENTIFIER, "1.2.1") if one in made["url"].removeprefix(ADDRESS)]


def test_without_pages_there_is_neither_a_link_nor_a_page(site: Site, link: str) -> None:
    without = create_app(site.service.parts()).test_client()

    answer = without.post(URL, json=order_select(prefetch=prefetch(*EXAMS)))

    assert answer.json is not None
    assert [card.get("links") for card in answer.json["cards"]] == [None]
    assert without.get(link).status_code == 404


def test_a_program_that_previews_links_is_shown_nothing_and_is_not_in_the_trail(site: Site, link: str) -> None:
    answer = site.app().test_client().head(link.removeprefix(ADDRESS))

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
    assert seen(site, Action.SEEN) == []


def test_every_opening_is_in_the_audit_trail(site: Site, link: str) -> None:
    for _ in range(2):
        opened(site, link)

    first, second = seen(site, Action.SEEN)
    assert (first.ehr, first.patient_id, first.study_uid) == (EHR, PATIENT, "1.2.3")
    assert first.call is not None
    assert (first.call.service, first.call.address, first.call.mode) == ("trajectory", "127.0.0.1", "research")
    assert second == first


def refusal(site: Site, path: str, status: int) -> str:
    """The words of a page that shows nothing of any patient."""
    answer = opened(site, path)
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert "Go back to the patient in your EHR" in words(answer)
    assert "give these words to whoever runs this service." in words(answer)
    assert not [one for one in ("1.2.3", "2026-05-03", "6.6", PATIENT + " ", "<svg") if one in answer.text]
    assert seen(site, Action.SEEN) == []
    return words(answer)


def test_a_link_whose_time_is_over_shows_nothing_and_says_what_to_do(site: Site, link: str) -> None:
    site.service.clock.advance(timedelta(minutes=60, seconds=1))

    assert "This link has expired." in refusal(site, link, 410)


@pytest.mark.parametrize("spoil", [lambda path: path[:-2], lambda path: path + "x", lambda path: path.replace(".", "")])
def test_a_link_that_was_altered_shows_nothing(site: Site, link: str, spoil: Any) -> None:
    assert "was not made by this service" in refusal(site, spoil(link), 403)


def test_a_link_that_was_made_with_another_key_shows_nothing(site: Site, link: str) -> None:
    site.secret = "a key that somebody else has made up"

    refusal(site, link, 403)


@pytest.mark.parametrize(("card", "ehr"), [("no such card", EHR), (None, "another"), ("' OR 1=1 --", EHR)])
def test_a_link_to_a_card_that_is_not_on_record_shows_nothing(
    site: Site, link: str, card: str | None, ehr: str
) -> None:
    uuid, _ = site.links.opened(link.rpartition("/")[2])

    forged = site.links.url(card or uuid, ehr).removeprefix(ADDRESS)

    assert "is not on record any more" in refusal(site, forged, 403)


def test_a_card_that_was_withheld_has_no_page(site: Site) -> None:
    site.score("1.2.1", 0.066, date(2026, 5, 3))
    site.service.mode = Mode.SILENT
    answer = site.client().post(URL, json=order_select(prefetch=prefetch("1.2.1")))
    assert answer.json == {"cards": []}
    with site.service.engine.connect() as connection:
        uuid = connection.execute(text("SELECT uuid FROM card")).scalar_one()

    refusal(site, site.links.url(uuid, EHR).removeprefix(ADDRESS), 403)


def test_a_refused_opening_is_in_the_audit_trail_with_its_reason(site: Site, link: str) -> None:
    opened(site, link[:-3])
    site.service.clock.advance(timedelta(hours=2))
    opened(site, link)

    damaged, expired = seen(site, Action.CALLER_REFUSED)
    assert (damaged.detail, expired.detail) == ("link-refused", "link-expired")
    assert {damaged.outcome, expired.outcome} == {AccessOutcome.REFUSED}
    assert (damaged.patient_id, expired.patient_id) == (None, None)


def test_a_page_shows_nothing_of_another_patient(site: Site, link: str) -> None:
    site.score("1.2.77", 0.1234, date(2026, 4, 4), patient_id="p2")
    of_another = prefetch()["mammograms"]
    mine = opened(site, link)
    body = order_select(prefetch=prefetch(patient=fhir_patient("p2"), mammograms=of_another))
    body["context"]["patientId"] = "p2"
    body["context"]["draftOrders"]["entry"][0]["resource"]["subject"]["reference"] = "Patient/p2"
    site.client().post(URL, json=body)

    assert "2026-04-04" not in mine.text
    assert "12.3 %" not in mine.text
    assert "p2" not in mine.text


def test_an_earlier_study_that_the_ehr_gave_to_another_patient_is_not_shown_any_more(site: Site, link: str) -> None:
    site.service.store.unlist(EHR, PATIENT, ["1.2.2", "1.2.3"], site.service.clock())

    answer = opened(site, link)

    assert "Year by year, exam of 2026-05-03" in words(answer)
    assert '<th scope="row">2024-05-03</th>' not in answer.text


def test_after_a_change_of_the_model_the_scores_of_the_one_before_stay_on_the_page_and_join_nothing(
    site: Site, link: str
) -> None:
    before = opened(site, link)
    site.score_by(FORMER, "1.2.1", 0.031, date(2024, 5, 3))
    site.score_by(FORMER, "1.2.0", 0.019, date(2023, 5, 3))

    after = opened(site, link)

    assert f"not comparable, not joined: FFDM, model {FORMER.key}, not for clinical use" in words(after)
    assert {("2024-05-03", "2.1 %"), ("2024-05-03", "3.1 %"), ("2023-05-03", "1.9 %")} <= scores(after)
    assert after.text.count('class="joined"') == before.text.count('class="joined"')
    assert after.text.count('class="other"') == 3  # wide, narrow, and in the key
    assert "Change from 2024-05-03 to 2026-05-03: +4.5 percentage points" in words(after)
    assert "not part of the line" not in words(after)


def test_the_card_and_the_rule_know_nothing_of_another_models_scores(site: Site) -> None:
    site.score("1.2.1", 0.021, date(2026, 5, 3))
    alone = site.card("1.2.1")
    site.score_by(FORMER, "1.2.1", 0.9, date(2026, 5, 3))

    with_other = site.card("1.2.1")

    told = ("summary", "detail", "indicator")
    assert [with_other[name] for name in told] == [alone[name] for name in told]


def test_while_the_model_in_use_has_scored_nothing_yet_the_page_shows_what_the_one_before_did(site: Site) -> None:
    site.score_by(FORMER, "1.2.1", 0.031, date(2026, 5, 3))

    answer = opened(site, site.link("1.2.1"))
    shown = words(answer)

    assert "None of these scores is of the model in use" in shown
    assert scores(answer) == {("2026-05-03", "3.1 %")}
    assert "Exams without a score of the model in use 2026-05-03 Scoring is under way." in shown


def test_of_two_earlier_models_the_older_ones_scores_are_in_the_table_alone(site: Site, link: str) -> None:
    oldest, before = replace(MODEL, weights="f" * 64), site.service.clock() - timedelta(days=400)
    site.score_by(oldest, "1.2.1", 0.041, date(2024, 5, 3), scored_at=before)
    assert "Scores of further model versions" not in words(opened(site, link))
    site.score_by(FORMER, "1.2.1", 0.031, date(2024, 5, 3))

    answer = opened(site, link)
    shown = words(answer)

    assert "Scores of further model versions are in the table only." in shown
    assert f"model {FORMER.key}" in shown
    assert f"model {oldest.key}" not in shown
    assert ("2024-05-03", "4.1 %") in scores(answer)


def test_of_two_exams_of_one_day_both_are_shown_and_the_higher_score_counts(site: Site, link: str) -> None:
    assert "another exam of the day" not in words(opened(site, link))
    site.score("1.2.4", 0.012, date(2026, 5, 3))

    answer = opened(site, site.link(*EXAMS, "1.2.4"))

    assert {("2026-05-03", "6.6 %"), ("2026-05-03", "1.2 %")} <= scores(answer)
    assert "not counted in the change: another exam of the day has the higher score" in words(answer)
    assert "increased 5-year image-based score 6.6 %" in words(answer)


def test_her_age_at_each_exam_is_the_one_of_the_call_and_her_birth_date_is_kept_nowhere(
    site: Site, link: str, engine: Engine
) -> None:
    assert '<th scope="row">2026-05-03</th><td>52</td>' in opened(site, link).text
    with engine.connect() as connection:
        assert "1974" not in str(connection.execute(text("SELECT * FROM card")).all())


def test_another_models_score_of_a_study_that_went_to_another_patient_is_not_shown(site: Site, link: str) -> None:
    site.score_by(FORMER, "1.2.0", 0.123, date(2023, 5, 3))
    store, now = site.service.store, site.service.clock()
    store.unlist(EHR, PATIENT, list(EXAMS), now)
    store.register([new_exam("1.2.0", "p2")], MODEL.key, now)

    answer = opened(site, link)

    assert answer.status_code == 200
    assert "2023-05-03" not in answer.text
    assert "12.3 %" not in answer.text


def test_the_rules_are_answered_as_on_the_card_even_when_what_is_known_has_changed(site: Site, link: str) -> None:
    before = words(opened(site, link)).partition("How the rule was answered")[2].partition("The model")[0]
    site.score("1.2.4", 0.001, date(2026, 5, 19))

    after = words(opened(site, link))

    assert "2026-05-19" in after
    assert after.partition("How the rule was answered")[2].partition("The model")[0] == before
    assert "fulfilled The 5-year score of the exam of 2026-05-03, 6.6 %, is over 1.7 %." in before
    assert "Not checked here: " in before


def test_a_card_from_before_reasons_were_kept_says_so(site: Site, link: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE card SET reasoning = '{}'"))

    assert "The answers of this card were not kept" in words(opened(site, link))


def test_an_exam_that_cannot_be_scored_is_on_the_page_with_its_reasons(site: Site, link: str) -> None:
    site.refuse("1.2.9")

    shown = words(opened(site, link))

    assert "Exams without a score" in shown
    assert "There is no usable R MLO view. It shows a part of the breast." in shown


def test_a_newer_exam_that_cannot_be_scored_is_marked_in_the_drawing(site: Site, link: str) -> None:
    assert "an exam without a score of the model in use" not in words(opened(site, link))
    assert 'class="unscored"' not in opened(site, link).text
    site.refuse("1.2.4")

    answer = opened(site, site.link(*EXAMS, "1.2.4"))

    assert "an exam without a score of the model in use" in words(answer)
    assert answer.text.count('class="unscored"') == 3  # in both drawings and the key


def test_the_key_speaks_of_comparable_exams_only_where_there_are_several(site: Site) -> None:
    site.score("1.2.1", 0.02, date(2025, 5, 3))
    alone = words(opened(site, site.link("1.2.1")))
    site.score("1.2.2", 0.02, date(2026, 5, 3))
    of_two = words(opened(site, site.link("1.2.1", "1.2.2")))

    assert ("the exam whose score is judged" in alone, "exams that may be compared, joined" in alone) == (True, False)
    assert ("the exam whose score is judged" in of_two, "exams that may be compared, joined" in of_two) == (False, True)


def test_where_no_exam_has_a_score_the_page_says_that_and_draws_nothing(site: Site) -> None:
    link = site.link("1.2.1")

    answer = opened(site, link)

    assert "No exam of this patient has a score on record here." in words(answer)
    assert "<svg" not in answer.text
    assert words(answer).count("No score is known.") == 3
    assert "is of the newest exam" not in words(answer)


def test_the_page_makes_no_claim_that_nobody_can_stand_for(site: Site, link: str) -> None:
    site.refuse("1.2.9")
    shown = words(opened(site, link))

    assert claims_in(shown) == ()
    assert claims_in(f"{shown} No sign of cancer.") != ()


def test_the_page_carries_the_banners_and_what_it_is_no_reason_for(site: Site, link: str) -> None:
    shown = words(opened(site, link))

    assert BANNER in shown
    assert "Research use. Not for clinical decisions." in shown
    assert "A low or flat score is no reason for less screening." in shown
    assert "group medians of one retrospective study" in shown
    assert "How far two scores of one woman differ by chance has not been measured at this site." in shown


def test_the_page_names_no_patient(site: Site, link: str) -> None:
    text_of_page = opened(site, link).text

    assert not [one for one in (IDENTIFIER, "Practitioner", "1974", "1.2.3<", EHR) if one in text_of_page]


def test_whatever_a_device_calls_itself_stays_text(site: Site) -> None:
    site.score("1.2.1", 0.02, date(2026, 5, 3), device=AcquisitionDevice(HOSTILE, "x", "y"), warnings=(HOSTILE,))

    answer = opened(site, site.link("1.2.1"))

    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "<img" not in answer.text
    assert "\u202e" not in answer.text
    assert "{{ 7 * 7 }}" in answer.text


def test_a_browser_is_told_to_load_nothing_from_elsewhere_and_to_keep_nothing(site: Site, link: str) -> None:
    answer = opened(site, link)

    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_everything_that_the_page_loads_is_its_own(site: Site, link: str) -> None:
    answer = opened(site, link)

    loaded = re.findall(r'<(?:link|script|img|iframe|object|use)\b[^>]*?(?:src|href)="([^"]+)"', answer.text)
    assert [address for address in loaded if urlsplit(address).netloc or urlsplit(address).scheme] == []
    (sheet,) = (address for address in loaded if not address.startswith("#"))
    assert sheet.endswith(".css")
    # A browser asks for it below the path of the service's address, which the proxy takes off.
    assert sheet.startswith("/mammotrend/")
    style = opened(site, sheet.removeprefix("/mammotrend"))
    assert style.status_code == 200
    assert "url(" not in style.text
    style.close()
    assert "style=" not in answer.text


@pytest.mark.parametrize("path", ["", "/mammotrend", "/a/b"])
def test_the_pages_link_to_each_other_below_the_services_address(site: Site, path: str) -> None:
    site.address = f"https://cds.example{path}"

    for at in (site.link("1.2.1"), "/trajectory/of-nobody", "/attributes"):
        shown = opened(site, at).text
        linked = re.findall(r'href="(/[^"]*)"', shown)
        assert linked[0] == f"{path}/pages/pages.css"
        for link in linked:
            answer = opened(site, link.removeprefix(path))
            assert (link.startswith(f"{path}/"), answer.status_code) == (True, 200)
            answer.close()
    assert f'href="{path}/attributes"' in opened(site, site.link("1.2.1")).text


def test_a_store_that_fails_is_told_to_a_person_and_shows_nothing(site: Site, link: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE card"))

    answer = opened(site, link)

    assert answer.status_code == 503
    assert answer.mimetype == "text/html"
    assert "The service's database does not answer; try again later" in words(answer)


def test_an_opening_that_cannot_be_written_down_shows_nothing(site: Site, link: str, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_head"))

    answer = opened(site, link)

    assert answer.status_code == 503
    assert "<svg" not in answer.text


def test_the_same_page_is_the_same_text(site: Site, link: str) -> None:
    assert opened(site, link).text == opened(site, link).text


def test_a_card_whose_exam_turned_out_to_be_another_patients_is_not_shown_again(site: Site, link: str) -> None:
    store, now = site.service.store, site.service.clock()
    store.unlist(EHR, PATIENT, ["1.2.1", "1.2.2"], now)
    store.register([new_exam("1.2.3", "another")], MODEL.key, now)

    answer = opened(site, link)

    assert answer.status_code == 403
    assert "The exam of this card is not on record for this patient any more" in words(answer)
    assert "6.6" not in words(answer)
    assert not seen(site, Action.SEEN)
    assert len(seen(site, Action.CALLER_REFUSED)) == 1


class GatedTrail(AuditTrail):
    """A trail in which openings have to wait."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.begun, self.may_end = Semaphore(0), Event()

    def record(self, event: AccessEvent) -> None:
        """Note it once it may be noted."""
        self.begun.release()
        assert self.may_end.wait(60)
        super().record(event)


def test_a_page_that_is_opened_too_often_at_once_does_not_take_the_threads_of_the_hooks(
    site: Site, link: str, engine: Engine
) -> None:
    trail = GatedTrail(engine)
    site.changes["trail"] = trail
    app = site.app()

    with ThreadPoolExecutor(MADE_AT_ONCE) as threads:
        made = [threads.submit(lambda: app.test_client().get(link).status_code) for _ in range(MADE_AT_ONCE)]
        assert all(trail.begun.acquire(timeout=60) for _ in made)
        refused = app.test_client().get(link)
        trail.may_end.set()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert [one.result() for one in made] == [200] * MADE_AT_ONCE
    assert app.test_client().get(link).status_code == 200


@pytest.mark.parametrize("moved", ["1.2.1", "1.2.2"])
def test_a_card_of_two_exams_is_not_shown_again_once_either_is_another_patients(site: Site, moved: str) -> None:
    store, now, days = site.service.store, site.service.clock(), {"1.2.1": "2024-05-03", "1.2.2": "2026-05-03"}
    site.score("1.2.1", *EXAMS["1.2.1"])
    store.register([new_exam("1.2.2", performed_on=date(2026, 5, 3))], MODEL.key, now)
    store.save_refusal(claimed(store, now), refused("1.2.2"), now)
    studies = (imaging_study(PATIENT, day, uid, id=f"s-{uid}") for uid, day in days.items())
    link = site.link(mammograms=searchset(*studies))
    assert opened(site, link).status_code == 200

    store.unlist(EHR, PATIENT, [uid for uid in days if uid != moved], now)
    store.register([new_exam(moved, "another")], MODEL.key, now)

    assert opened(site, link).status_code == 403
