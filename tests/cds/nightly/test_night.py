"""One run over the site at a time, with what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from threading import Event

import pytest
from sqlalchemy import Engine

from cds.nightly.lease import held
from cds.nightly.night import Found, Look, Night, RunUnderWay, lease_of
from cds.store.assessments import AssessmentRecords
from cds.store.outbox import OutboxRecords
from cds.store.runs import RunRecords, RunSummary
from cds.store.store import EVERYTHING, NewExam, Selection, Store
from cds.store.tables import Destination
from model.domain import ExclusionReason
from tests.cds.builders import EHR, MODEL, NOW, Clock, conclusion, new_exam, refused, scored

MINUTE = timedelta(minutes=1)


class Finds:
    """A look that finds these exams, and could not look at something."""

    def __init__(self, store: Store, *exams: NewExam, problem: str = "") -> None:
        self.store, self.exams, self.problem = store, exams, problem

    def __call__(self, found: Found) -> None:
        found.exams += self.store.register(self.exams, MODEL.key, NOW)
        found.problems += [self.problem] if self.problem else []


def night(engine: Engine, *looks: Look, model: str = MODEL.key, clock: Clock | None = None) -> Night:
    return Night(looks, Store(engine), RunRecords(engine), model, clock or Clock(), "this process")


def settle(store: Store, model: str = MODEL.key, selection: Selection = EVERYTHING) -> Sequence[str]:
    """What a worker does: the first exam is refused, the second one fails, all others are scored."""
    done: list[str] = []
    while job := store.claim(model, NOW, timedelta(hours=9), selection=selection):
        uid = job.study_uid or ""
        done.append(uid)
        if len(done) == 1:
            store.save_refusal(job, refused(uid), NOW)
        elif len(done) == 2:
            store.save_failure(job, "the archive does not answer", NOW)
        else:
            store.save_score(job, scored(uid))
    return done


def test_a_run_finds_settles_and_sums_up_and_the_summary_is_kept(engine: Engine, store: Store) -> None:
    exams = [new_exam(f"1.2.{number}") for number in range(5)]
    run = night(engine, Finds(store, *exams), Finds(store, problem="ehr-2: no connection"))

    summary = run.run(lambda _: settle(store))

    expected = RunSummary(5, 3, {"missing-view": 1}, {"the archive does not answer": 1}, 0, ("ehr-2: no connection",))
    assert summary == expected
    (kept,) = RunRecords(engine).last()
    assert (kept.found, kept.scored, kept.failed) == (5, 3, {"the archive does not answer": 1})
    assert kept.finished_at == NOW


def test_a_second_run_at_the_same_time_is_refused_and_the_first_goes_on(engine: Engine, store: Store) -> None:
    elsewhere = held(RunRecords(engine), lease_of(MODEL.key), "another process", Clock())
    with elsewhere, pytest.raises(RunUnderWay, match="killed, try again in 5 minutes"):
        night(engine).run(lambda _: None)

    assert RunRecords(engine).last() == []
    assert night(engine).run(lambda _: None) == RunSummary()


def test_a_run_with_another_model_neither_stops_the_sites_own_nor_is_stopped_by_it(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    summaries: list[RunSummary] = []

    def meanwhile(_: datetime) -> None:
        summaries.append(night(engine, Finds(store, new_exam("1.2.2"))).run(lambda _: None))
        with pytest.raises(RunUnderWay, match="a run with this model"):
            night(engine, model="another").run(lambda _: None)

    summary = replace(night(engine, model="another"), holder="another process").run(meanwhile)

    assert ([one.found for one in summaries], summary.found) == ([1], 0)
    assert [run.finished_at for run in RunRecords(engine).last()] == [NOW, NOW]
    assert store.queued("another") == {None: 1}


def test_what_the_runs_of_two_models_came_to_is_told_apart(engine: Engine, store: Store) -> None:
    store.register([new_exam(f"1.2.{number}", f"p{number}") for number in range(3)], MODEL.key, NOW)
    records, outbox = AssessmentRecords(engine), OutboxRecords(engine)
    own: list[RunSummary] = []

    def of_the_site(_: datetime) -> None:
        settle(store)
        records.assess(EHR, "p2", MODEL.key, NOW, lambda *_: conclusion("1.2.2"), {Destination.CHART})
        letter = outbox.claim(NOW, MINUTE)
        assert letter is not None
        outbox.delivered(letter, "RiskAssessment/1", NOW)

    other = night(engine, model="another").run(lambda _: own.append(night(engine).run(of_the_site)))

    assert [(one.scored, one.written) for one in (*own, other)] == [(1, 1), (0, 0)]


def test_what_waits_for_its_next_attempt_is_tried_in_a_run(engine: Engine, store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    job = store.claim(MODEL.key, NOW, MINUTE)
    assert job is not None
    store.save_failure(job, "no answer", NOW)

    tried: list[str] = []
    night(engine, clock=Clock(NOW + timedelta(seconds=1))).run(
        lambda started: tried.extend(
            one.study_uid or "" for one in [store.claim(MODEL.key, started, MINUTE)] if one is not None
        )
    )

    assert tried == ["1.2.1"]


def test_another_model_scores_the_whole_archive_by_the_same_run(engine: Engine, store: Store) -> None:
    store.register([new_exam(f"1.2.{number}") for number in range(4)], MODEL.key, NOW)
    settle(store)

    done: list[str] = []
    night(engine, model="another").run(lambda _: done.extend(settle(store, "another")))

    assert sorted(done) == [f"1.2.{number}" for number in range(4)]


def test_of_a_selection_only_its_exams_are_queued(engine: Engine, store: Store) -> None:
    exams = [
        new_exam("1.2.1", performed_on=date(2020, 5, 3)),
        new_exam("1.2.2", performed_on=date(2024, 5, 3)),
        new_exam("1.2.3"),
        new_exam("1.2.4", "p2", performed_on=date(2025, 5, 3)),
    ]
    store.register(exams, MODEL.key, NOW)

    def queued(selection: Selection, model: str) -> list[str]:
        done: list[str] = []
        night(engine, model=model).run(lambda _: done.extend(settle(store, model)), selection)
        return sorted(done)

    assert queued(Selection(since=date(2024, 5, 3)), "a") == ["1.2.2", "1.2.3", "1.2.4"]
    assert queued(Selection(patient_id="p2"), "b") == ["1.2.4"]
    assert queued(Selection("p1", date(2024, 5, 4)), "c") == ["1.2.3"]


def test_a_selection_leaves_what_else_is_queued_to_others(store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.4", "p2")], MODEL.key, NOW)

    hers = Selection(patient_id="p2")
    assert settle(store, selection=hers) == ["1.2.4"]
    assert store.queued(MODEL.key) == {None: 1}
    assert store.untried(MODEL.key, NOW, hers) == 0


def test_a_run_that_was_killed_is_taken_up_by_the_next_one(engine: Engine, store: Store) -> None:
    exams = [new_exam(f"1.2.{number}") for number in range(4)]
    runs = RunRecords(engine)
    runs.take_lease(lease_of(MODEL.key), "the killed process", NOW, timedelta(minutes=5))
    runs.start(MODEL.key, NOW)
    Finds(store, *exams)(Found())
    assert store.claim(MODEL.key, NOW, timedelta(minutes=3)) is not None

    with pytest.raises(RunUnderWay):
        night(engine).run(lambda _: None)
    later = Clock(NOW + timedelta(minutes=6))

    done: list[str] = []

    def work(started: datetime) -> None:
        while job := store.claim(MODEL.key, started, timedelta(hours=9)):
            done.append(job.study_uid or "")
            store.save_score(job, scored(job.study_uid or "", scored_at=started))

    summary = night(engine, Finds(store, *exams), clock=later).run(work)

    assert (summary.found, summary.scored, sorted(done)) == (0, 4, [f"1.2.{n}" for n in range(4)])
    assert [run.finished_at is None for run in runs.last()] == [False, True]


def test_a_run_over_a_selection_leaves_the_others_to_their_next_attempt(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1", "p1"), new_exam("1.2.2", "p2")], MODEL.key, NOW)
    while job := store.claim(MODEL.key, NOW, timedelta(hours=9)):
        store.save_failure(job, "the archive does not answer", NOW)

    night(engine).run(lambda _: None, Selection("p1"))

    job = store.claim(MODEL.key, NOW, timedelta(hours=9))
    assert job is not None
    assert job.patient_id == "p1"
    assert store.claim(MODEL.key, NOW, timedelta(hours=9)) is None


def test_a_run_tries_again_what_was_refused_for_a_reason_that_the_settings_do_not_count_any_more(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    settle(store)  # refused

    assert settled(night(engine), store) == []
    assert settled(replace(night(engine), permitted=[ExclusionReason.TOMOSYNTHESIS]), store) == []
    again = replace(night(engine), permitted=[ExclusionReason.MISSING_VIEW])
    assert settled(again, store, Selection("p2")) == []
    assert settled(again, store) == ["1.2.1"]


def settled(run: Night, store: Store, selection: Selection = EVERYTHING) -> list[str]:
    """What a run has settled."""
    done: list[str] = []
    run.run(lambda _: done.extend(settle(store)), selection)
    return done


def test_a_run_over_the_whole_site_clears_away_what_was_kept_long_enough_and_keeps_count(engine: Engine) -> None:
    run = replace(night(engine), clear=lambda stop: {"cards": 3})

    assert run.run(lambda _: None).cleared == {"cards": 3}
    assert run.run(lambda _: None, Selection("p1")).cleared == {}
    assert [kept.cleared for kept in RunRecords(engine).last()] == [{}, {"cards": 3}]


def test_a_run_that_is_told_to_end_tells_the_clearing_too(engine: Engine) -> None:
    stop = Event()
    stop.set()

    summary = replace(night(engine), clear=lambda told: {"told to end": int(told.is_set())}).run(
        lambda _: None, stop=stop
    )

    assert summary.cleared == {"told to end": 1}
