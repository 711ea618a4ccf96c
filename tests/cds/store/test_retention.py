"""What is cleared away after how many days, and what stays, on every database."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from threading import Event

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, col, func, select

from cds.store.arrivals import ArrivalRecords
from cds.store.assessments import AssessmentRecords
from cds.store.audit import AccessEvent, Action, AuditTrail, WebCall
from cds.store.cards import CardRecords
from cds.store.outbox import OutboxRecords
from cds.store.retention import AT_A_TIME, LONGEST_PAUSE, Kind, Retention
from cds.store.runs import RunRecords, RunSummary
from cds.store.tables import Arrival, Destination, Feedback, Outbox, Run, ShownCard
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, conclusion

KEPT = timedelta(days=400)
LONG_AGO = NOW - KEPT - timedelta(days=1)
JUST_NOT = NOW - KEPT + timedelta(minutes=1)
ANSWERED = AccessEvent(Action.ANSWERED, NOW, EHR, PATIENT)
_NUMBERS = count(1)


def clear(engine: Engine, *kinds: Kind, stop: Event | None = None) -> dict[str, int]:
    return Retention(engine, dict.fromkeys(kinds, KEPT), lambda: NOW).clear(stop or Event())


def rows(engine: Engine, table: type[SQLModel]) -> int:
    with Session(engine) as session:
        return session.exec(select(func.count()).select_from(table)).one()


def card(uuid: str, made_at: datetime) -> ShownCard:
    return ShownCard(
        uuid=uuid, ehr=EHR, patient_id=PATIENT, service="s", summary="x", indicator="info", made_at=made_at
    )


def save_cards(engine: Engine, *cards: ShownCard) -> None:
    CardRecords(engine).save(cards, ANSWERED)


def answer(engine: Engine, uuid: str, received_at: datetime) -> None:
    said = Feedback(card=uuid, outcome="accepted", outcome_at=str(next(_NUMBERS)), received_at=received_at)
    assert CardRecords(engine).save_feedback([said], EHR, WebCall("feedback")) == 1


def cards_left(engine: Engine) -> set[str]:
    with Session(engine) as session:
        return set(session.exec(select(ShownCard.uuid)).all())


def cleared(engine: Engine) -> list[str]:
    """What the trail says of it."""
    return [entry.event.detail for entry in AuditTrail(engine).entries() if entry.event.action is Action.CLEARED]


def test_without_a_number_of_days_everything_stays(engine: Engine) -> None:
    save_cards(engine, card("old", LONG_AGO))
    RunRecords(engine).start(MODEL.key, LONG_AGO)

    assert clear(engine) == {}
    assert (cards_left(engine), rows(engine, Run)) == ({"old"}, 1)


def test_a_clock_that_is_far_ahead_of_the_last_run_deletes_nothing_until_it_is_believed(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    runs = RunRecords(engine)
    runs.finish(runs.start(MODEL.key, NOW), RunSummary(), NOW - LONGEST_PAUSE - timedelta(minutes=1))
    save_cards(engine, card("old", LONG_AGO))

    assert clear(engine, Kind.CARDS) == {}
    assert caplog.messages == ["nothing is cleared away: by this clock the last run ended on 2026-05-12; see NTP"]

    runs.finish(runs.start(MODEL.key, NOW), RunSummary(), NOW)
    assert clear(engine, Kind.CARDS) == {"cards": 1}


def test_cards_go_by_their_age_unless_a_clinician_has_answered_them(engine: Engine) -> None:
    save_cards(engine, card("old", LONG_AGO), card("new", JUST_NOT), card("answered", LONG_AGO))
    answer(engine, "answered", LONG_AGO)

    assert clear(engine, Kind.CARDS) == {"cards": 1}
    assert cards_left(engine) == {"new", "answered"}
    assert cleared(engine) == [f"1 cards from before {(NOW - KEPT).date()}"]


def test_an_answered_card_goes_with_its_feedback_once_the_last_of_it_is_old(engine: Engine) -> None:
    save_cards(engine, *(card(name, LONG_AGO) for name in ("both old", "one new", "unanswered")))
    for uuid, received_at in (("both old", LONG_AGO), ("both old", LONG_AGO), ("one new", LONG_AGO)):
        answer(engine, uuid, received_at)
    answer(engine, "one new", JUST_NOT)

    assert clear(engine, Kind.ANSWERED_CARDS) == {"answered cards": 1}
    assert cards_left(engine) == {"one new", "unanswered"}
    assert rows(engine, Feedback) == 2


def test_what_was_cleared_is_written_down_without_a_patient_and_the_trail_still_holds(engine: Engine) -> None:
    save_cards(engine, card("old", LONG_AGO))
    before = rows_of_trail(engine)

    clear(engine, Kind.CARDS)

    entry = list(AuditTrail(engine).entries())[-1].event
    assert rows_of_trail(engine) == before + 1
    assert (entry.action, entry.ehr, entry.patient_id, entry.at) == (Action.CLEARED, None, None, NOW)
    assert AuditTrail(engine).verify().fault is None


def rows_of_trail(engine: Engine) -> int:
    return sum(1 for _ in AuditTrail(engine).entries())


def test_more_than_a_batch_goes_in_batches_each_with_its_entry(engine: Engine) -> None:
    stays = {f"c{n:05}" for n in range(0, 2 * AT_A_TIME, 100)}
    old = [card(f"c{n:05}", LONG_AGO) for n in range(2 * AT_A_TIME + 5)]
    save_cards(engine, *old)
    for uuid in sorted(stays):
        answer(engine, uuid, NOW)

    gone = len(old) - len(stays)
    assert clear(engine, Kind.CARDS) == {"cards": gone}
    assert cards_left(engine) == stays
    assert [said.split()[0] for said in cleared(engine)] == [str(AT_A_TIME), str(gone - AT_A_TIME)]


def test_a_process_that_is_told_to_end_clears_nothing_more(engine: Engine) -> None:
    save_cards(engine, card("old", LONG_AGO))
    stop = Event()
    stop.set()

    assert clear(engine, Kind.CARDS, stop=stop) == {}
    assert cards_left(engine) == {"old"}


def assess(engine: Engine, five_year: float, at: datetime, study_uid: str = "1.2.1") -> None:
    said = conclusion(study_uid, five_year)
    records = AssessmentRecords(engine)
    assert records.assess(EHR, PATIENT, MODEL.key, at, lambda _known, _written: said, [Destination.CHART])


def deliver(engine: Engine, reference: str | None, at: datetime) -> None:
    outbox = OutboxRecords(engine)
    letter = outbox.claim(at, LEASE)
    assert letter is not None
    outbox.delivered(letter, reference, at)


def letters_left(engine: Engine) -> list[tuple[str, str | None]]:
    with Session(engine) as session:
        query = select(Outbox.state, Outbox.reference).order_by(col(Outbox.id))
        return [(str(state), reference) for state, reference in session.exec(query)]


def test_a_letter_goes_once_a_newer_one_of_the_same_assessment_has_arrived(engine: Engine) -> None:
    assess(engine, 0.02, LONG_AGO)
    deliver(engine, "RiskAssessment/1", LONG_AGO)
    assess(engine, 0.03, LONG_AGO)  # overtaken by the next one
    assess(engine, 0.04, LONG_AGO)

    assert clear(engine, Kind.LETTERS) == {}  # the chart still shows the first
    deliver(engine, "RiskAssessment/2", NOW)

    assert clear(engine, Kind.LETTERS) == {"letters": 2}
    assert letters_left(engine) == [("delivered", "RiskAssessment/2")]


def test_what_says_where_an_assessment_is_in_the_chart_stays_however_old(engine: Engine) -> None:
    assess(engine, 0.02, LONG_AGO, "1.2.1")
    deliver(engine, "RiskAssessment/1", LONG_AGO)
    assess(engine, 0.02, LONG_AGO, "1.2.2")
    deliver(engine, "RiskAssessment/2", LONG_AGO)
    assess(engine, 0.03, LONG_AGO, "1.2.2")
    deliver(engine, None, NOW)

    assert clear(engine, Kind.LETTERS) == {}
    assert len(letters_left(engine)) == 3


def test_assessments_and_their_revisions_stay(engine: Engine) -> None:
    for five_year in (0.02, 0.03):
        assess(engine, five_year, LONG_AGO)
        deliver(engine, "RiskAssessment/1", LONG_AGO)

    clear(engine, *Kind)

    assert [kept.revision for kept in AssessmentRecords(engine).of_patient(EHR, PATIENT)] == [1, 2]


def test_runs_and_arrivals_go_by_their_age(engine: Engine) -> None:
    runs, arrivals = RunRecords(engine), ArrivalRecords(engine)
    for begun, ended in ((LONG_AGO, LONG_AGO), (JUST_NOT, NOW)):
        runs.finish(runs.start(MODEL.key, begun), RunSummary(), ended)
        for name in ("taken", "not taken"):
            arrivals.see(f"{name} {begun:%d}", 4, begun)
        arrivals.take(f"taken {begun:%d}", "digest")

    assert clear(engine, Kind.RUNS, Kind.ARRIVALS) == {"runs": 1, "arrivals": 1}
    assert (rows(engine, Run), rows(engine, Arrival)) == (1, 3)


def test_a_run_that_has_not_ended_goes_only_where_its_model_has_a_newer_one(engine: Engine) -> None:
    runs = RunRecords(engine)
    killed, under_way = runs.start(MODEL.key, LONG_AGO), runs.start("another model, for weeks", LONG_AGO)
    newer = runs.start(MODEL.key, LONG_AGO)

    assert clear(engine, Kind.RUNS) == {"runs": 1}
    assert killed not in {run.id for run in runs.last()}

    runs.finish(under_way, RunSummary(scored=5), NOW)
    assert {run.id: run.scored for run in runs.last()} == {newer: 0, under_way: 5}


@pytest.mark.parametrize("kind", Kind)
def test_an_empty_store_has_nothing_to_clear(engine: Engine, kind: Kind) -> None:
    assert clear(engine, kind) == {}
    assert cleared(engine) == []
