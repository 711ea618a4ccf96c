"""Callers that were refused, in the audit trail: enough of them to be seen, too few to fill it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from cds.store.audit import AuditTrail
from cds.web.limits import CallRate
from fhir_mappings.access_events import AccessEvent, AccessOutcome, Action, WebCall

log = logging.getLogger(__name__)

MOST_PER_MINUTE = 60
"""Entries for all callers of one process together: whoever has no token must not fill the site's disk."""
ALL_CALLERS = "all"


class RefusedCallers:
    """Notes refusals; beyond so many a minute they are in the log alone."""

    def __init__(self, trail: AuditTrail, now: Callable[[], datetime], monotonic_s: Callable[[], float]) -> None:
        self._trail, self._now = trail, now
        self._rate = CallRate(MOST_PER_MINUTE, monotonic_s)

    def note(self, call: WebCall, why: str, ehr: str | None = None) -> None:
        """Add an entry, with the EHR whose call it is where that is proved; the refusal stands whether it is taken."""
        if self._rate.wait_s(ALL_CALLERS):
            return
        refused = AccessOutcome.REFUSED
        event = AccessEvent(Action.CALLER_REFUSED, self._now(), ehr, None, detail=why, outcome=refused, call=call)
        try:
            self._trail.record(event)
        except SQLAlchemyError as fault:
            log.error("a refused caller is not in the audit trail: %s", type(fault).__name__)
