"""The embedded hospital: its two servers, and filling them with patients and images."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.film import FilmExam, rewritten
from cds.demo.loopback import serve
from cds.demo.patients import DemoPatient
from cds.demo.resources import draft_order, imaging_study, patient
from model.phantom import PhantomExam, dicom_images

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ARCHIVE_USER = "mammotrend"
NEARLINE_S = 4.0
"""How long the archive takes to bring one study back from its slow store: longer than a hook waits."""


@dataclass(frozen=True)
class Hospital:
    """A running hospital. `token` opens its FHIR server, `archive_password` its images."""

    fhir_server: str
    dicomweb_root: str
    token: str
    archive_password: str
    charts: ResourceStore
    images: DicomFolder
    nearline: set[str]

    def admit(self, woman: DemoPatient, today: date) -> None:
        """Put one of the cast and her mammograms on record; her orders were drafted today."""
        dicom_ids = {exam.patient_id for exam in (*woman.exams, *filter(None, [woman.arriving]))}
        self.charts.put(patient(woman.id, woman.name, woman.birth_date, dicom_ids))
        for exam in woman.exams:
            self.receive(woman.id, list(dicom_images(exam)))
        for code in woman.drafted_codes:
            self.charts.create(draft_order(woman.id, code) | {"authoredOn": today.isoformat()})

    def arrive(self, woman_id: str, exam: PhantomExam) -> None:
        """An exam of today, which the archive brings back only slowly."""
        self.nearline.add(exam.study_uid)
        self.receive(woman_id, list(dicom_images(exam)))

    def admit_film(self, exam: FilmExam) -> tuple[str, str]:
        """A real exam twice: as published, and with rewritten headers. Returns the two patients' ids."""
        published, joined = f"film-{exam.case}", f"film-{exam.case}-rewritten"
        self.charts.put(patient(published, f"Film {exam.case}", None, (str(view.PatientID) for view in exam.views)))
        for view in exam.views:
            self.receive(published, [view])
        self.charts.put(patient(joined, f"Film {exam.case}, rewritten", None, [joined]))
        self.receive(joined, rewritten(exam, joined))
        return published, joined

    def receive(self, patient_id: str, images: Sequence[Dataset]) -> None:
        """File a study in the archive, then in the chart."""
        for image in images:
            self.images.add(image)
        study_uid = str(images[0].StudyInstanceUID)
        self.charts.put(imaging_study(f"study-{study_uid[-24:]}", patient_id, images[0], len(images)))


@contextmanager
def open_hospital(folder: Path) -> Iterator[Hospital]:
    """Start both servers on free loopback ports, with fresh secrets; images are kept in `folder`."""
    token, password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    charts, images = ResourceStore(), DicomFolder(folder)
    nearline: set[str] = set()
    archive = _slow(dicomweb_app(images, ARCHIVE_USER, password), nearline, time.sleep)
    with serve(fhir_app(charts, [token])) as fhir_server, serve(archive) as dicomweb_root:
        yield Hospital(fhir_server, dicomweb_root, token, password, charts, images, nearline)


def _slow(app: WSGIApplication, studies: set[str], sleep: Callable[[float], Any]) -> WSGIApplication:
    """The archive with a slow store behind it: the first retrieval of these studies waits."""

    def slowed(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        path = environ.get("PATH_INFO", "")
        waiting = next((study for study in studies if f"/{study}" in path), None)
        if waiting is not None:
            studies.discard(waiting)
            sleep(NEARLINE_S)
        return app(environ, start_response)

    return slowed
