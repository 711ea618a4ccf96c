"""The engine that most sites need: all stages as threads of one process, on its cores and its GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from cds.pacs.archive import ImageArchive
from cds.scoring.batches import BatchScoring, PreparedScorer
from cds.scoring.books import Books
from cds.scoring.budget import ByteBudget
from cds.scoring.pipeline import FETCHERS, ScoringPipeline
from cds.scoring.preparation import ExamPreparer, Preparation
from cds.scoring.stages import StageTimes
from cds.store.store import Store
from model.domain import STANDARD_VIEWS


class ExamScorer(ExamPreparer, PreparedScorer, Protocol):
    """What prepares and scores: `model.scorer.Scorer`, or a fake of it."""


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
    """A pipeline over the exams queued for a model."""
    times = StageTimes(clock_s)
    preparation = Preparation(
        archive,
        scorer,
        now,
        times,
        check_patient_id=check_patient_id,
        fetchers=fetchers,
        preparers=preparers(),
    )
    books, scoring = Books(store, model, now, times), BatchScoring(scorer, times)
    return ScoringPipeline(books, preparation, scoring, budget, fetchers=fetchers, store_down_s=store_down_s)


def preparers() -> int:
    """How many exams are prepared at the same time: each takes a core for each of its views."""
    return max(1, (os.cpu_count() or 1) // len(STANDARD_VIEWS))
