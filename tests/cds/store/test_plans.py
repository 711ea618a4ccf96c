"""Which tables the databases read from end to end, at a size where that is slow: none but those that are said here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Event
from uuid import uuid4

import pytest
from sqlalchemy import Engine
from sqlmodel import SQLModel

from cds.operations.figures import Operations
from cds.store.arrivals import ArrivalRecords
from cds.store.assessments import AssessmentRecords
from cds.store.audit import AccessEvent, Action, AuditTrail, WebCall
from cds.store.cards import CardRecords
from cds.store.outbox import OutboxRecords
from cds.store.refusal_rates import refusals_by_month
from cds.store.retention import Kind, Retention
from cds.store.runs import RunRecords
from cds.store.seen_tokens import SeenTokens
from cds.store.store import EVERYTHING, NewExam, ScoringJob, Selection, Store
from cds.store.tables import Destination, Feedback, OutboxState, ShownCard
from tests.cds.builders import LEASE, conclusion, refused, scored
from tests.cds.store.many_women import EHR, FIRST, STUDY, fill, model_of
from tests.cds.store.plans import SORTED, whole_reads
from tests.postgresql import PostgresqlServer

pytestmark = [pytest.mark.slow, pytest.mark.integration]

WOMEN = 10_000
HER = "woman-9000"
NOW = datetime.now(UTC) + timedelta(hours=1)
"""Later than all that is stored."""
MONTH_AGO = NOW - timedelta(days=30)
_NUMBERS = count(1)
KEPT = dict.fromkeys(Kind, timedelta(days=400))


@dataclass(frozen=True)
class Whole:
    """Tables that a question reads from end to end, and why it may."""

    tables: frozenset[str]
    why: str


def whole(why: str, *tables: str) -> Whole:
    return Whole(frozenset(tables), why)


def ask_hook(engine: Engine, model: str) -> None:
    """An order-select call about a known woman, one about a new exam, and their feedback."""
    store, cards, new = Store(engine), CardRecords(engine), uuid4().hex
    SeenTokens(engine).remember("issuer", "a new token", NOW, NOW)
    known = [NewExam(EHR, HER, f"2.25.{n}.9000", f"2.25.{n}.9000") for n in range(1, 8)]
    store.look_up(EHR, HER, known, model, NOW, urgent=True)
    store.look_up(EHR, HER, [NewExam(EHR, HER, "2.25.99", "2.25.99")], model, NOW, urgent=True)
    store.other_owners(EHR, HER, ["2.25.1.9000"])
    cards.earlier(EHR, HER, lambda moment: moment.date())
    shown = ShownCard(uuid=new, ehr=EHR, patient_id=HER, service="s", summary="x", indicator="info", made_at=NOW)
    cards.save([shown], AccessEvent(Action.ANSWERED, NOW, EHR, HER))
    done = Feedback(card=new, outcome="overridden", outcome_at="2026-05-20T23:30:00Z", received_at=NOW)
    cards.save_feedback([done], EHR, WebCall("feedback"))


def ask_page(engine: Engine, model: str) -> None:
    """The page of a card, and of her newest."""
    CardRecords(engine).find("card.9000", EHR)
    CardRecords(engine).newest(EHR, HER)
    Store(engine).exams_of(EHR, HER, model)
    Store(engine).scores_of_other_models(EHR, HER, model)


def ask_worker(engine: Engine, model: str) -> None:
    """An exam scored, one refused, one that failed."""
    store = Store(engine)

    def job() -> ScoringJob:
        claimed = store.claim(model, NOW, LEASE)
        assert claimed is not None
        store.renew([claimed], NOW, LEASE)
        return claimed

    store.save_score(job(), scored())
    store.save_refusal(job(), refused(), NOW)
    store.save_failure(job(), "the archive is silent", NOW)


def ask_clerk(engine: Engine, model: str) -> None:
    """A patient with news, her assessment, its delivery."""
    records, outbox, said = (
        AssessmentRecords(engine),
        OutboxRecords(engine),
        conclusion(STUDY, 0.03 + next(_NUMBERS) / 1000),
    )
    assert records.next_patient(model) is not None
    records.assess(EHR, FIRST, model, NOW, lambda _known, _written: said, [Destination.CHART])
    assert outbox.is_anything_due(NOW)
    letter = outbox.claim(NOW, LEASE)
    assert letter is not None
    outbox.failed(letter, "no answer", NOW)
    outbox.put_off(letter, NOW)
    outbox.delivered(letter, None, NOW)


def ask_night(engine: Engine, model: str) -> None:
    """A night that finds an exam, and one that is gone."""
    store, runs, arrivals = Store(engine), RunRecords(engine), ArrivalRecords(engine)
    run = runs.start(model, NOW)
    listed = [NewExam(EHR, HER, f"2.25.{n}.9000", f"2.25.{n}.9000", images="other") for n in range(1, 7)]
    store.register(listed, model, NOW)
    store.unlist(EHR, HER, [exam.key for exam in listed], NOW)
    store.patient_identifiers(EHR, HER)
    store.is_known(STUDY)
    store.reopen_study(f"{STUDY}.9", NOW)
    arrivals.see(f"{STUDY}.9", 5, NOW, timedelta())
    store.queue_known(model, Selection(patient_id=HER), NOW)
    runs.finish(run, runs.sum_up(model, NOW, 0, ()), NOW)


def operations(ask: Callable[[Operations], object]) -> Callable[[Engine, str], object]:
    return lambda engine, model: ask(Operations(engine, model, lambda: NOW))


QUESTIONS: dict[str, Callable[[Engine, str], object]] = {
    "hook": ask_hook,
    "page": ask_page,
    "worker": ask_worker,
    "clerk": ask_clerk,
    "night": ask_night,
    "night: all known exams": lambda engine, model: Store(engine).queue_known(model, EVERYTHING, NOW),
    "night: what waits": lambda engine, model: Store(engine).untried(model, NOW),
    "night: what failed": lambda engine, model: Store(engine).make_due(model, NOW),
    "night: clearing": lambda engine, _: Retention(engine, KEPT, lambda: NOW).clear(Event()),
    "start": lambda engine, model: AssessmentRecords(engine).catch_up(EHR, model, Destination.CHART, NOW),
    "worklist": lambda engine, model: next(AssessmentRecords(engine).current(model)),
    "worklist: what was accepted": lambda engine, _: CardRecords(engine).acted_on("ServiceRequest"),
    "outbox": lambda engine, _: OutboxRecords(engine).letters([OutboxState.QUEUED, OutboxState.DEAD]),
    "trail of one patient": lambda engine, _: list(AuditTrail(engine).entries(ehr=EHR, patient_id=HER)),
    "metrics: queue": operations(Operations.errands),
    "metrics: oldest": operations(Operations.oldest_queued_at),
    "metrics: refusals": operations(Operations.refusals),
    "metrics: letters": operations(Operations.letters),
    "metrics: cards": operations(Operations.cards),
    "metrics: spread": operations(Operations.spread),
    "operator: cards of a month": operations(lambda shown: shown.cards(MONTH_AGO)),
    "report: refusals": lambda engine, model: refusals_by_month(engine, model, date(2020, 1, 1)),
}
WHOLE = {
    "night: clearing": whole("each row is looked at once a night", "arrival", "card", "feedback", "outbox", SORTED),
    "night: what waits": whole("it is all that waits", "scoring"),
    "night: all known exams": whole("it is about all exams", "exam", "scoring"),
    "night: what failed": whole("once a night, of all that waits", "scoring"),
    "start": whole("once, when a worker starts: it is about all that was concluded", "assessment", "outbox"),
    "outbox": whole("it is all that waits", "assessment", "outbox"),
    "operator: cards of a month": whole("a month is a large part", "feedback", SORTED),
    "worklist": whole("it is of everybody; SQLite reads those over the threshold only", "assessment", SORTED),
    "worklist: what was accepted": whole("it is all that was accepted", "card", "feedback", SORTED),
    "metrics: queue": whole("all are counted", "scoring"),
    "metrics: oldest": whole("it is all that waits", "scoring"),
    "metrics: refusals": whole("they are counted once a minute", "scoring"),
    "metrics: letters": whole("all are counted", "outbox"),
    "metrics: cards": whole("all are counted", "card", "feedback", SORTED),
    "metrics: spread": whole(
        "the monthly spread is of a year's scores; kept for a quarter of an hour", "score", SORTED
    ),
    "report: refusals": whole("it is of all exams of some years", "exam", "scoring", SORTED),
}
NEEDED = {
    "exam_of_patient": "page",
    "exam_of_study": "night",
    "scoring_queue": "worker",
    "scoring_unassessed": "clerk",
    "assessment_of_patient": "clerk",
    "outbox_queue": "clerk",
    "outbox_finished": "night",
    "card_of_patient": "hook",
    "card_made": "operator: cards of a month",
    "audit_of_patient": "trail of one patient",
}
"""Indexes, and a question that reads a table whole without it."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database with the exams of many women."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'store.sqlite'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql_server")
        url = server.new_database()
    engine = fill(url, WOMEN)
    yield engine
    engine.dispose()


def read_whole(engine: Engine, question: str) -> set[str]:
    """The tables that the answer to a question takes from end to end, but for those that it may."""
    with engine.connect() as connection:
        model = model_of(connection)
    with whole_reads(engine) as found:
        QUESTIONS[question](engine, model)
    return found - WHOLE[question].tables if question in WHOLE else found


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_large_table_whole_but_those_that_are_said_to(many: Engine, question: str) -> None:
    assert read_whole(many, question) == set()


@pytest.mark.parametrize("name", NEEDED)
def test_a_question_that_loses_its_index_reads_a_large_table_whole(many: Engine, name: str) -> None:
    index = next(one for table in SQLModel.metadata.tables.values() for one in table.indexes if one.name == name)
    index.drop(many)
    try:
        assert read_whole(many, NEEDED[name]) != set()
    finally:
        index.create(many)
