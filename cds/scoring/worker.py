"""The worker: finds, fetches, scores and stores queued exams, in steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from cds.errors import MammoTrendError, StudyIncomplete
from cds.pacs.archive import ImageArchive
from cds.scoring.stages import StageTimes
from cds.store.store import EVERYTHING, ScoringJob, Selection, Store
from cds.store.tables import Stage
from model.domain import STANDARD_VIEWS, ExclusionReason, RefusedExam, ScoredExam
from model.views import view_of

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=3)
"""How long a claimed exam stays with a worker that gives no sign of life."""
MOST_LOST = 3
SETTLED = timedelta(days=2)
A_DAY_AHEAD = timedelta(days=1)
"""As far as a clinic's date may be ahead of UTC; a date beyond it is wrong, and no reason to wait."""


class Prepared(Protocol):
    """An exam that is ready for the network: `model.scorer.PreparedExam`, or a fake of it."""

    @property
    def bytes_held(self) -> int:
        """How much memory its pictures take."""
        ...


class ExamScorer(Protocol):
    """What scores the images of exams: `model.scorer.Scorer`, or a fake of it."""

    batch_exams: int

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> Any:
        """The exam made ready, as Prepared, or a RefusedExam that says why it has no score. For any thread."""
        ...

    def score(self, exams: Sequence[Any]) -> list[ScoredExam | RefusedExam]:
        """The scores of what was prepared, in its order. For one thread."""
        ...


@dataclass(frozen=True)
class Ready:
    """A claimed exam whose pictures wait for the network."""

    job: ScoringJob
    exam: Prepared


