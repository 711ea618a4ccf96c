"""The embedded EHR's screen as a WSGI app: plain pages and forms, no script, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, abort, current_app, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from cds.demo.dicom_folder import DicomFolder
from cds.demo.ehr_page.card_detail import rendered
from cds.demo.ehr_page.chart import ExamLine, exam_lines, found, patient_line, read_chart
from cds.demo.ehr_page.desk import Desk
from cds.demo.ehr_page.mammograms import png
from cds.demo.ehr_page.orders import CATALOGUE
from cds.ehr.client import WritableEhr
from cds.errors import EhrNotFound, MammoTrendError
from fhir_mappings.references import is_resource_id
from model.errors import ModelError

THUMBNAIL_PIXELS, LARGE_PIXELS = 220, 900
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
OWN_HOSTS = ("127.0.0.1", "localhost")

routes = Blueprint("ehr", __name__)


@dataclass(frozen=True)
class Screen:
    """What the pages are made of.

    `stories` say why a patient is in the demo, by her id, and `image_credits` whose the images are.
    """

    ehr: WritableEhr
    images: DicomFolder
    desk: Desk
    stories: Mapping[str, str]
    image_credits: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def ehr_app(screen: Screen) -> Flask:
    """The WSGI app."""
    app = Flask(__name__)
    app.extensions["screen"] = screen
    app.jinja_env.filters["markdown"] = rendered
    app.jinja_env.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.before_request(_refuse_other_sites)
    app.after_request(_harden)
    app.register_error_handler(EhrNotFound, lambda _: _problem("the chart holds nothing of this name", 404))
    app.register_error_handler(MammoTrendError, lambda error: _problem(str(error), error.http_status))
    app.register_error_handler(HTTPException, lambda error: _problem(error.description or "", error.code or 500))
    app.register_blueprint(routes)
    return app


@routes.get("/")
def patients() -> str:
    """Everybody on record, each with the newest exam."""
    screen = _screen()
    today = screen.now().date()
    newest: dict[str, list[ExamLine]] = {}
    for line in exam_lines(found(screen.ehr, "ImagingStudy?_sort=-started&_count=500"), screen.images):
        newest.setdefault(line.patient_id, []).append(line)
    lines = [patient_line(patient, today) for patient in found(screen.ehr, "Patient?_count=500")]
    return render_template(
        "patients.html", patients=lines, exams=newest, stories=screen.stories, credits=screen.image_credits
    )


@routes.get("/patients/<patient_id>")
def chart(patient_id: str) -> str:
    """One patient's chart; opening it fires patient-view."""
    screen = _screen()
    hers = read_chart(screen.ehr, screen.images, _id(patient_id), screen.now().date())
    visit = screen.desk.open_chart(patient_id)
    return render_template(
        "chart.html", chart=hers, visit=visit, catalogue=CATALOGUE, story=screen.stories.get(patient_id)
    )


@routes.post("/patients/<patient_id>/close")
def close(patient_id: str) -> Answer:
    """Close the chart."""
    _screen().desk.close_chart(patient_id)
    return redirect(url_for("ehr.patients"), 303)


@routes.post("/patients/<patient_id>/orders")
def order(patient_id: str) -> Answer:
    """Draft an order from the catalogue."""
    desk = _screen().desk
    chosen = next((one for one in CATALOGUE if one.key == request.form.get("order")), None) or abort(400)
    desk.select(desk.open_chart(_id(patient_id)), chosen)
    return _back(patient_id)


@routes.post("/patients/<patient_id>/orders/<resource_type>/<order_id>/remove")
def remove(patient_id: str, resource_type: str, order_id: str) -> Answer:
    """Withdraw a draft."""
    desk = _screen().desk
    desk.remove(desk.open_chart(_id(patient_id)), resource_type, order_id)
    return _back(patient_id, "orders")


@routes.post("/patients/<patient_id>/sign")
def sign(patient_id: str) -> Answer:
    """Sign the drafts, or show first what the service has to say about them."""
    desk = _screen().desk
    desk.sign(desk.open_chart(_id(patient_id)), request.form.get("seen"))
    return _back(patient_id)


@routes.post("/patients/<patient_id>/cards/<card_id>/accept/<suggestion_id>")
def accept(patient_id: str, card_id: str, suggestion_id: str) -> Answer:
    """Take a suggestion."""
    desk = _screen().desk
    desk.accept(desk.open_chart(_id(patient_id)), card_id, suggestion_id)
    return _back(patient_id)


@routes.post("/patients/<patient_id>/cards/<card_id>/override")
def override(patient_id: str, card_id: str) -> Answer:
    """Put a card aside."""
    desk = _screen().desk
    comment = request.form.get("comment", "").strip()
    desk.override(desk.open_chart(_id(patient_id)), card_id, request.form.get("reason", ""), comment)
    return _back(patient_id)


@routes.get("/patients/<patient_id>/calls/<call_id>")
def call(patient_id: str, call_id: str) -> str:
    """One hook call, as sent and answered."""
    visit = _screen().desk.open_chart(_id(patient_id))
    wanted = next((one for one in visit.consultations if one.id == call_id), None) or abort(404)
    return render_template("call.html", call=wanted, patient_id=patient_id)


@routes.get("/patients/<patient_id>/exams/<study_id>")
def exam(patient_id: str, study_id: str) -> str:
    """One exam's pictures, large."""
    screen, line = _screen(), _exam(patient_id, study_id)
    patient = patient_line(screen.ehr.read(f"Patient/{patient_id}"), screen.now().date())
    return render_template("exam.html", exam=line, patient=patient)


@routes.get("/patients/<patient_id>/exams/<study_id>/<int:number>.png")
def picture(patient_id: str, study_id: str, number: int) -> Response:
    """One picture of an exam, small, or large where `large` is asked for."""
    images = _exam(patient_id, study_id).images
    file = images.pictures[number].file if images and number < len(images.pictures) else None
    try:
        content = png(file or abort(404), LARGE_PIXELS if "large" in request.args else THUMBNAIL_PIXELS)
    except ModelError:
        abort(404, "this picture cannot be shown")
    return Response(content, mimetype="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _exam(patient_id: str, study_id: str) -> ExamLine:
    """An exam of this patient, and of nobody else."""
    screen = _screen()
    study = screen.ehr.read(f"ImagingStudy/{_id(study_id)}")
    line = next(iter(exam_lines([study], screen.images)))
    return line if line.patient_id == patient_id else abort(404)


def _id(written: str) -> str:
    return written if is_resource_id(written) else abort(404)


def _back(patient_id: str, place: str = "advice") -> Answer:
    return redirect(url_for("ehr.chart", patient_id=patient_id, _anchor=place), 303)


def _screen() -> Screen:
    screen: Screen = current_app.extensions["screen"]
    return screen


def _refuse_other_sites() -> None:
    """Another site's page, or another name for this address, must not act in a clinician's browser."""
    if request.host.partition(":")[0] not in OWN_HOSTS:
        abort(403, "this page has another address")
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        abort(403, "forms of other sites are not taken")


def _harden(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _problem(words: str, status: int) -> tuple[str, int]:
    return render_template("problem.html", problem=words), status
