"""Everything that is asked of a store, by those who ask: hook, page, worker, clerk, night, lists and metrics."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Event
from uuid import uuid4

from sqlalchemy import Engine

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
from cds.store.unscored import unscored_exams
from model.domain import ExclusionReason
from tests.cds.builders import LEASE, conclusion, refused, scored
from tests.cds.store.many_women import EHR, FIRST, STUDY

HER = "woman-9000"
NOW = datetime.now(UTC) + timedelta(hours=1)
"""Later than all that is stored."""
MONTH_AGO = NOW - timedelta(days=30)
_NUMBERS = count(1)
KEPT = dict.fromkeys(Kind, timedelta(days=400))


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
    arrivals.see(f"{STUDY}.9", 5, NOW)
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
    "night: what is not refused any more": lambda engine, model: Store(engine).queue_refused(
        model, ExclusionReason.DEVICE_NOT_VALIDATED, EVERYTHING, NOW
    ),
    "night: what waits": lambda engine, model: Store(engine).untried(model, NOW),
    "night: what failed": lambda engine, model: Store(engine).make_due(model, NOW),
    "night: clearing": lambda engine, _: Retention(engine, KEPT, lambda: NOW).clear(Event()),
    "rescore: one patient": lambda engine, model: Store(engine).queue_known(model, Selection(patient_id=HER), NOW),
    "start": lambda engine, model: AssessmentRecords(engine).catch_up(EHR, model, Destination.CHART),
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
    "report: without a score": lambda engine, model: list(unscored_exams(engine, model)),
}
