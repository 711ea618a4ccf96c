"""Who is a patient of which hospital, and the truth about her: no two women share a date, a study or an age."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import torch
from pydicom.dataset import FileDataset

from cds.demo.dicom_folder import DicomFolder
from cds.demo.resources import imaging_study, patient
from fhir_mappings.dates import years_after
from model.card import DEMO_MODEL
from model.domain import ScoredExam
from model.phantom import AURORA, PhantomExam, dicom_images, signal_for
from model.scorer import Scorer
from tests.builders import searchset
from tests.cds.builders import Json

HOSPITALS = 20
EXAMS_EACH = (3, 1, 1)
"""How many exams the first, second and third woman of every hospital has had."""
MRI_CODE = "77049"


@dataclass(frozen=True)
class Exam:
    """One exam and its true five yearly risks (fractions), as the model itself reads them from the images."""

    study_uid: str
    resource: str
    day: date
    risks: tuple[float, ...]


@dataclass(frozen=True)
class Woman:
    """A patient of one hospital. Her ids and her resources' ids are those of a woman in every other one as well."""

    hospital: int
    place: int
    age: int
    exams: tuple[Exam, ...]
    studies: tuple[Json, ...]
    mri_ordered_on: date | None

    @property
    def id(self) -> str:
        """Her FHIR id."""
        return f"p{self.place}"

    @property
    def device(self) -> str:
        """The mammography unit of her hospital, as cards call it."""
        return device(self.hospital)

    @property
    def chart(self) -> tuple[Json, ...]:
        """Her resources on the hospital's FHIR server."""
        born = years_after(_today(), -self.age) - timedelta(days=100)
        herself = patient(self.id, f"Woman H{self.hospital:02}P{self.place}", born, [f"MRN-{self.place}"])
        return (herself, *self.studies, *self._orders())

    def prefetch(self) -> Json:
        """All that a call may bring along about her."""
        nothing = {key: searchset() for key in ("conditions", "procedures", "allergies", "observations")}
        mine = {"mammograms": searchset(*self.studies), "orders": searchset(*self._orders())}
        return {"patient": self.chart[0], **mine, **nothing}

    def _orders(self) -> Iterator[Json]:
        if self.mri_ordered_on is not None:
            yield {
                "resourceType": "ServiceRequest",
                "id": f"mri-{self.place}",
                "status": "active",
                "intent": "order",
                "subject": {"reference": f"Patient/{self.id}"},
                "authoredOn": self.mri_ordered_on.isoformat(),
                "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": MRI_CODE}]},
            }


def device(hospital: int) -> str:
    """The name of a hospital's mammography unit."""
    return f"Aurora H{hospital:02}"


def admit_women(images: DicomFolder, seed: int) -> tuple[Woman, ...]:
    """The women of all hospitals, and their images in the one archive that the hospitals share."""
    chance, scorer = random.Random(seed), Scorer(DEMO_MODEL, "cpu")  # noqa: S311 # no secret
    places = [(hospital, place) for hospital in range(HOSPITALS) for place in range(len(EXAMS_EACH))]
    with _one_thread():
        return tuple(_admitted(hospital, place, images, chance, scorer) for hospital, place in places)


@contextmanager
def _one_thread() -> Iterator[None]:
    """On a machine that is busy, several threads of a network mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _admitted(hospital: int, place: int, images: DicomFolder, chance: random.Random, scorer: Scorer) -> Woman:
    slot = hospital * len(EXAMS_EACH) + place
    visits = [_visit(slot, hospital, place, years, chance) for years in range(EXAMS_EACH[place])]
    pictures = [list(dicom_images(visit)) for visit in visits]
    for image in (image for exam in pictures for image in exam):
        images.add(image)
    exams = tuple(_scored(exam, place, number, scorer) for number, exam in enumerate(pictures))
    listed = tuple(
        imaging_study(exam.resource.removeprefix("ImagingStudy/"), f"p{place}", views[0], len(views))
        for exam, views in zip(exams, pictures, strict=True)
    )
    ordered = _today() - timedelta(days=200 + slot) if slot % 4 == 0 else None
    return Woman(hospital, place, 36 + (hospital + 7 * place) % 40, exams, listed, ordered)


def _visit(slot: int, hospital: int, place: int, years: int, chance: random.Random) -> PhantomExam:
    risk = 0.011 * 15 ** chance.random()
    day = _today() - timedelta(days=30 + slot + 366 * years)
    unit = replace(AURORA, model_name=device(hospital))
    return PhantomExam(1000 + slot, day, signal_for(risk), f"MRN-{place}", unit, rows=256, columns=208)


def _scored(views: list[FileDataset], place: int, number: int, scorer: Scorer) -> Exam:
    scored = scorer.score_exam(views, at=datetime.now(UTC))
    assert isinstance(scored, ScoredExam)
    return Exam(scored.study_uid, f"ImagingStudy/s{place}-{number}", scored.performed_on, scored.score.calibrated)


def _today() -> date:
    return datetime.now(UTC).date()
