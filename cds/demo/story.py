"""`mammotrend demo`: open the hospital, start service and worker, score the exams, fire the hooks, show a table."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event
from typing import Any

import requests
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cds.demo.film import FilmExam, film_exams
from cds.demo.hospital import ARCHIVE_USER, Hospital, open_hospital
from cds.demo.loopback import serve
from cds.demo.patients import DemoPatient, cast
from cds.demo.resources import call_for, order_select
from cds.errors import MammoTrendError
from cds.night import Night
from cds.rescore import progress_bar
from cds.services import WebServices, night, web_services
from cds.settings import Settings, read_settings
from cds.store.tables import ScoringState
from cds.web.app import create_app
from fhir_mappings.dates import age_range_years, parse_partial_date
from fhir_mappings.imaging_studies import read_imaging_studies
from fhir_mappings.patients import read_patient
from model.domain import Assessment

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
    with _folder(folder) as place, open_hospital(place / "images") as hospital:
        with console.status("Admitting patients to the embedded hospital"):
            women, film = cast(today), list(film_exams())
            visits = _admit(hospital, women, film)
        settings = read_settings(_write_settings(hospital, place))
        with _running(hospital, settings, place) as demo:
            _score(demo, console)
            for woman in women:
                if woman.arriving:
                    hospital.arrive(woman.id, woman.arriving)
            console.print(_table(demo, visits, today))
            _explain(demo, console, film)
            if not once:
                _wait_for_ctrl_c(console)


def _admit(hospital: Hospital, women: tuple[DemoPatient, ...], film: list[FilmExam]) -> list[Visit]:
    visits = []
    for woman in women:
        hospital.admit(woman)
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
    settings = place / "mammotrend.toml"
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


SETTINGS = """\
database_url = {database_url}

[[ehrs]]
name = "{ehr}"
fhir_server = {fhir_server}
mode = "research"
access_token_file = {token_file}

[pacs]
dicomweb_root = {dicomweb_root}
username = "{user}"
password_file = {password_file}

[night]
cron = ""
"""


@contextmanager
def _running(hospital: Hospital, settings: Settings, place: Path) -> Iterator[Demo]:
    """Service in a thread, worker in a process of its own: the service never loads torch."""
    parts = web_services(settings)
    worker_log = place / "worker.log"
    command = [sys.executable, "-m", "cds.cli", "worker", "--config", str(place / "mammotrend.toml")]
    with serve(create_app(parts)) as service_url, worker_log.open("wb") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 # our own module
        try:
            yield Demo(hospital, parts, night(settings), service_url, worker, worker_log)
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def _score(demo: Demo, console: Console) -> None:
    """The night: find every exam and watch the worker score them."""
    found = demo.night.find_exams()
    if found.problems:
        raise DemoFailed(f"the hospital could not be read: {found.problems[0]}")
    store, model = demo.parts.assessor.store, demo.parts.assessor.model.key
    ends = time.monotonic() + LONGEST_SCORING_S
    with progress_bar(console) as progress:
        task = progress.add_task("Scoring exams", total=found.pending)
        while left := store.count(model, ScoringState.QUEUED):
            if demo.worker.poll() is not None or time.monotonic() > ends:
                raise DemoFailed(f"the worker stopped; its log ends: {demo.worker_log.read_text()[-500:]}")
            progress.update(task, completed=found.pending - left)
            time.sleep(0.2)
        progress.update(task, completed=found.pending)


def _table(demo: Demo, visits: list[Visit], today: date) -> Table:
    table = Table(title="order-select, fired once for each patient", show_lines=True)
    table.add_column("Patient", ratio=2)
    for heading in ("Age", "Exams", "5-year risk", "Change"):
        table.add_column(heading, no_wrap=True)
    table.add_column("Card", ratio=4)
    for visit in visits:
        cards = _fire(demo, visit)
        assessment = _assessment(demo, visit.patient_id)
        cells = (_age(demo, visit.patient_id, today), _exams(assessment), *_risks(assessment))
        table.add_row(Text(visit.name, "bold").append(f"\n{visit.shows}", "not bold dim"), *cells, cards)
    return table


def _fire(demo: Demo, visit: Visit) -> Text:
    """One real HTTP call, and the cards it brought."""
    response = requests.post(demo.service_url + SERVICE, json=visit.call, timeout=30)
    if not response.ok:
        raise DemoFailed(f"the service answered {response.status_code}: {response.text[:300]}")
    cards = response.json()["cards"]
    return Text("\n").join(map(_card, cards)) if cards else Text("no card: looked, nothing to say", "dim")


def _card(card: dict[str, Any]) -> Text:
    resources = [action["resource"] for s in card.get("suggestions", ()) for action in s["actions"]]
    offers = [OFFERS[resource["resourceType"]] for resource in resources]
    text = Text(f"{card['indicator']}: ", "bold yellow" if card["indicator"] == "warning" else "bold")
    text.append(card["summary"], "not bold default")
    return text.append(f"\noffers: {', '.join(offers)}", "not bold dim") if offers else text


OFFERS = {"ServiceRequest": "breast MRI order", "RiskAssessment": "RiskAssessment"}


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


def _exams(assessment: Assessment) -> str:
    line = assessment.trajectory
    counts = (
        (len(line.points) + len(line.apart) if line else 0, "scored"),
        (len(assessment.refused), "refused"),
        (len(assessment.pending), "queued"),
    )
    return "\n".join(f"{count} {word}" for count, word in counts if count) or "none"


def _risks(assessment: Assessment) -> tuple[str, str]:
    line = assessment.trajectory
    if line is None:
        return "-", "-"
    change = "-" if line.change is None else f"{100 * line.change:+.1f} points\nin {line.years:.1f} years"
    return f"{100 * line.latest.score.five_year:.2f} %", change


def _explain(demo: Demo, console: Console, film: list[FilmExam]) -> None:
    console.print(f"Model: {demo.parts.ehrs[0].site.demo_banner}", style="bold")
    if not film:
        console.print("The two real film exams are left out: pip install 'mammotrend[samples]' adds them.")
    console.print(f"CDS Hooks   {demo.service_url}/cds-services")
    console.print(f"FHIR        {demo.hospital.fhir_server}/metadata   (the rest needs the call's bearer token)")
    console.print(f"DICOMweb    {demo.hospital.dicomweb_root}/studies   (needs the archive's password)")


def _wait_for_ctrl_c(console: Console) -> None:
    console.print("The demo stays up. Ctrl-C ends it.")
    try:
        Event().wait()
    except KeyboardInterrupt:
        console.print("Closing.")


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    """The given folder, kept, or one that goes away with the demo."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="mammotrend-demo-") as temporary:
        yield Path(temporary)
