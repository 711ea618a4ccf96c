"""The way of one exam from the archive to the network: found, fetched, checked, made ready. Knows no store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from threading import Semaphore
from typing import Any, Protocol

from pydicom import Dataset

from cds.errors import MammoTrendError, StudyIncomplete
from cds.pacs.archive import ImageArchive, OnListed, unheard
from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.stages import StageTimes
from cds.store.assessments import IMAGES_OF_ANOTHER
from cds.store.queueing import MOST_LOST
from cds.store.store import ScoringJob
from cds.store.tables import Stage
from model.domain import STANDARD_VIEWS, RefusedExam
from model.errors import DeviceBusy, DeviceLost
from model.exam_days import exam_date
from model.views import view_of

SETTLED = timedelta(days=2)
A_DAY_AHEAD = timedelta(days=1)
"""As far as a clinic's date may be ahead of UTC; beyond it the date is wrong, or our clock."""


class ExamPreparer(Protocol):
    """What makes exams ready for the network: `model.preparer.Preparer`, a Scorer, or a fake of them."""

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> Any:
        """The exam made ready, as Prepared, or a RefusedExam that says why it has no score. For any thread."""
        ...


class Preparation:
    """Finds, fetches and prepares exams, for any number of threads. What goes wrong with one is its outcome."""

    def __init__(
        self,
        archive: ImageArchive,
        preparer: ExamPreparer,
        now: Callable[[], datetime],
        times: StageTimes,
        *,
        check_patient_id: bool = True,
        fetchers: int = 1,
        preparers: int = 1,
    ) -> None:
        """So many exams are fetched at the same time, by a thread each, and so many of them prepared."""
        self._archive, self._preparer, self._now, self._times = archive, preparer, now, times
        self._check_patient_id = check_patient_id
        self._fetchers, self._preparers, self._place = fetchers, preparers, Semaphore(preparers)

    def prepared(
        self, job: ScoringJob, on_listed: OnListed = unheard, on_fetched: Callable[[int], None] = lambda _: None, /
    ) -> Ready | Done | Held:
        """The exam ready for the network, refused, or held for whatever reason; raises DeviceLost, which is not its.

        `on_listed` is told how many images are to be fetched, `on_fetched` how many bytes they take.
        """
        found = job
        try:
            if job.lost >= MOST_LOST:
                raise WorkersLost(f"{job.lost} workers in a row ended while they had it; see whether memory ran out")
            with self._times.of(Stage.FETCH, lanes=self._fetchers):
                found = self._located(job)
                images = self._fetched(found, on_listed)
            on_fetched(sum(len(image.get("PixelData") or b"") for image in images))
            with self._place, self._times.of(Stage.PREPARE, lanes=self._preparers):
                exam = self._preparer.prepare(images, at=self._now(), performed_on=found.performed_on)
            if not isinstance(exam, RefusedExam):
                return Ready(found, exam)
            if _is_ahead(exam_date(images) or found.performed_on, self._now()):
                raise DateAhead("its date lies in the future by this machine's clock; correct the one or the other")
            if _may_still_arrive(exam, images, self._now()):
                raise StillArriving("not all four standard views have reached the archive yet; it is tried again")
        except DeviceLost:
            raise
        except DeviceBusy as fault:
            return Held(found, str(fault), type(fault).__name__)
        except Exception as fault:  # noqa: BLE001 # an exam's unforeseen fault must not stop the others
            return Held.because_of(found, fault)
        return Done(found, exam)

    def _located(self, job: ScoringJob) -> ScoringJob:
        """The job with the study that its exam is."""
        if job.study_uid is not None:
            return job
        study = self._archive.find_by_accession(job.accession_number or "", job.patient_identifiers)
        return replace(job, study_uid=study.study_uid, dicomweb_root=study.root)

    def _fetched(self, job: ScoringJob, on_listed: OnListed) -> list[Dataset]:
        assert job.study_uid is not None  # noqa: S101 # it has been located
        images = self._archive.retrieve_study(job.study_uid, job.dicomweb_root, on_listed)
        if self._check_patient_id:
            _check_patient(images, job.patient_identifiers)
        _check_study(images, job.study_uid)
        return images


class WorkersLost(MammoTrendError):
    """An exam at which workers end, one after the other; it is tried again more seldom."""


class DateAhead(MammoTrendError):
    """An exam is of a day that is still to come. A refusal would be final, and our clock may be behind."""


class StillArriving(MammoTrendError):
    """A view is missing from an exam so recent that it may be on its way."""


def _is_ahead(day: date | None, now: datetime) -> bool:
    return day is not None and day > now.date() + A_DAY_AHEAD


def _may_still_arrive(exam: RefusedExam, images: Sequence[Dataset], now: datetime) -> bool:
    """Archives list a study from its first image on: a missing view is believed only once the exam has settled.

    A view that some image shows, only not a usable one, is not on its way; nor are those of a study without any view.
    """
    if exam.performed_on is None or not -A_DAY_AHEAD <= now.date() - exam.performed_on < SETTLED:
        return False
    shown = {view_of(image) for image in images} & set(STANDARD_VIEWS)
    return 0 < len(shown) < len(STANDARD_VIEWS)


class WrongPatient(MammoTrendError):
    """The images carry a patient ID that the EHR does not list for this patient."""


def _check_patient(images: Sequence[Dataset], identifiers: Sequence[str]) -> None:
    """Images that name another patient are held. Where either side names nobody, there is nothing to compare."""
    named = {str(image.PatientID).strip() for image in images if image.get("PatientID")}
    if identifiers and named - set(identifiers):
        raise WrongPatient(IMAGES_OF_ANOTHER)


def _check_study(images: Sequence[Dataset], study_uid: str) -> None:
    """The score is stored under the study that was asked for, so nothing else may be in it."""
    if any(image.get("StudyInstanceUID") != study_uid for image in images):
        raise StudyIncomplete("the archive sent images of another study; ask its administrator")
