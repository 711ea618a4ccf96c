"""What follows a score: the patient's assessment, and its way into the chart."""

from __future__ import annotations

import logging
from threading import Event

from sqlalchemy.exc import SQLAlchemyError

from cds.delivery.outbox import Outbox
from cds.delivery.reporting import Reporter

log = logging.getLogger(__name__)

IDLE_S = 1.0
STORE_DOWN_S = 5.0


class Clerk:
    """Assesses and delivers, beside the worker that scores. Safe beside other processes that do the same."""

    def __init__(self, reporter: Reporter, outbox: Outbox) -> None:
        self._reporter, self._outbox = reporter, outbox

    def catch_up(self) -> None:
        """Have concluded anew what was concluded before the site wanted it written."""
        self._reporter.catch_up()

    def work_next(self) -> bool:
        """Do the next thing; False when there is none."""
        return self._reporter.report_next() or self._outbox.deliver_next()

    def has_work(self) -> bool:
        """Whether something could be done now."""
        return self._reporter.has_work() or self._outbox.has_work()

    def run(self, stop: Event) -> None:
        """Work until told to stop. A database that is down is waited for."""
        caught_up = False
        while not stop.is_set():
            try:
                if not caught_up:
                    self.catch_up()
                    caught_up = True
                wait_s = 0.0 if self.work_next() else IDLE_S
            except SQLAlchemyError as fault:
                log.error("the store failed: %s", type(fault).__name__)
                wait_s = STORE_DOWN_S
            stop.wait(wait_s)
