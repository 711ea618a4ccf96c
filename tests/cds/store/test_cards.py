"""Cards on record, and what was done with them, on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine
from sqlmodel import Session, select

from cds.store.audit import AuditTrail
from cds.store.cards import CardRecords
from cds.store.tables import Feedback, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from hooks.earlier_cards import EarlierCard
from hooks.reasoning import Reasoning
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


def report(outcome: str = "accepted", *accepted: str, **changes: Any) -> Feedback:
    """What was done with card c1 at one moment."""
    values: dict[str, Any] = {
        "card": "c1",
        "outcome": outcome,
        "outcome_at": "then",
        "accepted": list(accepted),
        "received_at": NOW,
    }
    return Feedback(**(values | changes))


def told(engine: Engine) -> list[tuple[list[str], str | None, str | None]]:
    with Session(engine) as session:
        return [(row.accepted, row.override_reason, row.comment) for row in session.exec(select(Feedback))]


def test_a_second_report_of_one_moment_adds_what_it_tells_beyond_the_first(engine: Engine) -> None:
    records, call = CardRecords(engine), WebCall("feedback")
    records.save([card("c1")], ANSWERED)
    for given in ([report("accepted", "a"), report("accepted", "b")], [report("accepted", "c")]):
        records.save_feedback(given, EHR, call)
    assert told(engine) == [(["a", "b", "c"], None, None)]

    records.save_feedback([report("accepted", "b"), report("accepted", "a", "c")], EHR, call)

    assert told(engine) == [(["a", "b", "c"], None, None)]
    noted = [entry.event.action for entry in AuditTrail(engine).entries()]
    assert noted.count(Action.FEEDBACK) == 2


def test_a_reason_that_comes_after_its_override_is_kept_and_no_later_one_replaces_it(engine: Engine) -> None:
    records = CardRecords(engine)
    records.save([card("c1")], ANSWERED)
    for said in ({}, {"override_reason": "declined"}, {"override_reason": "other", "comment": "later"}):
        records.save_feedback([report("overridden", **said)], EHR, WebCall("feedback"))

    assert told(engine) == [([], "declined", "later")]


def test_however_many_reports_a_call_has_on_a_card_the_audit_trail_has_one_entry_of_it(engine: Engine) -> None:
    records = CardRecords(engine)
    records.save([card("c1"), card("c2")], ANSWERED)
    given = [report("accepted", card=name, outcome_at=str(second)) for name in ("c1", "c2") for second in range(50)]

    records.save_feedback(given, EHR, WebCall("feedback"))

    assert len(told(engine)) == 100
    assert [entry.event.action for entry in AuditTrail(engine).entries()] == [Action.ANSWERED, *[Action.FEEDBACK] * 2]


def test_an_override_that_was_kept_with_empty_texts_for_its_reason_has_none(engine: Engine) -> None:
    records = CardRecords(engine)
    records.save([card("c1")], ANSWERED)
    records.save_feedback([report("overridden", override_reason="", comment="  ")], EHR, WebCall("feedback"))

    (earlier,) = records.earlier(EHR, PATIENT, lambda moment: moment.date())

    assert earlier.overridden_on is None


def test_of_reports_of_one_moment_that_come_at_once_nothing_is_lost(engine: Engine) -> None:
    records, names = CardRecords(engine), {f"s{number}" for number in range(24)}
    records.save([card("c1")], ANSWERED)
    with ThreadPoolExecutor(6) as threads:
        for kept in [
            threads.submit(records.save_feedback, [report("accepted", name)], EHR, WebCall("feedback"))
            for name in names
        ]:
            assert kept.result() == 1

    ((accepted, *_),) = told(engine)
    assert sorted(accepted) == sorted(names)


def test_each_overridden_card_is_told_with_its_own_moment_and_of_the_others_the_last(engine: Engine) -> None:
    records, day = CardRecords(engine), timedelta(days=1)
    of_exam = {"study_uid": "1.2.1"}
    made = [card(f"c{number}", made_at=NOW + number * day, **of_exam) for number in range(5)]
    records.save([*made, card("of no exam"), card("withheld", withheld="silent", made_at=NOW + 9 * day)], ANSWERED)
    for name, received in (("c1", NOW + 7 * day), ("c1", NOW + 6 * day), ("c3", NOW + 5 * day)):
        said = report("overridden", card=name, outcome_at=str(received), comment="why", received_at=received)
        records.save_feedback([said], EHR, WebCall("feedback"))
    records.save_feedback([report("overridden", card="c2"), report("accepted", card="c0")], EHR, WebCall("feedback"))

    found = records.earlier(EHR, PATIENT, lambda moment: moment.date())

    assert set(found) == {
        EarlierCard("not-over", "1.2.1", NOW + 1 * day, (NOW + 7 * day).date()),
        EarlierCard("not-over", "1.2.1", NOW + 3 * day, (NOW + 5 * day).date()),
        EarlierCard("not-over", "1.2.1", NOW + 4 * day),
        EarlierCard("not-over", None, NOW),
    }
    assert len(found) == 4


def test_an_override_is_told_with_its_reason_and_a_card_with_why_its_exam_cannot_be_scored(engine: Engine) -> None:
    records, reasons = CardRecords(engine), ("No usable R MLO view.", "Implant.", None)
    made = [card(f"c{n}", reasoning=Reasoning(refusal=why).to_json()) for n, why in enumerate(reasons)]
    records.save([*made, card("again", reasoning=made[1].reasoning), card("of before")], ANSWERED)
    given = [report("overridden", card="c0", outcome_at=code, override_reason=code) for code in ("later", "declined")]
    records.save_feedback([*given, report("overridden", card="c0", comment="why")], EHR, WebCall("feedback"))

    found = records.earlier(EHR, PATIENT, lambda moment: moment.date())

    told = {(one.refusal, one.override_reason, one.overridden_on is not None) for one in found}
    assert told == {
        ("No usable R MLO view.", "later", True),
        ("No usable R MLO view.", "declined", True),
        ("No usable R MLO view.", None, True),
        ("Implant.", None, False),
        (None, None, False),
    }
    assert len(found) == 5
