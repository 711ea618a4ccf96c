"""`mammotrend demo`: open the hospital, start service and worker, score the exams, fire the hooks, show a table."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console

from cds.demo.ehr_page.app import Screen, ehr_app
from cds.demo.ehr_page.decision_support import Access, CdsHooks
from cds.demo.ehr_page.desk import Desk
from cds.demo.film import CREDITS, FilmExam, film_exams
from cds.demo.hospital import ARCHIVE_USER, Hospital, open_hospital
from cds.demo.loopback import serve, take_place
from cds.demo.patients import DemoPatient, cast
from cds.demo.resources import call_for, order_select
from cds.demo.table import Row, cards_text, show
from cds.demo.worker_process import worker_process
from cds.ehr.client import FhirEhr
from cds.errors import MammoTrendError
from cds.nightly.night import Night
from cds.nightly.rescore import progress_bar
from cds.origins import SameOriginSession
from cds.services import WebServices, card_links, web_services
from cds.settings import Settings, read_settings
from cds.web.app import Front, create_app
from cds.web.monitors import Monitors
from cds.worker_services import site_night
from fhir_mappings.dates import age_range_years, parse_partial_date
from fhir_mappings.imaging_studies import read_imaging_studies
from fhir_mappings.patients import read_patient
from hooks.percentages import percent, points
from model.domain import Assessment, Trajectory

EHR = "demo"
SERVICE = "/cds-services/breast-risk-order-select"
LONGEST_SCORING_S = 300.0


class DemoFailed(MammoTrendError):
    """A part of the demo did not do its work."""


@dataclass(frozen=True)
class Visit:
    """One line of the table: a call and what it is about."""

    patient_id: str
    name: str
    shows: str
    call: dict[str, Any]


@dataclass(frozen=True)
class Demo:
    """The running parts."""

    hospital: Hospital
    parts: WebServices
    night: Night
    service_url: str
    worker: subprocess.Popen[bytes]
    worker_log: Path


def run_demo(console: Console, *, once: bool, folder: Path | None) -> None:
    """The whole story; with `once` it ends after the table, otherwise on Ctrl-C."""
    today = datetime.now(UTC).date()
    with _ended_by_signals(), _folder(folder) as place, open_hospital(place / "images") as hospital:
        with console.status("Admitting patients to the embedded hospital"):
            women, film = cast(today), list(film_exams())
            visits = _admit(hospital, women, film, today)
        settings = read_settings(_write_settings(hospital, place), environment=False)
        with (
            _running(hospital, settings, place) as demo,
            nullcontext(None) if once else _screen(demo, visits, CREDITS if film else "") as address,
        ):
            _invite(address, console)
            _score(demo, console)
            for woman in women:
                if woman.arriving:
                    hospital.arrive(woman.id, woman.arriving)
            show([_row(demo, visit, today) for visit in visits], console)
            _explain(demo, console, film)
            if not once:
                _tell_addresses(demo, console)
                _invite(address, console)
                _wait_for_ctrl_c(console)


def _admit(hospital: Hospital, women: tuple[DemoPatient, ...], film: list[FilmExam], today: date) -> list[Visit]:
    visits = []
    for woman in women:
        hospital.admit(woman, today)
        visits.append(Visit(woman.id, woman.name, woman.shows, call_for(woman, hospital.fhir_server, hospital.token)))
    for exam in film:
        for patient_id, (ending, shows) in zip(hospital.admit_film(exam), FILM_LINES, strict=True):
            call = order_select(patient_id, hospital.fhir_server, hospital.token)
            visits.append(Visit(patient_id, f"Film {exam.case}{ending}", shows, call))
    return visits


FILM_LINES = (
    ("", "real film exam as published: the gate refuses it"),
    (
        ", rewritten",
        "the same with its headers rewritten into one study: scored, for research; the number means nothing",
    ),
)


def _write_settings(hospital: Hospital, place: Path) -> Path:
    """The settings file that a site would write, secrets in files of their own."""
    token_file, password_file = place / "ehr-token", place / "archive-password"
    for file, secret in ((token_file, hospital.token), (password_file, hospital.archive_password)):
        file.touch(mode=0o600)
        file.write_text(secret, encoding="utf-8")
    settings = place / SETTINGS_FILE
    values = {
        "database_url": f"sqlite:///{place / 'mammotrend.sqlite'}",
        "fhir_server": hospital.fhir_server,
        "token_file": str(token_file),
        "dicomweb_root": hospital.dicomweb_root,
        "password_file": str(password_file),
    }
    quoted = {name: json.dumps(value) for name, value in values.items()}  # JSON's strings are TOML's
    settings.write_text(SETTINGS.format(ehr=EHR, user=ARCHIVE_USER, **quoted), encoding="utf-8")
    return settings


SETTINGS_FILE = "mammotrend.toml"
SETTINGS = """\
database_url = {database_url}

