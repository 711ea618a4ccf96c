"""What waits and what came to nothing, counted on every database."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine

from cds.store.queue_counts import NO_REASON, count_errands, count_refusals, oldest_queued_at
from cds.store.store import EVERYTHING, Store
from model.domain import RefusedExam
from tests.cds.builders import MODEL, NOW, claimed, new_exam, refused, scored

LATER = NOW + timedelta(hours=1)


def test_refusals_are_counted_by_their_first_reason(engine: Engine, store: Store) -> None:
    store.register([new_exam(f"1.2.{n}") for n in range(4)], MODEL.key, NOW)
    for _ in range(2):
        store.save_refusal(claimed(store), refused(), NOW)
    store.save_refusal(claimed(store), RefusedExam("1.2.9", None, ()), NOW)
    store.save_score(claimed(store), scored())

    assert count_refusals(engine, MODEL.key) == {"missing-view": 2, NO_REASON: 1}
    assert count_refusals(engine, "another model") == {}


def test_what_has_waited_longest_is_told_and_what_is_held_does_not_count(engine: Engine, store: Store) -> None:
    assert oldest_queued_at(engine, MODEL.key) is None

    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    store.register([new_exam("1.2.2")], MODEL.key, LATER)
    assert oldest_queued_at(engine, MODEL.key) == NOW

    store.save_failure(claimed(store), "no answer", NOW)
    assert oldest_queued_at(engine, MODEL.key) == LATER
    assert count_errands(engine, MODEL.key) == {"held": 1, "queued": 1}


def test_the_backlog_of_a_new_model_is_counted_by_itself_and_does_not_count_as_waiting(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam(f"1.2.{number}", f"p{number}") for number in range(3)], "the old model", NOW)
    store.queue_known(MODEL.key, EVERYTHING, NOW)
    assert oldest_queued_at(engine, MODEL.key) is None

    store.register([new_exam("1.2.9", "p9")], MODEL.key, LATER)
    store.register([new_exam("1.2.0", "p0")], MODEL.key, LATER, urgent=True)
    store.save_failure(claimed(store, LATER), "no answer", LATER)

    assert count_errands(engine, MODEL.key) == {"held": 1, "queued": 1, "backlog": 2}
    assert oldest_queued_at(engine, MODEL.key) == LATER
