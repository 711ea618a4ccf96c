"""A whole site on loopback: the embedded hospital, our own parts before it, and only the scorer a fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Event

from pydicom import dcmread
from rich.console import Console
from sqlalchemy import Engine

from cds.delivery.clerk import Clerk
from cds.delivery.outbox import ChartDelivery, Outbox
from cds.delivery.reporting import ReportedEhr, Reporter
from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.resources import imaging_study, patient
from cds.ehr.client import FhirEhr
from cds.ehr.exchange import TokenSource
from cds.nightly.ehr_changes import EhrChanges, NightEhr
from cds.nightly.night import Night
from cds.nightly.rescore import SiteRun
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process
from cds.scoring.pipeline import STUDY_BYTES, ScoringPipeline
from cds.services import NIGHT_PAGES, NIGHT_PATIENCE
from cds.store.assessments import AssessmentRecords
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords, RunSummary
from cds.store.store import Store
from cds.store.tables import Destination
from model.domain import STANDARD_VIEWS, ModelVersion, Provenance, RefusedExam, ScoredExam, SourceImage
from tests.builders import screening_exam
from tests.cds.builders import EHR, MODEL, Clock, join, scored, scored_by
from tests.cds.scoring.fakes import FakePrepared, FakeScorer
from tests.faults.books import scored_everything, unbalanced
from tests.faults.front import Front

TOKEN = "the-nights-token"
EHR_TIMEOUT_S = 1.0
STUDY_TIMEOUT_S = 2.5
LONG_ENOUGH = timedelta(hours=7)
"""More than the longest wait before something is tried again."""


@dataclass
class Site:
    """The hospital's two servers, each behind a front, and what runs on our side of them.

    `access` is what the night and the outbox present to the EHR.
    """

    engine: Engine
    charts: ResourceStore
    images: DicomFolder
    ehr: Front
    pacs: Front
    clock: Clock
    accepted: list[str]
    scorer: FakeScorer = field(default_factory=FakeScorer)
    access: str | TokenSource = TOKEN
    waited_s: list[float] = field(default_factory=list)

    def admit(self, patient_id: str, *study_uids: str, dicom_id: str | None = None) -> None:
        """A woman and her studies, in the archive and in the chart."""
        self.charts.put(patient(patient_id, "Test Woman", None, [f"MRN-{patient_id}"]))
        for uid in study_uids:
            views = screening_exam(uid, rows=8, columns=8, patient_id=dicom_id or f"MRN-{patient_id}")
            for view in views:
                self.images.add(view)
            self.charts.put(imaging_study(f"study-{uid}", patient_id, views[0], len(views)))

    def name_images(self, study_uid: str, dicom_id: str) -> None:
        """What the archive's administrator does with images that carry a wrong patient ID."""
        for one in self.images.instances(study_uid):
            image = dcmread(one.path)
            image.PatientID = dicom_id
            self.images.add(image)

    def night(self) -> RunSummary:
        """The nightly run, as `mammotrend rescore` does it."""
        night, pipeline, clerk = self._night(), self.pipeline(), self.clerk()
        return SiteRun(night, pipeline, clerk, Console(file=StringIO())).run(Event())

    def rescore(self, model: ModelVersion, meanwhile: Callable[[], None] = lambda: None) -> RunSummary:
        """The run of a model that is not the site's, as `mammotrend rescore --model` does it: it looks nowhere.

        What happens `meanwhile` does so while its first exam is scored.
        """
        runs, process = RunRecords(self.engine), f"another process with {model.key}"
        night = Night([], Store(self.engine), runs, model.key, self.clock, process)
        reporter = Reporter(AssessmentRecords(self.engine), model, join, {EHR: ReportedEhr()}, self.clock)
        pipeline = self.pipeline(model.key, _AnotherModel(self.scorer, model, meanwhile))
        clerk = Clerk(reporter, self._outbox())
        return SiteRun(night, pipeline, clerk, Console(file=StringIO())).run(Event())

    def work(self) -> None:
        """What worker and clerk have to do now, without any night."""
        self.pipeline().drain(Event(), self.clock())
        self.write()

    def write(self) -> None:
        """What the clerk has to do now."""
        clerk = self.clerk()
        while clerk.work_next():
            pass

    def later(self, by: timedelta = LONG_ENOUGH) -> None:
        """Time goes by, and worker and clerk go on."""
        self.clock.advance(by)
        self.work()

    def pipeline(self, model: str = MODEL.key, scorer: FakeScorer | None = None) -> ScoringPipeline:
        """The scoring."""
        root = ArchiveRoot(
            self.pacs.url, whole_timeout_s=STUDY_TIMEOUT_S, read_timeout_s=STUDY_TIMEOUT_S, retries=1, backoff_s=0
        )
        archive = Archives([DicomWebArchive(root)])
        budget = ByteBudget(2 * STUDY_BYTES)
        return in_process(
            Store(self.engine),
            archive,
            scorer or self.scorer,
            model,
            self.clock,
            budget,
            fetchers=2,
            store_down_s=0.05,
        )

    def clerk(self) -> Clerk:
        """What writes."""
        told = {EHR: ReportedEhr(destinations=frozenset({Destination.CHART}))}
        reporter = Reporter(AssessmentRecords(self.engine), MODEL, join, told, self.clock)
        return Clerk(reporter, self._outbox())

    def _outbox(self) -> Outbox:
        chart = ChartDelivery({EHR: self._open_ehr})
        return Outbox(OutboxRecords(self.engine), {Destination.CHART: chart}, self.clock)

    def _night(self) -> Night:
        store, runs = Store(self.engine), RunRecords(self.engine)
        changes = EhrChanges([NightEhr(EHR, self._open_ehr)], store, runs, MODEL.key, self.clock)
        return Night([changes], store, runs, MODEL.key, self.clock, "this process")

    def _open_ehr(self) -> FhirEhr:
        return FhirEhr(
            self.ehr.url,
            self.access,
            EHR_TIMEOUT_S,
            wait=self.waited_s.append,
            max_pages=NIGHT_PAGES,
            patience=NIGHT_PATIENCE,
        )

    def unbalanced(self) -> list[str]:
        """What is not right in the books."""
        return unbalanced(self.engine, self.charts)

    def unfinished(self) -> list[str]:
        """What is not right in the books, or not done yet."""
        return [*self.unbalanced(), *scored_everything(self.engine, self.charts)]

    def held(self) -> dict[str | None, int]:
        """How many exams wait, by the reason."""
        return Store(self.engine).queued(MODEL.key)


