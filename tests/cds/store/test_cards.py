"""Cards on record, and what was done with them, on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine

from cds.store.cards import CardRecords
from cds.store.tables import Feedback, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from tests.cds.builders import EHR, NOW, PATIENT


def test_the_same_reports_at_once_in_any_order_are_all_taken(engine: Engine) -> None:
    records, names = CardRecords(engine), [f"c{number}" for number in range(30)]
    values: dict[str, Any] = {"service": "s", "summary": "x", "indicator": "info", "made_at": NOW}
    cards = [ShownCard(uuid=name, ehr=EHR, patient_id=PATIENT, kind="not-over", **values) for name in names]
    records.save(cards, AccessEvent(Action.ANSWERED, NOW, EHR, PATIENT))

    def report(times: int, step: int) -> list[int]:
        """The same reports as everybody's, from the first card to the last or the other way."""
        return [
            records.save_feedback(
                [
                    Feedback(card=name, outcome="overridden", outcome_at=str(n), received_at=NOW)
                    for name in names[::step]
                ],
                EHR,
                WebCall("feedback"),
            )
            for n in range(times)
        ]

    with ThreadPoolExecutor(6) as threads:
        told = [threads.submit(report, 15, step) for step in (1, -1) * 3]

    assert [one.result() for one in told] == [[len(names)] * 15] * 6