[[ehrs]]
name = "{ehr}"
fhir_server = {fhir_server}
mode = "research"
access_token_file = {token_file}

[[pacs]]
name = "demo"
dicomweb_root = {dicomweb_root}
username = "{user}"
password_file = {password_file}

[service]
trust = "demo"

[night]
cron = ""
"""


@contextmanager
def _running(hospital: Hospital, settings: Settings, place: Path) -> Iterator[Demo]:
    """Service in a thread, worker in a process of its own: the service never loads torch."""
    listening, address = take_place()
    parts = web_services(settings, links=card_links(settings, address))
    log = place / "worker.log"
    # On loopback only, and of invented patients: anybody may look.
    app = create_app(parts, Front(monitors=Monitors()))
    with serve(app, at=listening) as service_url, worker_process(place / SETTINGS_FILE, log) as worker:
        yield Demo(hospital, parts, site_night(settings), service_url, worker, log)


@contextmanager
def _screen(demo: Demo, visits: list[Visit], image_credits: str) -> Iterator[str]:
    """The EHR's screen, on a port of its own."""
    hospital = demo.hospital
    with FhirEhr(hospital.fhir_server, hospital.token) as ehr:
        adviser = CdsHooks(demo.service_url, ehr, Access(hospital.fhir_server, hospital.token))
        stories = {visit.patient_id: visit.shows for visit in visits}
        screen = Screen(ehr, hospital.images, Desk(ehr, adviser), stories, image_credits)
        with serve(ehr_app(screen)) as address:
            yield address


def _invite(address: str | None, console: Console) -> None:
    if address is not None:
        console.print(f"The demo EHR: open {address}/")


def _score(demo: Demo, console: Console) -> None:
    """The night: find every exam and watch the worker score them."""
    summary = demo.night.run(lambda started: _watch(demo, started, console))
    if summary.problems:
        raise DemoFailed(f"the hospital could not be read: {summary.problems[0]}")


def _watch(demo: Demo, started: datetime, console: Console) -> None:
    store, model = demo.night.store, demo.night.model
    total, ends = store.untried(model, started), time.monotonic() + LONGEST_SCORING_S
    with progress_bar(console) as progress:
        task = progress.add_task("Scoring exams", total=total)
        while left := store.untried(model, started):
            if demo.worker.poll() is not None or time.monotonic() > ends:
                raise DemoFailed(f"the worker stopped; its log ends: {demo.worker_log.read_text()[-500:]}")
            progress.update(task, completed=total - left)
            time.sleep(0.2)
        progress.update(task, completed=total)


def _row(demo: Demo, visit: Visit, today: date) -> Row:
    cards = cards_text(_fire(demo, visit))
    assessment = _assessment(demo, visit.patient_id)
    age, exams = _age(demo, visit.patient_id, today), _exams(assessment)
    threshold = demo.parts.ehrs[0].site.policy.threshold
    return Row(visit.name, visit.shows, age, exams, *_risks(assessment, threshold), cards)


