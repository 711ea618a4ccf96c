"""The worker: takes queued exams one by one, fetches, scores and stores them. The only part that needs torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from threading import Event
from typing import Protocol

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from cds.errors import MammoTrendError, StudyIncomplete
from cds.pacs.archive import ImageArchive
from cds.store.store import ScoringJob, Store
from model.domain import STANDARD_VIEWS, ExclusionReason, RefusedExam, ScoredExam
from model.views import view_of

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)
IDLE_S = 0.2
SETTLED = timedelta(days=2)
A_DAY_AHEAD = timedelta(days=1)
"""As far as a clinic's date may be ahead of UTC; a date beyond it is wrong, and no reason to wait."""


class ExamScorer(Protocol):
    """What scores the images of an exam: `model.scorer.Scorer`, or a fake of it."""

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        """The exam's score, or why it has none."""
        ...


class Worker:
    """Scores what is queued for one model. An exam that fails stays queued with its reason."""

    def __init__(
        self,
        store: Store,
        archive: ImageArchive,
        scorer: ExamScorer,
        model: str,
        now: Callable[[], datetime],
        *,
        check_patient_id: bool = True,
        store_down_s: float = 5.0,
    ) -> None:
        self._store, self._archive, self._scorer = store, archive, scorer
        self._model, self._now = model, now
        self._check_patient_id, self._store_down_s = check_patient_id, store_down_s

    def run(self, stop: Event) -> None:
        """Score until told to stop; the exam in hand is finished first. A database that is down is waited for."""
        log.info("scoring with %s", self._model)
        while not stop.is_set():
            try:
                wait_s = 0.0 if self.score_next() else IDLE_S
            except SQLAlchemyError as fault:
                log.error("the store failed: %s", type(fault).__name__)
                wait_s = self._store_down_s
            stop.wait(wait_s)

    def score_next(self, due_by: datetime | None = None) -> bool:
        """Score one exam that is due, or was by `due_by`; False when there is none.

        Raises SQLAlchemyError where the store itself fails.
        """
        job = self._store.claim(self._model, self._now(), LEASE, due_by)
        if job is None:
            return False
        try:
            self._score(job)
        except MammoTrendError as problem:
            self._store.save_failure(job, str(problem), self._now())
            log.warning("an exam is held: %s: %s", type(problem).__name__, problem)
        except Exception as fault:  # noqa: BLE001 # one exam's unforeseen fault must not stop the others; it stays queued
            self._store.save_failure(job, f"an unforeseen fault ({type(fault).__name__})", self._now())
            log.error("an exam is held: %s", type(fault).__name__)
        return True

    def _score(self, job: ScoringJob) -> None:
        images = self._archive.retrieve_study(job.study_uid, job.dicomweb_root)
        if self._check_patient_id:
            _check_patient(images, job.patient_identifiers)
        _check_study(images, job.study_uid)
        exam = self._scorer.score_exam(images, at=self._now(), performed_on=job.performed_on)
        if isinstance(exam, ScoredExam):
            self._store.save_score(job, exam)
            return
        if _may_still_arrive(exam, images, self._now()):
            raise StillArriving("not all four standard views have reached the archive yet; it is tried again")
        self._store.save_refusal(job, exam, self._now())
        log.info("an exam is refused: %s", ", ".join(sorted({exclusion.reason for exclusion in exam.exclusions})))


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
            "or set pacs.check_patient_id = false where the two number their patients differently"
        )


def _check_study(images: Sequence[Dataset], study_uid: str) -> None:
    """The score is stored under the study that was asked for, so nothing else may be in it."""
    if any(image.get("StudyInstanceUID") != study_uid for image in images):
        raise StudyIncomplete("the archive sent images of another study; ask its administrator")
