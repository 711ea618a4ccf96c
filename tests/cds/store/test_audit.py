"""The audit trail, on SQLite and on PostgreSQL: what is noted, in which order, and that tampering shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, NoResultFound
from sqlmodel import Session

from cds.store import audit
from cds.store.assessments import AssessmentRecords
from cds.store.audit import (
    AccessEvent,
    AccessOutcome,
    Action,
    AuditTrail,
    EntryUnreadable,
    Read,
    ReadFrom,
    WebCall,
    note,
)
from cds.store.audit_chain import EMPTY, Fault, Head
from cds.store.database import connect, open_database
from cds.store.outbox import OutboxRecords
from cds.store.tables import Destination, Exam
from cds.store.upgrade import upgrade_database
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, conclusion
from tests.cds.store.asking import all_at_once, count
from tests.cds.store.layouts import laid_out

READS = (Read("Patient/{{context.patientId}}", ReadFrom.PREFETCH), Read("Condition?x=1", ReadFrom.NOWHERE))
CALL = WebCall("breast-risk-order-select", "192.0.2.7", "d1577c69-dfbe-44ad-ba6d", "active", 0, READS)
ANSWERED = AccessEvent(Action.ANSWERED, NOW, EHR, PATIENT, "1.2.1", "text", user_id="Practitioner/dr1", call=CALL)
REFUSED_CALLER = AccessEvent(Action.CALLER_REFUSED, NOW, None, None, outcome=AccessOutcome.REFUSED, call=WebCall("x"))


@pytest.fixture
def trail(engine: Engine) -> AuditTrail:
    return AuditTrail(engine)


def scored(study_uid: str = "1.2.1", patient_id: str = PATIENT, at: datetime = NOW) -> AccessEvent:
    """An entry that says that a study was scored."""
    return AccessEvent(Action.SCORED, at, EHR, patient_id, study_uid)


def told(trail: AuditTrail) -> list[AccessEvent]:
    return [entry.event for entry in trail.entries()]


def an_exam(key: str = "k") -> Exam:
    return Exam(ehr=EHR, patient_id=PATIENT, key=key, first_seen_at=NOW)


# What is noted


@pytest.mark.parametrize("event", [scored(), ANSWERED, REFUSED_CALLER, replace(ANSWERED, call=WebCall("a page"))])
def test_an_entry_comes_back_as_it_was_noted(trail: AuditTrail, event: AccessEvent) -> None:
    trail.record(event)

    assert told(trail) == [event]
    assert trail.verify().fault is None


@given(detail=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50),
       at=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # fmt: skip  # noqa: DTZ001
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_noted_comes_back_the_same_to_the_microsecond(trail: AuditTrail, detail: str, at: datetime) -> None:
    event = replace(scored(at=at), detail=detail)
    trail.record(event)

    assert told(trail)[-1] == event
    assert trail.verify().fault is None


@pytest.mark.parametrize("user_id", ["", "a\0b", "half a pair \ud800", "two\nlines", "x" * 257])
def test_a_user_whom_no_database_could_hold_is_left_out_and_the_entry_is_made(trail: AuditTrail, user_id: str) -> None:
    trail.record(replace(ANSWERED, user_id=user_id))

    assert told(trail) == [replace(ANSWERED, user_id=None)]


@pytest.mark.parametrize("hook_instance", ["", "-", "a b", "x" * 65, "\0", "<script>", "a\n"])
def test_a_hook_instance_that_is_nothing_like_a_uuid_is_left_out(trail: AuditTrail, hook_instance: str) -> None:
    trail.record(replace(ANSWERED, call=replace(CALL, hook_instance=hook_instance)))

    assert told(trail) == [replace(ANSWERED, call=replace(CALL, hook_instance=None))]


def test_an_entry_shows_no_identifier_in_a_log(trail: AuditTrail) -> None:
    trail.record(ANSWERED)
    (entry,) = trail.entries()

    assert not [secret for secret in ("1.2.1", f"'{PATIENT}'", "dr1") if secret in repr(entry)]


def test_entries_may_be_asked_for_by_patient_by_ehr_and_from_a_moment_on(trail: AuditTrail) -> None:
    later = NOW + timedelta(hours=1)
    for event in (
        scored("1.2.1"),
        scored("1.2.2", "p2"),
        replace(scored("1.2.3"), ehr="ehr-2"),
        scored("1.2.4", at=later),
    ):
        trail.record(event)

    assert [entry.event.study_uid for entry in trail.entries(patient_id=PATIENT, ehr=EHR)] == ["1.2.1", "1.2.4"]
    assert [entry.number for entry in trail.entries(patient_id=PATIENT)] == [1, 3, 4]
    assert [entry.number for entry in trail.entries(since=later)] == [4]


def test_what_went_into_a_chart_and_what_went_into_an_archive_are_two_things(engine: Engine, trail: AuditTrail) -> None:
    both = {Destination.CHART, Destination.REPORT}
    AssessmentRecords(engine).assess(EHR, PATIENT, MODEL.key, NOW, lambda *_: conclusion(), both)
    outbox = OutboxRecords(engine)
    for _ in both:
        delivery = outbox.claim(NOW, LEASE)
        assert delivery is not None
        outbox.delivered(delivery, None, NOW)

    assert sorted(event.action for event in told(trail)) == [Action.ASSESSED, Action.REPORTED, Action.WRITTEN]
    assert {event.study_uid for event in told(trail)} == {"1.2.1"}


# In the transaction that does it


def test_an_entry_is_there_if_and_only_if_its_transaction_is(engine: Engine, trail: AuditTrail) -> None:
    with Session(engine) as session:
        session.add(an_exam())
        note(session, scored())
        session.rollback()
        session.add(an_exam())
        note(session, scored("1.2.2"))
        session.commit()
        note(session, scored("1.2.3"))

    assert [event.study_uid for event in told(trail)] == ["1.2.2"]
    assert count(engine, Exam) == 1
    assert trail.verify().head.number == 1


def test_what_was_noted_and_rolled_back_does_not_go_with_the_next_commit(engine: Engine, trail: AuditTrail) -> None:
    with Session(engine) as session:
        note(session, scored())
        session.rollback()
        session.add(an_exam())
        session.commit()
        note(session, scored())
        session.close()
        session.add(an_exam("k2"))
        session.commit()

    assert told(trail) == []


def test_a_commit_that_fails_leaves_neither_an_entry_nor_a_gap(engine: Engine, trail: AuditTrail) -> None:
    with Session(engine) as session:
        session.add_all([an_exam(), an_exam()])
        note(session, scored())
        with pytest.raises(IntegrityError):
            session.commit()
    trail.record(scored("1.2.2"))

    assert [(entry.number, entry.event.study_uid) for entry in trail.entries()] == [(1, "1.2.2")]
    assert trail.verify().fault is None


def test_several_entries_of_one_transaction_keep_their_order(engine: Engine, trail: AuditTrail) -> None:
    with Session(engine) as session:
        for number in range(5):
            note(session, scored(f"1.2.{number}"))
        session.commit()

    assert [event.study_uid for event in told(trail)] == [f"1.2.{number}" for number in range(5)]
    assert trail.verify().head.number == 5


def test_without_its_head_nothing_is_added(engine: Engine, trail: AuditTrail) -> None:
    by_force(engine, "DELETE FROM audit_head")

    with pytest.raises(NoResultFound):
        trail.record(scored())
    assert trail.verify().fault == Fault(1, "the trail has lost its head, which says how far it goes")


# Several writers


def test_many_threads_make_one_chain_in_which_no_number_is_missing_or_there_twice(
    engine: Engine, trail: AuditTrail
) -> None:
    with Session(engine) as session:
        session.add(an_exam())
        session.commit()

    def writer(name: int) -> Callable[[], object]:
        def write() -> None:
            for number in range(10):
                with Session(engine) as session:
                    # In either order: who took the head before the exam would wait for one who has it the other way.
                    if name % 2:
                        note(session, scored(f"1.2.{name}.{number}"))
                    session.execute(update(Exam).values(accession_number=str(name)))
                    if not name % 2:
                        note(session, scored(f"1.2.{name}.{number}"))
                    note(session, scored(f"1.2.{name}.{number}.1"))
                    session.commit()

        return write

    all_at_once([writer(name) for name in range(6)])

    verified = trail.verify()
    assert (verified.head.number, verified.fault) == (120, None)
    written = [event.study_uid for event in told(trail)]
    for name in range(6):  # each writer's own are in its order, and those of one transaction side by side
        own = [uid for number in range(10) for uid in (f"1.2.{name}.{number}", f"1.2.{name}.{number}.1")]
        places = [written.index(uid) for uid in own]
        assert places == sorted(places)
        assert [second - first for first, second in zip(places[::2], places[1::2], strict=True)] == [1] * 10


def test_threads_that_share_nothing_but_the_trail_make_one_chain(trail: AuditTrail) -> None:
    def write() -> None:
        for _ in range(30):
            trail.record(scored())

    all_at_once([write] * 6)

    verified = trail.verify()
    assert (verified.head.number, verified.fault) == (180, None)


WRITER = """
import sys
from datetime import UTC, datetime
from cds.store.audit import AccessEvent, Action, AuditTrail
from cds.store.database import connect
trail = AuditTrail(connect(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    trail.record(AccessEvent(Action.SCORED, datetime.now(UTC), "e", "p", f"1.2.{sys.argv[2]}.{number}"))
"""


def test_several_processes_make_one_chain(database_url: str, trail: AuditTrail) -> None:
    lines = [[sys.executable, "-W", "error", "-c", WRITER, database_url, str(number)] for number in range(3)]

    pipe = subprocess.PIPE
    processes = [subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe) for line in lines]  # noqa: S603 # our own
    for process in processes:  # they begin together, once each has loaded what it needs
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=120)[1].decode() for process in processes]

    assert [process.returncode for process in processes] == [0] * 3, errors
    verified = trail.verify()
    assert (verified.head.number, verified.fault) == (150, None)


# Tampering


def by_force(engine: Engine, *statements: str) -> None:
    """What somebody does who may drop the guards."""
    drop = {
        "postgresql": ["DROP FUNCTION audit_refuse CASCADE"],
        "sqlite": [
            f"DROP TRIGGER audit_{name}"
            for name in ("never_changed", "never_deleted", "never_replaced", "head_never_back", "head_never_deleted")
        ],
    }
    with engine.begin() as connection:
        for statement in (*drop[engine.dialect.name], *statements):
            connection.execute(text(statement))


@pytest.fixture
def five(trail: AuditTrail) -> AuditTrail:
    """A trail of five entries."""
    for number in range(4):
        trail.record(scored(f"1.2.{number}"))
    trail.record(ANSWERED)
    return trail


COPY = (
    "INSERT INTO audit (number, at, action, outcome, ehr, patient_id, detail, previous, digest) "
    "SELECT {number}, at, action, outcome, ehr, patient_id, detail, previous, digest FROM audit WHERE number = 5"
)
CHANGED = "it is not as it was written"
AFTER = "it was not written after the entry that stands before it now"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "'2026-05-20 23:30:00.000001'"),
        ("action", "'refused'"),
        ("outcome", "'failed'"),
        ("ehr", "NULL"),
        ("patient_id", "'p9'"),
        ("study_uid", "NULL"),
        ("user_id", "'Practitioner/dr2'"),
        ("call", "NULL"),
        ("detail", "''"),
        ("previous", "''"),
        ("digest", "''"),
    ],
)
def test_a_changed_column_is_found_wherever_it_is(five: AuditTrail, engine: Engine, column: str, value: str) -> None:
    by_force(engine, f"UPDATE audit SET {column} = {value} WHERE number = 5")  # noqa: S608 # our own words

    assert five.verify().fault == Fault(5, CHANGED)


@pytest.mark.parametrize(
    ("tampering", "fault"),
    [
        (["DELETE FROM audit WHERE number = 3"], Fault(3, "it is missing")),
        (["DELETE FROM audit WHERE number = 5"], Fault(5, "it is missing")),
        (["DELETE FROM audit WHERE number > 3"], Fault(4, "it is missing")),
        (["DELETE FROM audit"], Fault(1, "it is missing")),
        (
            ["UPDATE audit SET number = 9 WHERE number = 2", "UPDATE audit SET number = 2 WHERE number = 4",
             "UPDATE audit SET number = 4 WHERE number = 9"],
            Fault(2, CHANGED),
        ),
        ([COPY.format(number=6)], Fault(6, "it was put in: the head of the trail does not know it")),
        ([COPY.format(number=0)], Fault(0, "it was put in: the trail begins with 1")),
        ([COPY.format(number=-7)], Fault(-7, "it was put in: the trail begins with 1")),
        ([COPY.format(number=6), "UPDATE audit_head SET number = 6"], Fault(6, CHANGED)),
        (
            ["DELETE FROM audit WHERE number = 5", "UPDATE audit_head SET number = 4"],
            Fault(4, "it is not the one that the head of the trail names"),
        ),
        (["UPDATE audit_head SET digest = ''"], Fault(5, "it is not the one that the head of the trail names")),
    ],
)  # fmt: skip
def test_tampering_is_found_at_the_first_entry_that_is_wrong(
    five: AuditTrail, engine: Engine, tampering: list[str], fault: Fault
) -> None:
    assert five.verify().fault is None
    by_force(engine, *tampering)

    assert five.verify().fault == fault


def test_a_second_head_is_found(five: AuditTrail, engine: Engine) -> None:
    by_force(engine, "INSERT INTO audit_head (id, number, digest) VALUES (2, 3, '')")

    assert five.verify().fault == Fault(1, "the trail has several heads, of which one says how far it goes")


def test_verifying_tells_how_far_the_trail_is_whole(five: AuditTrail, engine: Engine) -> None:
    by_force(engine, "UPDATE audit SET detail = 'x' WHERE number = 3")

    assert five.verify().head.number == 2


# PostgreSQL keeps only moments and JSON in such columns.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("column", "written"), [("at", "nothing"), ("call", "nothing"), ("call", "[" * 100_000 + "]" * 100_000)]
)
def test_what_is_there_no_more_in_any_readable_form_is_found_too(
    five: AuditTrail, engine: Engine, column: str, written: str
) -> None:
    by_force(engine, f"UPDATE audit SET {column} = '{written}' WHERE number = 3")  # noqa: S608 # our own words

    assert five.verify().fault == Fault(3, "it cannot be read")
    with pytest.raises(EntryUnreadable, match="after entry 2"):
        list(five.entries())


def test_a_whole_trail_that_was_written_anew_is_found_by_a_head_that_was_noted_down(
    five: AuditTrail, engine: Engine
) -> None:
    noted = five.verify().head
    by_force(engine, "DELETE FROM audit", "UPDATE audit_head SET number = 0, digest = ''")
    for number in range(6):
        five.record(scored(f"1.2.{number}", "somebody else"))

    assert five.verify().fault is None
    assert five.verify(noted).fault == Fault(5, "it is not the entry that was noted down")


def test_a_trail_that_was_cut_off_is_found_by_a_head_that_was_noted_down(five: AuditTrail, engine: Engine) -> None:
    noted = five.verify().head
    fourth = next(entry for entry in five.entries() if entry.number == 4)
    by_force(
        engine,
        "DELETE FROM audit WHERE number = 5",
        f"UPDATE audit_head SET number = 4, digest = '{fourth.digest}'",  # noqa: S608 # our own words
    )

    assert five.verify().fault is None
    assert five.verify(noted).fault == Fault(5, "it is missing")


def test_an_earlier_head_is_part_of_the_trail_that_went_on(five: AuditTrail) -> None:
    noted = five.verify().head
    five.record(scored())

    assert five.verify(noted).fault is None
    assert five.verify(noted).head.number == 6


def test_an_empty_trail_is_whole(trail: AuditTrail) -> None:
    assert (trail.verify().head, trail.verify().fault) == (EMPTY, None)


def test_a_trail_of_more_than_a_page_is_read_to_its_end(engine: Engine, trail: AuditTrail) -> None:
    for _ in range(2):
        with Session(engine) as session:
            for number in range(audit.AT_A_TIME):
                note(session, scored(f"1.2.{number}"))
            session.commit()

    assert trail.verify().head.number == 2 * audit.AT_A_TIME
    assert [entry.number for entry in trail.entries()] == list(range(1, 2 * audit.AT_A_TIME + 1))


def test_a_trail_may_be_verified_while_it_is_being_written(engine: Engine, trail: AuditTrail) -> None:
    def write() -> None:
        for _ in range(30):
            trail.record(scored())

    def look() -> list[Fault | None]:
        return [trail.verify().fault for _ in range(15)]

    assert all_at_once([write, look, write])[1] == [None] * 15


# Only ever added to


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET detail = 'x' WHERE number = 2",
        "UPDATE audit SET detail = detail",
        "DELETE FROM audit WHERE number = 5",
        "DELETE FROM audit",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET number = number - 1",
    ],
)
def test_a_careless_hand_is_stopped(five: AuditTrail, engine: Engine, statement: str) -> None:
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text(statement))

    assert five.verify().head.number == 5
    five.record(scored())


def test_replacing_and_emptying_are_stopped_too(five: AuditTrail, engine: Engine) -> None:
    own = {
        "sqlite": [COPY.format(number=2).replace("INSERT", "INSERT OR REPLACE")],
        "postgresql": ["TRUNCATE audit", "TRUNCATE audit_head"],
    }
    for statement in own[engine.dialect.name]:
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(text(statement))

    assert five.verify().fault is None


# Databases from before the chain


OLD_ENTRY = (
    "INSERT INTO audit (id, at, action, ehr, patient_id, study_uid, detail) "
    "VALUES ({0}, '2026-05-20 23:30:00.5', 'scored', 'ehr-1', 'p{0}', '1.2.{0}', '')"
)


def before_the_chain(url: str, numbers: list[int]) -> Engine:
    """A database of the layout before, with entries of these ids."""
    engine = connect(url)
    with laid_out(engine, "0003") as connection:
        for number in numbers:
            connection.exec_driver_sql(OLD_ENTRY.format(number))
    return engine


def test_entries_from_before_are_chained_in_their_order_without_a_gap(database_url: str) -> None:
    engine = before_the_chain(database_url, [7, 2, 30])

    upgrade_database(engine)
    trail = AuditTrail(engine)

    moment = NOW + timedelta(milliseconds=500)
    assert [(entry.number, entry.event) for entry in trail.entries()] == [
        (place, scored(f"1.2.{old}", f"p{old}", moment)) for place, old in ((1, 2), (2, 7), (3, 30))
    ]
    trail.record(scored())
    verified = trail.verify()
    assert (verified.head.number, verified.fault) == (4, None)
    engine.dispose()


def test_more_entries_from_before_than_are_read_at_once_are_chained(database_url: str) -> None:
    engine = before_the_chain(database_url, list(range(2, 2003)))

    upgrade_database(engine)

    assert AuditTrail(engine).verify().head.number == 2001
    engine.dispose()


def test_a_new_database_begins_an_empty_trail(database_url: str) -> None:
    engine = open_database(database_url)

    assert AuditTrail(engine).verify().head == Head(0, "")
    engine.dispose()