def _fire(demo: Demo, visit: Visit) -> list[dict[str, Any]]:
    """One real HTTP call; the cards it brought."""
    with SameOriginSession() as session:
        response = session.post(demo.service_url + SERVICE, json=visit.call, timeout=30)
    if not response.ok:
        raise DemoFailed(f"the service answered {response.status_code}: {response.text[:300]}")
    cards: list[dict[str, Any]] = response.json()["cards"]
    return cards


def _assessment(demo: Demo, patient_id: str) -> Assessment:
    """What the store knows of the patient's exams, read as the service reads it."""
    charts = demo.hospital.charts
    patient = read_patient(charts.read("Patient", patient_id), patient_id)
    studies = [s for s in charts.all("ImagingStudy") if s["subject"]["reference"] == f"Patient/{patient_id}"]
    exams = read_imaging_studies(studies, patient_id)
    return demo.parts.assessor.assess(EHR, patient, exams, wait_s=0, urgent=False)


def _age(demo: Demo, patient_id: str, today: date) -> str:
    born = parse_partial_date((demo.hospital.charts.read("Patient", patient_id) or {}).get("birthDate"))
    return str(age_range_years(born, today)[0]) if born else "unknown"


def _exams(assessment: Assessment) -> list[str]:
    line = assessment.trajectory
    counts = (
        (len(line.exams) if line else 0, "scored"),
        (len(assessment.refused), "refused"),
        (len(assessment.pending), "queued"),
    )
    return [f"{count} {word}" for count, word in counts if count] or ["none"]


def _risks(assessment: Assessment, threshold: float) -> tuple[str, str]:
    line = assessment.trajectory
    if line is None or not line.points:
        return "-", "-"
    return percent(line.latest.score.five_year, beside=threshold), _change(line)


def _change(line: Trajectory) -> str:
    if line.change is None:
        return "-"
    if line.change_is_measurable is False:
        return f"no measurable change in {line.years:.1f} years"
    return f"{points(line.change)} points in {line.years:.1f} years"


def _explain(demo: Demo, console: Console, film: list[FilmExam]) -> None:
    console.print(f"Model: {demo.parts.ehrs[0].site.demo_banner}", style="bold")
    if not film:
        # Brackets are markup to the console.
        console.print("The two real film exams are left out; this adds them: " + ADD_FILM, markup=False)


def _tell_addresses(demo: Demo, console: Console) -> None:
    console.print(f"CDS Hooks   {demo.service_url}/cds-services")
    console.print(f"Operations  {demo.service_url}/operations   (and /metrics, /readyz)")
    console.print(f"FHIR        {demo.hospital.fhir_server}/metadata   (the rest needs the call's bearer token)")
    console.print(f"DICOMweb    {demo.hospital.dicomweb_root}/studies   (needs the archive's password)")


ADD_FILM = "pip install -e '.[samples]' (as `make demo` does)"


def _wait_for_ctrl_c(console: Console) -> None:
    console.print("The demo stays up. Ctrl-C ends it.")
    try:
        Event().wait()
    except KeyboardInterrupt:
        console.print("Closing.")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End as on Ctrl-C also when told to or when the terminal is closed, so that all that was started ends too."""
    ending = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, signal.default_int_handler) for one in ending}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """The given folder, kept, or one that goes away with the demo."""
    if folder is not None:
        yield _made(folder)
        return
    with tempfile.TemporaryDirectory(prefix="mammotrend-demo-") as temporary:
        yield Path(temporary)


def _made(folder: Path) -> Path:
    """A folder with nothing in it: what lies there may be a site's, or an earlier demo's with other exams."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise DemoFailed(f"the folder {str(folder)!r} is not empty; name a new one, or remove it first")
    except OSError as e:
        raise DemoFailed(f"the folder {str(folder)!r} cannot be used ({e.strerror})") from e
    return folder.resolve()