class Worker:
    """The steps of scoring what is queued for one model. An exam that fails stays queued with its reason.

    Every step raises SQLAlchemyError where the store itself fails. `prepare` is for any thread, `finish` for one.
    """

    def __init__(
        self,
        store: Store,
        archive: ImageArchive,
        scorer: ExamScorer,
        model: str,
        now: Callable[[], datetime],
        *,
        check_patient_id: bool = True,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._archive, self._scorer = store, archive, scorer
        self._model, self._now = model, now
        self._check_patient_id = check_patient_id
        self._times = StageTimes(clock_s)

    @property
    def model(self) -> str:
        """The key of the model that scores."""
        return self._model

    @property
    def batch_exams(self) -> int:
        """How many exams are best scored together."""
        return self._scorer.batch_exams

    def score_next(self, due_by: datetime | None = None, selection: Selection = EVERYTHING) -> bool:
        """Take one exam that is due, or was by `due_by`, through all steps; False when there is none."""
        job = self.claim(due_by, selection)
        if job is None:
            return False
        ready = self.prepare(job)
        if ready:
            self.finish([ready])
        return True

    def claim(self, due_by: datetime | None = None, selection: Selection = EVERYTHING) -> ScoringJob | None:
        """The next exam that is due, which is then this worker's for the length of a lease."""
        return self._store.claim(self._model, self._now(), LEASE, due_by, selection)

    def keep(self, jobs: Sequence[ScoringJob]) -> None:
        """Have claimed exams stay with this worker for another lease."""
        self._store.renew(jobs, self._now(), LEASE)

    def note_times(self) -> None:
        """Write down how long the stages took since the last time."""
        self._times.write(lambda spent: self._store.add_times(self._model, self._now(), spent))

    def prepare(self, job: ScoringJob) -> Ready | None:
        """Find, fetch and check an exam and make its pictures; None where it was refused or is held."""
        with self._holding(job):
            if job.lost >= MOST_LOST:
                raise WorkersLost(f"{job.lost} workers in a row ended while they had it; see whether memory ran out")
            with self._times.of(Stage.FETCH):
                found = self._located(job)
                images = self._fetched(found)
            with self._times.of(Stage.PREPARE):
                exam = self._scorer.prepare(images, at=self._now(), performed_on=found.performed_on)
            if not isinstance(exam, RefusedExam):
                return Ready(found, exam)
            if _may_still_arrive(exam, images, self._now()):
                raise StillArriving("not all four standard views have reached the archive yet; it is tried again")
            self._close(found, exam)
        return None

    def finish(self, ready: Sequence[Ready]) -> None:
        """Score prepared exams together and store what comes of each."""
        try:
            with self._times.of(Stage.SCORE, len(ready)):
                exams = self._scorer.score([one.exam for one in ready])
        except Exception as fault:  # noqa: BLE001 # an exam's unforeseen fault must not stop the others; it stays queued
            if len(ready) > 1:  # whose fault it was shows one by one
                for one in ready:
                    self.finish([one])
                return
            self._hold(ready[0].job, fault)
            return
        for one, exam in zip(ready, exams, strict=True):
            self._close(one.job, exam)

    def _located(self, job: ScoringJob) -> ScoringJob:
        """The job with the study that its exam is."""
        if job.study_uid is not None:
            return job
        study = self._archive.find_by_accession(job.accession_number or "", job.patient_identifiers)
        self._store.resolve(job, study.study_uid, study.root)
        return replace(job, study_uid=study.study_uid, dicomweb_root=study.root)

    def _fetched(self, job: ScoringJob) -> list[Dataset]:
        assert job.study_uid is not None  # noqa: S101 # it has been located
        images = self._archive.retrieve_study(job.study_uid, job.dicomweb_root)
        if self._check_patient_id:
            _check_patient(images, job.patient_identifiers)
        _check_study(images, job.study_uid)
        return images

    @contextmanager
    def _holding(self, job: ScoringJob) -> Iterator[None]:
        """Whatever goes wrong with one exam leaves it queued with the reason."""
        try:
            yield
        except SQLAlchemyError:
            raise
        except Exception as fault:  # noqa: BLE001 # one exam's unforeseen fault must not stop the others
            self._hold(job, fault)

    def _hold(self, job: ScoringJob, fault: Exception) -> None:
        if isinstance(fault, MammoTrendError):
            self._store.save_failure(job, str(fault), self._now())
            log.warning("an exam is held: %s: %s", type(fault).__name__, fault)
        else:
            self._store.save_failure(job, f"an unforeseen fault ({type(fault).__name__})", self._now())
            log.error("an exam is held: %s", type(fault).__name__)

    def _close(self, job: ScoringJob, exam: ScoredExam | RefusedExam) -> None:
        with self._times.of(Stage.STORE):
            if isinstance(exam, ScoredExam):
                self._store.save_score(job, exam)
                return
            self._store.save_refusal(job, exam, self._now())
        log.info("an exam is refused: %s", ", ".join(sorted({exclusion.reason for exclusion in exam.exclusions})))


class WorkersLost(MammoTrendError):
    """An exam at which workers end, one after the other; it is tried again more seldom."""


class StillArriving(MammoTrendError):
    """A view is missing from an exam so recent that it may be on its way."""


def _may_still_arrive(exam: RefusedExam, images: Sequence[Dataset], now: datetime) -> bool:
    """Archives list a study from its first image on: a missing view is believed only once the exam has settled.

    A view that some image shows, only not a usable one, is not on its way; nor are those of a study without any view.
    """
    if exam.performed_on is None or not -A_DAY_AHEAD <= now.date() - exam.performed_on < SETTLED:
        return False
    missing = any(exclusion.reason is ExclusionReason.MISSING_VIEW for exclusion in exam.exclusions)
    shown = {view_of(image) for image in images} & set(STANDARD_VIEWS)
    return missing and 0 < len(shown) < len(STANDARD_VIEWS)


class WrongPatient(MammoTrendError):
    """The images carry a patient ID that the EHR does not list for this patient."""


def _check_patient(images: Sequence[Dataset], identifiers: Sequence[str]) -> None:
    """Images that name another patient are held. Where either side names nobody, there is nothing to compare."""
    named = {str(image.PatientID).strip() for image in images if image.get("PatientID")}
    if identifiers and named - set(identifiers):
        raise WrongPatient(
            "its images carry a patient ID that the EHR does not list for this patient; correct the PACS or the EHR, "
            "or set imaging.check_patient_id = false where the two number their patients differently"
        )


def _check_study(images: Sequence[Dataset], study_uid: str) -> None:
    """The score is stored under the study that was asked for, so nothing else may be in it."""
    if any(image.get("StudyInstanceUID") != study_uid for image in images):
        raise StudyIncomplete("the archive sent images of another study; ask its administrator")
