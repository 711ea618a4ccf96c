"""What only one process may do is held by a lease that outlives no holder."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import Engine

from cds.nightly.lease import held, holder_name
from cds.store.runs import RunRecords
from tests.cds.builders import Clock


def test_while_one_holds_it_nobody_else_can_and_afterwards_anybody(engine: Engine) -> None:
    runs, clock = RunRecords(engine), Clock()

    with held(runs, "night", "one", clock) as mine, held(runs, "night", "two", clock) as theirs:
        assert (mine, theirs) == (True, False)
    with held(runs, "night", "two", clock) as theirs:
        assert theirs is True


def test_a_fault_within_gives_it_up_too(engine: Engine) -> None:
    runs, clock = RunRecords(engine), Clock()

    with pytest.raises(RuntimeError), held(runs, "night", "one", clock):
        raise RuntimeError("the run broke")

    with held(runs, "night", "two", clock) as theirs:
        assert theirs is True


def test_it_is_kept_as_long_as_its_holder_is_at_it(engine: Engine) -> None:
    kept = Event()

    class Watched(RunRecords):
        """Tells when the lease was taken again."""

        times = 0

        def take_lease(self, name: str, holder: str, now: datetime, length: timedelta) -> bool:
            self.times += 1
            if self.times > 2:
                kept.set()
            return super().take_lease(name, holder, now, length)

    runs, clock = Watched(engine), Clock()
    with held(runs, "night", "one", clock, timedelta(milliseconds=30)):
        assert kept.wait(20)
        clock.advance(timedelta(milliseconds=25))


def test_every_holder_has_a_name_of_its_own() -> None:
    assert holder_name() != holder_name()
