"""A worker says that it is there for as long as it is."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from cds.operations.sign_of_life import LASTS, SCHEDULE, SignOfLife, checked_model
from cds.store.runs import RunRecords
from tests.cds.builders import MODEL, NOW, Clock


class Ending(Event):
    """Waits for nothing: it is set after so many rounds."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.left, self.waits = rounds, list[float | None]()

    def wait(self, timeout: float | None = None) -> bool:
        """Whether this was the last round."""
        self.waits.append(timeout)
        self.left -= 1
        return self.left == 0


def test_it_signs_at_once_for_its_model_and_for_the_schedule(engine: Engine) -> None:
    runs, stop = RunRecords(engine), Ending(1)

    SignOfLife(runs, MODEL.key, "worker", Clock()).run(stop)

    assert runs.is_signed(SCHEDULE, NOW, LASTS)
    assert runs.is_signed(checked_model(MODEL.key), NOW, LASTS)
    assert not runs.is_signed(checked_model("another model"), NOW, LASTS)
    assert stop.waits[0] is not None
    assert stop.waits[0] < LASTS.total_seconds() / 2


def test_a_store_that_fails_is_signed_in_the_next_round(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(RunRecords):
        """Fails once."""

        has_failed = False

        def sign(self, name: str, holder: str, now: datetime, length: timedelta) -> None:
            if not self.has_failed:
                self.has_failed = True
                raise OperationalError("UPDATE lease", {}, Exception("p1"))
            super().sign(name, holder, now, length)

    runs = Failing(engine)
    with caplog.at_level(logging.ERROR):
        SignOfLife(runs, MODEL.key, "worker", Clock()).run(Ending(2))

    assert runs.is_signed(SCHEDULE, NOW, LASTS)
    assert [record.getMessage() for record in caplog.records] == [
        "the worker could not say that it is there: OperationalError"
    ]
