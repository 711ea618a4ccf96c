"""What those who run the service are told of it, from the store: nights, what waits, refusals, speed, cards, drift."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial

from sqlalchemy import Engine

from cds.nightly.night import run_under_way
from cds.operations.drift_alarm import Drift, judge
from cds.operations.kept import Kept
from cds.store.card_counts import CardCounts, count_cards
from cds.store.queue_counts import count_errands, count_letters, count_refusals, oldest_queued_at
from cds.store.runs import RunRecords
from cds.store.score_spread import ScoreSpread, spread_of_scores
from cds.store.stage_times import Spent, sum_times
from cds.store.tables import Run, Stage

REFUSALS_KEPT_S = 60.0
SPREAD_KEPT_S = 900.0
"""Of a million scores the database works out a year's spread in about a second, and drift takes weeks."""
SPREAD_OVER = timedelta(days=365)


class Operations:
    """The numbers of a site's store and model. None of them is about one patient."""

    def __init__(
        self,
        engine: Engine,
        model: str,
        now: Callable[[], datetime],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model, self.now = model, now
        self._engine = engine
        self._refusals = Kept(partial(count_refusals, engine, model), REFUSALS_KEPT_S, clock_s)
        self._spread = Kept(lambda: spread_of_scores(engine, model, self._spread_since()), SPREAD_KEPT_S, clock_s)

    def errands(self) -> dict[str, int]:
        """The exams by where they are on their way to a score."""
        return count_errands(self._engine, self.model)

    def oldest_queued_at(self) -> datetime | None:
        """Since when the exam that has waited longest has been queued, but for the backlog of a new model."""
        return oldest_queued_at(self._engine, self.model)

    def letters(self) -> dict[tuple[str, str], int]:
        """What is on its way to charts and archives, or was given up, by destination and state."""
        return count_letters(self._engine)

    def refusals(self) -> dict[str, int]:
        """The exams that could not be scored, by reason; up to a minute old."""
        return self._refusals.get()

    def stages(self, since: date | None = None) -> dict[Stage, Spent]:
        """How long each stage of scoring took; of every day, or from one on (UTC)."""
        return sum_times(self._engine, self.model, since)

    def cards(self, since: datetime | None = None) -> dict[str, CardCounts]:
        """The cards made since a moment, by their kind."""
        return count_cards(self._engine, since)

    def runs(self, count: int = 10) -> list[Run]:
        """The last runs over the site with its model, newest first: another model's is none of its nights."""
        return RunRecords(self._engine).last(count, self.model)

    def run_under_way(self) -> int | None:
        """The number of the one of these runs that a process is at; any other that has not ended was killed."""
        return run_under_way(RunRecords(self._engine), self.model, self.now())

    def spread(self) -> list[ScoreSpread]:
        """How the scores of each unit's exams lie, month by month over a year; up to a quarter of an hour old."""
        return self._spread.get()

    def drift(self) -> list[Drift]:
        """Which units' scores have left the range of their earlier months; without those of which nobody can say."""
        return judge(self.spread(), self.now().date())

    def _spread_since(self) -> date:
        return (self.now() - SPREAD_OVER).date().replace(day=1)
