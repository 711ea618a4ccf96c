"""Cards on record, and what was done with them, on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from cds.store.cards import CardRecords
from cds.store.tables import Feedback, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from tests.cds.builders import EHR, NOW, PATIENT

ANSWERED = AccessEvent(Action.ANSWERED, NOW, EHR, PATIENT)


def card(uuid: str, **changes: Any) -> ShownCard:
    values: dict[str, Any] = {"service": "s", "kind": "not-over", "summary": "x", "indicator": "info", "made_at": NOW}
    return ShownCard(uuid=uuid, **({"ehr": EHR, "patient_id": PATIENT} | values | changes))


def test_the_same_reports_at_once_in_any_order_are_all_taken(engine: Engine) -> None:
    records, names = CardRecords(engine), [f"c{number}" for number in range(30)]
    records.save([card(name) for name in names], ANSWERED)

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


def test_the_newest_card_of_a_patient_is_the_last_that_her_ehr_was_shown(engine: Engine) -> None:
    records, later = CardRecords(engine), NOW + timedelta(minutes=1)
    assert records.newest(EHR, PATIENT) is None
    withheld = card("withheld", made_at=later, withheld="silent")
    others = [card("another's", made_at=later, patient_id="p2"), card("elsewhere", made_at=later, ehr="ehr-2")]
    records.save([card("b"), card("a"), card("old", made_at=NOW - timedelta(days=1)), withheld, *others], ANSWERED)

    found = records.newest(EHR, PATIENT)

    assert found is not None
    assert found.uuid == "a"
