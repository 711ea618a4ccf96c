"""An exam from local files has the numbers that the service has of it, from an archive, through pipeline and store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Event

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import JPEGLSLossless
from sqlalchemy import Engine

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.local_exam import score_files
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process
from cds.scoring.site_scorer import site_scorer
from cds.settings import ScoringSettings, Settings
from cds.store.outcomes import Outcome
from cds.store.store import Store
from model.domain import RefusedExam, ScoredExam
from model.phantom import BOREALIS, PhantomExam, dicom_images, file_bytes
from model.scorer import Scorer
from tests.cds.builders import EHR, NOW, PATIENT, Clock, new_exam

EXAMS = (
    PhantomExam(7_100_001, date(2026, 1, 2), 0.2, rows=256, columns=208),
    PhantomExam(
        7_100_002, date(2026, 2, 2), 0.9, rows=300, columns=220, vendor=BOREALIS, transfer_syntax=JPEGLSLossless
    ),
)


@dataclass
class Service:
    """What a worker has of exams: an archive on loopback, a scorer, and a store."""

    images: DicomFolder
    root: str
    scorer: Scorer
    store: Store

    def outcome(self, images: Sequence[FileDataset]) -> Outcome:
        """What is on record of the exam after the service has tried it."""
        for image in images:
            self.images.add(image)
        archive, room = Archives([DicomWebArchive(ArchiveRoot(self.root))]), ByteBudget(1 << 30)
        model = self.scorer.card.version.key
        self.store.register([new_exam(str(images[0].StudyInstanceUID))], model, NOW)
        line = in_process(self.store, archive, self.scorer, model, Clock(), room, check_patient_id=False)
        line.drain(Event(), NOW)
        (found,) = self.store.exams_of(EHR, PATIENT, model)
        return found


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return site_scorer(Settings(scoring=ScoringSettings(device="cpu")))


@pytest.fixture
def service(engine: Engine, scorer: Scorer, tmp_path: Path) -> Iterator[Service]:
    images = DicomFolder(tmp_path / "archive")
    with serve(dicomweb_app(images), threads=4) as root:
        yield Service(images, root, scorer, Store(engine))


def files_of(images: Sequence[FileDataset], folder: Path) -> list[Path]:
    """The images of an exam as files."""
    files = [folder / f"{number}.dcm" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(file_bytes(image))
    return files


@pytest.mark.parametrize("exam", EXAMS, ids=["uncompressed", "compressed and inverted"])
def test_an_exam_from_local_files_has_the_services_numbers_to_the_last_bit(
    exam: PhantomExam, scorer: Scorer, service: Service, tmp_path: Path
) -> None:
    images = list(dicom_images(exam))

    told, stored = score_files(files_of(images, tmp_path), scorer, gate=True), service.outcome(images)

    assert isinstance(stored, ScoredExam)
    assert tuple(told["risk_raw"].values()) == stored.score.raw
    assert tuple(told["risk_calibrated"].values()) == stored.score.calibrated
    assert told["model"]["version"] == stored.score.model.key
    assert [image["sha256"] for image in told["images"]] == [image.sha256 for image in stored.provenance.images]
    assert (told["exam_date"], told["warnings"]) == (stored.performed_on.isoformat(), list(stored.warnings))


def test_an_exam_from_local_files_is_refused_for_the_services_reasons(
    scorer: Scorer, service: Service, tmp_path: Path
) -> None:
    images = list(dicom_images(EXAMS[0]))
    images[2].BreastImplantPresent = "YES"

    told, stored = score_files(files_of(images, tmp_path), scorer, gate=True), service.outcome(images)

    assert isinstance(stored, RefusedExam)
    assert [(one["reason"], one["sentence"]) for one in told["refused"]] == [
        (exclusion.reason.value, exclusion.sentence) for exclusion in stored.exclusions
    ]
