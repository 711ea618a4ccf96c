"""A hospital whose EHR and archive tell names, numbers and tokens, in their answers and in the words of failures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from joserfc.jwk import ECKey
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.resources import imaging_study, patient
from model.domain import STANDARD_VIEWS
from model.phantom import PhantomExam, dicom_images, signal_for
from tests.builders import searchset
from tests.cds.builders import Json
from tests.cds.ehr.token_server import TokenServer
from tests.cds.trust.callers import EC, KeyServer
from tests.faults.front import Fault, Front
from tests.logs.told import (
    ACCESS_TOKEN,
    ALLERGY,
    ARCHIVE_PASSWORD,
    BORN,
    ODD_AGE,
    OPERATOR,
    REFERRER,
    SERIAL_NUMBER,
    WORKER_TOKEN,
    Told,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ARCHIVE_USER = "mammotrend"
SCORED, REFUSED, STRANGE, MISSING = "pt-zq77-31415926", "pt-bk88-27182818", "pt-pu99-16180339", "pt-wf55-14142135"
"""Women whose exams are scored, lack a view, carry another woman's number, and are not in the archive."""
NAMES = {
    SCORED: "Zephyrine Quixotina",
    REFUSED: "Brunhilde Köhlmeisterin",
    STRANGE: "Philippa Umbradottir",
    MISSING: "Wilhelmina Farnsworthy",
}
ACCESSION = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
DAYS = (date(2024, 3, 17), date(2026, 3, 19))


@dataclass
class Hospital:
    """Its two servers, each behind a front, and what they have told."""

    told: Told
    charts: ResourceStore
    images: DicomFolder
    ehr: Front
    pacs: Front

    def prefetch(self, patient_id: str) -> Json:
        """What a call may bring along about a woman."""
        nothing = {key: searchset() for key in ("conditions", "procedures", "orders", "observations")}
        mine = [one for one in self.charts.all("ImagingStudy") if patient_id in one["subject"]["reference"]]
        allergies = searchset(*self.charts.all("AllergyIntolerance"))
        herself = self.charts.read("Patient", patient_id)
        return {"patient": herself, "mammograms": searchset(*mine), "allergies": allergies, **nothing}


@contextmanager
def open_hospital(told: Told, key: ECKey, folder: Path) -> Iterator[Hospital]:
    """The hospital with its women; the worker's tokens are for the holder of the key."""
    charts, images = ResourceStore(), DicomFolder(folder)
    ehr = Front(told.overhearing(_ehr(charts, key)))
    pacs = Front(told.overhearing(dicomweb_app(images, ARCHIVE_USER, ARCHIVE_PASSWORD)))
    hospital = Hospital(told, charts, images, ehr, pacs)
    for number, patient_id in enumerate(NAMES):
        _admit(hospital, patient_id, f"MRN-QX-271828{number}")
    ehr.start()
    pacs.start()
    try:
        yield hospital
    finally:
        ehr.stop()
        pacs.stop()


def quoting(words: Callable[[], str], status: int) -> Fault:
    """An OperationOutcome that quotes whom it is about."""

    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        issue = {"severity": "error", "code": "exception", "diagnostics": words()}
        body = json.dumps({"resourceType": "OperationOutcome", "issue": [issue], "error": words()}).encode()
        head = [("Content-Type", "application/fhir+json"), ("Content-Length", str(len(body)))]
        start_response(f"{status} Not now", head)
        return [body]

    return lambda _app: answer


def leading_away(words: Callable[[], str]) -> Fault:
    """A redirect to another server, with whom it is about in the address."""

    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        away = f"http://localhost:9/{words().encode('ascii', 'ignore').decode().replace(' ', '/')}"
        start_response("302 Found", [("Location", away), ("Content-Length", "0")])
        return [b""]

    return lambda _app: answer


def _ehr(charts: ResourceStore, key: ECKey) -> WSGIApplication:
    """FHIR below /r4, the token endpoint at /token, the keys of the EHR's calls at /keys."""
    tokens = TokenServer([key], lambda: datetime.now(UTC))
    tokens.prefix = WORKER_TOKEN
    fhir = fhir_app(charts, [ACCESS_TOKEN, *(f"{WORKER_TOKEN}-{number}" for number in range(1, 100))])
    keys = KeyServer(EC).app()

    def key_set(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return keys({**environ, "PATH_INFO": "/set"}, start_response)

    return DispatcherMiddleware(tokens.app(), {"/r4": fhir, "/keys": key_set})


def _admit(hospital: Hospital, patient_id: str, number: str) -> None:
    told = hospital.told
    for what, value in (("a FHIR id", patient_id), ("a record number", number), *_names(patient_id)):
        told.keep(what, value)
    hospital.charts.put(patient(patient_id, NAMES[patient_id], BORN, [number]))
    if patient_id == SCORED:
        hospital.charts.put(_allergy(patient_id))
    for place, day in enumerate(DAYS if patient_id == SCORED else DAYS[:1]):
        _file(hospital, patient_id, number, day, f"{patient_id[3:]}-{place}")


def _names(patient_id: str) -> list[tuple[str, str]]:
    return [("a name", part) for part in NAMES[patient_id].split()]


def _allergy(patient_id: str) -> Json:
    reference = {"reference": f"Patient/{patient_id}"}
    return {"resourceType": "AllergyIntolerance", "id": "a1", "patient": reference, "code": {"text": ALLERGY}}


def _file(hospital: Hospital, patient_id: str, number: str, day: date, name: str) -> None:
    """An exam in the chart, and its images in the archive."""
    told = hospital.told
    on_images = told.keep("another's number", "MRN-OTHER-577215") if patient_id == STRANGE else number
    views = STANDARD_VIEWS[:3] if patient_id == REFUSED else STANDARD_VIEWS
    woman = list(NAMES).index(patient_id)
    accession = told.keep("an accession number", f"AQX{woman}-{day:%y%m%d}")
    exam = PhantomExam(900 + woman, day, signal_for(0.05), on_images, views=views, rows=256, columns=208)
    images = [_telling(image, patient_id, accession) for image in dicom_images(exam)]
    told.keep("a day of an exam", day.isoformat())
    told.keep("a study", exam.study_uid)
    told.keep("a series", str(images[0].SeriesInstanceUID))
    study = imaging_study(told.keep("an ImagingStudy", f"img-{name}"), patient_id, images[0], len(images))
    study["identifier"].append({"type": ACCESSION, "value": accession})
    hospital.charts.put(study)
    for image in images:
        if patient_id != MISSING:
            told.keep("an image", str(image.SOPInstanceUID))
            hospital.images.add(image)


def _telling(image: FileDataset, patient_id: str, accession: str) -> FileDataset:
    given, _, family = NAMES[patient_id].partition(" ")
    image.SpecificCharacterSet = "ISO_IR 192"
    # One of the names has no parts, of which a library is known to complain in its own words.
    image.PatientName = family if patient_id == SCORED else f"{family}^{given}"
    image.AccessionNumber = accession
    image.PatientBirthDate = BORN.strftime("%Y%m%d")
    image.OperatorsName, image.ReferringPhysicianName = OPERATOR, REFERRER
    image.DeviceSerialNumber = SERIAL_NUMBER
    image.add(DataElement("PatientAge", "AS", ODD_AGE, validation_mode=IGNORE))
    return image
