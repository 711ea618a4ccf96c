"""The pages: what they show of a chart, and whom they refuse."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from flask.testing import FlaskClient

from cds.demo.dicom_folder import DicomFolder
from cds.demo.ehr_page.app import Screen, ehr_app
from cds.demo.ehr_page.desk import Desk
from cds.demo.fhir_store import ResourceStore
from cds.ehr.client import FhirEhr
from tests.builders import imaging_study, new_uid, screening_exam
from tests.cds.builders import PATIENT, Clock, fhir_patient
from tests.cds.demo.ehr_page.builders import card
from tests.cds.demo.ehr_page.conftest import TOKEN, ToldAdviser
from tests.test_architecture import modules

PATIENT_NAME = "Ada Eins"
CHART = f"/patients/{PATIENT}"


@pytest.fixture
def client(ehr: FhirEhr, images: DicomFolder, desk: Desk, charts: ResourceStore) -> FlaskClient:
    """A browser on the screen, in a hospital with another patient beside the first, who has one exam."""
    charts.put(fhir_patient(name=[{"given": ["Ada"], "family": "Eins"}]))
    charts.put(fhir_patient("p2", name=[{"given": ["Eva"], "family": "<b>Zwei</b>"}], birthDate=None))
    study = new_uid()
    charts.put(imaging_study(PATIENT, "2026-05-03", study, id="exam-1"))
    for image in screening_exam(study):
        images.add(image)
    screen = Screen(ehr, images, desk, {PATIENT: "why she is here"}, "Film: CBIS-DDSM", Clock())
    return ehr_app(screen).test_client()


def page(client: FlaskClient, path: str) -> str:
    """The words of a page, marks and blanks taken out."""
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())


def press(client: FlaskClient, path: str, **fields: str) -> str:
    """Where a form leads."""
    answer = client.post(path, data=fields)
    assert answer.status_code == 303
    return str(answer.headers["Location"])


def test_the_list_names_everybody_with_her_exams(client: FlaskClient) -> None:
    said = page(client, "/")
    assert "52 years · 1 mammogram, latest 2026-05-03 why she is here" in said
    assert "age not on record · no mammograms" in said
    assert "Film: CBIS-DDSM" in said


def test_names_from_the_chart_stay_text(client: FlaskClient) -> None:
    assert "&lt;b&gt;Zwei&lt;/b&gt;" in client.get("/").text


def test_a_chart_shows_the_pictures_of_its_exams(client: FlaskClient) -> None:
    sources = re.findall(r'<img src="([^"]*png[^"]*)"', client.get(CHART).text)
    assert sources == [f"{CHART}/exams/exam-1/{number}.png" for number in range(4)]
    for source in (*sources, f"{sources[0]}?large=1"):
        answer = client.get(source)
        assert (answer.status_code, answer.mimetype) == (200, "image/png")


def test_a_chart_without_exams_shows_no_image_and_says_so(client: FlaskClient) -> None:
    assert "No mammogram is on record, so there is no image." in page(client, "/patients/p2")
    assert ".png" not in client.get("/patients/p2").text


def test_an_exam_that_the_archive_lacks_is_said_to_have_no_image(client: FlaskClient, charts: ResourceStore) -> None:
    charts.put(imaging_study("p2", "2025-05-03", new_uid(), id="exam-2"))
    assert "The archive holds no image of this exam." in page(client, "/patients/p2")
    assert client.get("/patients/p2/exams/exam-2/0.png").status_code == 404


def test_orders_cards_and_risks_appear_as_the_clinician_goes_on(client: FlaskClient, adviser: ToldAdviser) -> None:
    adviser.cards["order-select"] = [
        card(links=[{"label": "Trajectory", "url": "https://x.example/t", "type": "absolute"}])
    ]
    assert press(client, f"{CHART}/orders", order="screening") == f"{CHART}#advice"
    said = page(client, CHART)
    assert "Warning Increased 5-year image-based score MammoTrend Draft an MRI Record the risk Trajectory" in said
    assert "Score 7.1 %" in said
    assert "Screening mammogram draft" in said
    press(client, f"{CHART}/cards/card-1/accept/mri")
    press(client, f"{CHART}/cards/card-1/accept/risk")
    said = page(client, CHART)
    assert "✓ Draft an MRI, feedback sent" in said
    assert "Image-based 5-year score 7.1 % final Demo model 2026-05-03 to 2031-05-03" in said
    assert "Accepted: Record the risk sent" in said
    assert "Override this card" not in said


def test_a_link_to_a_smart_app_is_named_and_not_followed(client: FlaskClient, adviser: ToldAdviser) -> None:
    adviser.cards["patient-view"] = [card(links=[{"label": "App", "url": "https://x.example/launch", "type": "smart"}])]
    assert "App: a SMART app, which this EHR cannot launch" in page(client, CHART)
    assert "https://x.example/launch" not in client.get(CHART).text


def test_feedback_that_was_not_taken_is_not_shown_as_sent(client: FlaskClient, adviser: ToldAdviser) -> None:
    adviser.cards["patient-view"] = [card()]
    adviser.feedback_problem = "the service answered 503"
    page(client, CHART)
    press(client, f"{CHART}/cards/card-1/override", reason="patient-declined")
    said = page(client, CHART)
    assert "Overridden: Patient declines not sent: the service answered 503" in said
    assert "Overridden: Patient declines, feedback not sent" in said


def test_no_card_and_no_answer_are_told_apart(client: FlaskClient, adviser: ToldAdviser) -> None:
    rests = "or a card for her was overridden lately and rests."
    assert f"No card. The service was asked and has nothing new to say, {rests}" in page(client, CHART)
    press(client, f"{CHART}/orders", order="drug")
    assert f"No card. The service was asked and has nothing to say about this, {rests}" in page(client, CHART)
    adviser.problem = "the service answered 412: no mammograms"
    press(client, f"{CHART}/orders", order="screening")
    said = page(client, CHART)
    assert "No answer. The service could not be asked: the service answered 412: no mammograms." in said
    assert "No card." not in said


def test_an_order_that_is_not_in_the_catalogue_is_refused(client: FlaskClient, charts: ResourceStore) -> None:
    assert client.post(f"{CHART}/orders", data={"order": "lobotomy"}).status_code == 400
    assert charts.all("ServiceRequest") == []


def test_a_draft_can_be_removed_and_the_others_signed(client: FlaskClient, charts: ResourceStore) -> None:
    for order in ("screening", "diagnostic"):
        press(client, f"{CHART}/orders", order=order)
    first = charts.all("ServiceRequest")[0]
    press(client, f"{CHART}/orders/ServiceRequest/{first['id']}/remove")
    press(client, f"{CHART}/sign")
    said = page(client, CHART)
    assert "Diagnostic mammogram active" in said
    assert "Screening mammogram draft" not in said


def test_a_page_says_that_orders_were_signed_until_the_service_is_asked_again(
    client: FlaskClient, adviser: ToldAdviser
) -> None:
    adviser.cards["order-sign"] = [card()]
    for order in ("screening", "drug"):
        press(client, f"{CHART}/orders", order=order)
    press(client, f"{CHART}/sign")
    asked = page(client, CHART)
    assert "Orders about to be signed ·" in asked
    assert "Not signed yet." in asked
    press(client, f"{CHART}/sign", seen=f"call-{len(adviser.asked)}")
    said = page(client, CHART)
    assert "Orders signed ·" in said
    assert "Signed. 2 orders are active now." in said
    assert "Not signed yet." not in said
    press(client, f"{CHART}/orders", order="mri")
    assert "Signed." not in page(client, CHART)


def test_a_suggestion_that_is_on_record_already_is_marked_and_not_offered_again(
    client: FlaskClient, adviser: ToldAdviser
) -> None:
    adviser.cards["order-select"] = [card()]
    press(client, f"{CHART}/orders", order="screening")
    for suggestion in ("mri", "risk"):
        press(client, f"{CHART}/cards/card-1/accept/{suggestion}")
    adviser.cards["order-select"] = [card("card-2")]
    press(client, f"{CHART}/orders", order="screening")
    assert "Record the risk, on record already" in page(client, CHART)
    offered = re.findall(r'action="[^"]*/accept/([^"]*)"', client.get(CHART).text)
    assert offered == ["mri"]


def test_a_risk_assessment_that_was_entered_in_error_is_offered_again(
    client: FlaskClient, adviser: ToldAdviser, charts: ResourceStore
) -> None:
    adviser.cards["order-select"] = [card()]
    press(client, f"{CHART}/orders", order="screening")
    press(client, f"{CHART}/cards/card-1/accept/risk")
    (risk,) = charts.all("RiskAssessment")
    charts.put(risk | {"status": "entered-in-error"})
    adviser.cards["order-select"] = [card("card-2")]
    press(client, f"{CHART}/orders", order="screening")
    assert "on record already" not in page(client, CHART)


def test_the_comment_of_an_override_is_shown(client: FlaskClient, adviser: ToldAdviser) -> None:
    adviser.cards["patient-view"] = [card()]
    page(client, CHART)
    press(client, f"{CHART}/cards/card-1/override", reason="patient-declined", comment="<i>fears</i> the tube")
    assert "&lt;i&gt;fears&lt;/i&gt; the tube" in page(client, CHART)


def test_the_style_sheet_says_nothing_twice(client: FlaskClient) -> None:
    with client.get("/static/ehr.css") as answer:
        selectors = re.findall(r"^([^\s@}][^{}]*) \{", answer.get_data(as_text=True), re.MULTILINE)
    assert len(selectors) > 80
    assert [one for one, count in Counter(selectors).items() if count > 1] == []


def test_feedback_that_was_not_taken_is_in_the_colour_of_trouble_beside_what_was_accepted(
    client: FlaskClient, adviser: ToldAdviser
) -> None:
    adviser.cards["patient-view"] = [card()]
    page(client, CHART)
    press(client, f"{CHART}/cards/card-1/accept/mri")
    adviser.feedback_problem = "the service answered 503"
    press(client, f"{CHART}/cards/card-1/accept/risk")
    text = client.get(CHART).text
    assert "✓ Draft an MRI, feedback sent</p>" in text
    assert '✓ Record the risk, <span class="trouble">feedback not sent</span></p>' in text


def test_a_closed_chart_leads_back_to_the_list(client: FlaskClient) -> None:
    page(client, CHART)
    assert press(client, f"{CHART}/close") == "/"


def test_a_call_is_shown_as_it_was_sent(client: FlaskClient) -> None:
    page(client, CHART)
    assert '"hookInstance": "call-1"' in client.get(f"{CHART}/calls/call-1").text.replace("&#34;", '"')
    assert client.get(f"{CHART}/calls/call-2").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/patients/nobody",
        "/patients/a%20b",
        "/patients/p2%3F_id=p1",
        "/patients/p2/exams/exam-1",
        "/patients/p2/exams/exam-1/0.png",
        f"{CHART}/exams/none",
        f"{CHART}/exams/exam-1/4.png",
    ],
)
def test_what_is_not_hers_is_not_found(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "This could not be done" in answer.text


@pytest.mark.parametrize("path", ["/", CHART, f"{CHART}/exams/exam-1", "/nowhere", "/static/ehr.css"])
def test_every_answer_forbids_scripts_frames_and_other_hosts(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self';")
        assert "unsafe" not in policy
        assert b"<script" not in answer.data
        assert b" style=" not in answer.data


def test_no_page_holds_the_token(client: FlaskClient) -> None:
    assert not any(TOKEN in client.get(path).text for path in ("/", CHART, f"{CHART}/calls/call-1"))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_orders_nothing(client: FlaskClient, charts: ResourceStore, site: str) -> None:
    answer = client.post(f"{CHART}/orders", data={"order": "mri"}, headers={"Sec-Fetch-Site": site})
    assert (answer.status_code, charts.all("ServiceRequest")) == (403, [])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", ""])
def test_another_name_for_the_address_shows_nothing(client: FlaskClient, host: str) -> None:
    answer = client.get(CHART, headers={"Host": host})
    assert answer.status_code == 403
    assert PATIENT_NAME not in answer.text


def test_nothing_but_the_demo_command_knows_the_screen() -> None:
    knows = {name for name, file in modules("cds", "hooks", "fhir_mappings", "model") if "cds.demo" in file.read_text()}
    assert {name for name in knows if not name.startswith("cds.demo")} == {"cds.cli"}
