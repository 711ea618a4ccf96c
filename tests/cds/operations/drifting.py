"""Units of a store whose scores drift, or do not."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Engine

from cds.operations.drift_alarm import LEAST_EXAMS
from model.domain import AcquisitionDevice
from tests.cds.store.test_score_spread import put

MONTHS = [date(2025, month, 9) for month in range(6, 13)] + [date(2026, month, 9) for month in range(1, 5)]
DRIFTED, STEADY = "GE Pristina", "GE Senographe"


def put_drift(engine: Engine) -> None:
    """Eleven months up to the one before the tests' now: one unit went from 2 to 3 % in the last two, one stayed."""
    for place, day in enumerate(MONTHS):
        is_late = place >= len(MONTHS) - 2
        put(engine, [0.03 if is_late else 0.02] * LEAST_EXAMS, day, AcquisitionDevice(*DRIFTED.split()))
        put(engine, [0.02] * LEAST_EXAMS, day, AcquisitionDevice(*STEADY.split()))