@contextmanager
def open_site(engine: Engine, folder: Path, tokens: Sequence[str] = (TOKEN,)) -> Iterator[Site]:
    """A site without patients."""
    clock, accepted = Clock(), list(tokens)
    charts, images = ResourceStore(clock), DicomFolder(folder)
    hospital = fhir_app(charts, accepted)
    hospital.extensions["tokens"] = accepted  # the same list, so that a token can end
    ehr, pacs = Front(hospital), Front(dicomweb_app(images))
    ehr.start()
    pacs.start()
    try:
        yield Site(engine, charts, images, ehr, pacs, clock, accepted)
    finally:
        ehr.stop()
        pacs.stop()


class _AnotherModel(FakeScorer):
    """Refuses what a scorer refuses, and scores with a model of its own."""

    def __init__(self, scorer: FakeScorer, model: ModelVersion, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self.answers, self._model, self._meanwhile = scorer.answers, model, [meanwhile]

    def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
        while self._meanwhile:
            self._meanwhile.pop()()
        return [scored_by(self._model, exam.study_uid, 0.04, scored_at=exam.at) for exam in exams]


class _OtherImages(FakeScorer):
    """Finds other pixels in every study than before, and a higher risk."""

    def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
        provenance = Provenance(images=(SourceImage(STANDARD_VIEWS[0], "1.2.77", "0" * 64),))
        return [scored(exam.study_uid, 0.033, scored_at=exam.at, provenance=provenance) for exam in exams]


def other_images() -> FakeScorer:
    """A scorer for studies whose images were replaced."""
    return _OtherImages()
