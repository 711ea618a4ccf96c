"""The engine that most sites need: all stages as threads of one process, on its cores and its GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from pydicom import Dataset

from cds.pacs.archive import ImageArchive
from cds.scoring.batches import BatchScoring
from cds.scoring.books import Books
from cds.scoring.budget import ByteBudget
from cds.scoring.pipeline import FETCHERS, ScoringPipeline
from cds.scoring.preparation import Preparation
from cds.scoring.stages import StageTimes
from cds.store.store import Store
from model.domain import STANDARD_VIEWS, RefusedExam, ScoredExam


class ExamScorer(Protocol):
    """What prepares and scores: `model.scorer.Scorer`, or a fake of it."""

    batch_exams: int

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> Any:
        """As `cds.scoring.preparation.ExamPreparer`."""
        ...

    def score(self, exams: Sequence[Any]) -> list[ScoredExam | RefusedExam]:
        """As `cds.scoring.batches.PreparedScorer`."""
        ...


def in_process(
    store: Store,
    archive: ImageArchive,
    scorer: ExamScorer,
    model: str,
    now: Callable[[], datetime],
    budget: ByteBudget,
    *,
    check_patient_id: bool = True,
    fetchers: int = FETCHERS,
    store_down_s: float = 5.0,
    clock_s: Callable[[], float] = time.monotonic,
) -> ScoringPipeline:
    """A pipeline over the exams queued for a model. An exam that is prepared takes a core for each of its views."""
    times = StageTimes(clock_s)
    preparation = Preparation(
        archive,
        scorer,
        now,
        times,
        check_patient_id=check_patient_id,
        fetchers=fetchers,
        preparers=max(1, (os.cpu_count() or 1) // len(STANDARD_VIEWS)),
    )
    books, scoring = Books(store, model, now, times), BatchScoring(scorer, times)
    return ScoringPipeline(books, preparation, scoring, budget, fetchers=fetchers, store_down_s=store_down_s)
