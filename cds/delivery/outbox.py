"""Sends what the outbox holds to the systems outside, once each, whatever fails on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from cds.ehr.write_back import WritableEhr, put
from cds.errors import EhrUnreachable, MammoTrendError, PacsUnreachable, SettingsError, told
from cds.store.outbox import Delivery, OutboxRecords
from cds.store.tables import Destination
from cds.store.waiting import LONGEST_RETRY

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
SILENCE = timedelta(minutes=1)
"""How long somebody who does not answer is left alone."""
NO_DESTINATION = "the settings no longer say where it goes: configure it again and run `mammotrend outbox retry`"


class Deliver(Protocol):
    """Brings one assessment to one kind of system."""

    def __call__(self, delivery: Delivery) -> str | None:
        """The reference under which it is there; raises MammoTrendError where it could not be brought."""
        ...


class Outbox:
    """Delivers what is due, one at a time. Safe beside other processes that do the same."""

    def __init__(
        self, records: OutboxRecords, deliver: Mapping[Destination, Deliver], now: Callable[[], datetime]
    ) -> None:
        self._records, self._deliver, self._now = records, deliver, now

    def has_work(self) -> bool:
        """Whether something is due."""
        return self._records.is_anything_due(self._now())

    def deliver_next(self) -> bool:
        """Deliver what is due longest; False when nothing is. Raises SQLAlchemyError where the store fails."""
        delivery = self._records.claim(self._now(), LEASE)
        if delivery is None:
            return False
        try:
            reference = self._attempt(delivery)
        except MammoTrendError as problem:
            self._failed(delivery, problem)
        except Exception as fault:  # noqa: BLE001 # one letter's unforeseen fault must not stop the others; it stays queued
            self._records.failed(delivery, told(fault), self._now())
            log.error("a delivery failed: %s", type(fault).__name__)
        else:
            self._records.delivered(delivery, reference, self._now())
        return True

    def _attempt(self, delivery: Delivery) -> str | None:
        deliver = self._deliver.get(delivery.destination)
        if deliver is None:
            raise SettingsError(NO_DESTINATION)
        return deliver(delivery)

    def _failed(self, delivery: Delivery, problem: MammoTrendError) -> None:
        wait = _asked_for(problem)
        self._records.failed(delivery, str(problem), self._now(), wait=wait, final=not problem.may_pass)
        if isinstance(problem, EhrUnreachable | PacsUnreachable):
            self._records.put_off(delivery, self._now() + max(SILENCE, wait or SILENCE))
        log.warning("a delivery failed: %s: %s", type(problem).__name__, problem)


def _asked_for(problem: MammoTrendError) -> timedelta | None:
    """How long an EHR asks us to wait. What is due beyond our longest wait would be taken for a wrong clock's."""
    seconds = problem.retry_after_s if isinstance(problem, EhrUnreachable) else None
    return None if seconds is None else min(timedelta(seconds=seconds), LONGEST_RETRY)


class ChartDelivery:
    """Puts RiskAssessments into the charts of the EHRs that have them."""

    def __init__(self, ehrs: Mapping[str, Callable[[], AbstractContextManager[WritableEhr]]]) -> None:
        self._ehrs = ehrs

    def __call__(self, delivery: Delivery) -> str | None:
        """The RiskAssessment's reference in the chart; None where a retraction found nothing to take back."""
        open_ehr = self._ehrs.get(delivery.ehr)
        if open_ehr is None:
            raise SettingsError(NO_DESTINATION)
        known = [before.reference for before in delivery.arrived if before.reference]
        with open_ehr() as ehr:
            return put(ehr, delivery.resource, known[-1] if known else None).reference
