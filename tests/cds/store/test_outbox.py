"""What is on its way to the systems outside, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from cds.store.assessments import AssessmentRecords
from cds.store.outbox import MOST_ATTEMPTS, Arrived, Delivery, OutboxRecords
from cds.store.tables import Destination, OutboxState
from cds.store.waiting import FIRST_RETRY, LONGEST_RETRY
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, conclusion
from tests.cds.store.asking import all_at_once

SECOND = timedelta(seconds=1)


@pytest.fixture
def outbox(engine: Engine) -> OutboxRecords:
    return OutboxRecords(engine)


def queue(engine: Engine, study_uid: str = "1.2.1", five_year: float = 0.021, patient_id: str = PATIENT) -> None:
    """An assessment that is to go to the chart."""
    AssessmentRecords(engine).assess(
        EHR, patient_id, MODEL.key, NOW, lambda *_: conclusion(study_uid, five_year), {Destination.CHART}
    )


def claimed(outbox: OutboxRecords, now: object = NOW) -> Delivery:
    delivery = outbox.claim(now, LEASE)  # type: ignore[arg-type] # a moment
    assert delivery is not None
    return delivery


def waiting(outbox: OutboxRecords) -> list[tuple[int, OutboxState, str | None]]:
    letters = outbox.letters([OutboxState.QUEUED, OutboxState.DEAD])
    return [(letter.attempts, letter.state, letter.problem) for letter in letters]


def test_a_delivery_carries_what_is_to_be_written_and_shows_none_of_it(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)

    delivery = claimed(outbox)

    assert (delivery.destination, delivery.ehr, delivery.revision) == (Destination.CHART, EHR, 1)
    assert delivery.resource["subject"] == {"reference": f"Patient/{PATIENT}"}
    assert not [secret for secret in ("1.2.1", "Patient", "subject") if secret in repr(delivery)]


def test_what_is_delivered_is_not_handed_out_again(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    outbox.delivered(claimed(outbox), "RiskAssessment/1", NOW)

    assert outbox.claim(NOW + timedelta(days=9), LEASE) is None
    assert outbox.count_written(MODEL.key, NOW) == 1
    assert outbox.count_written(MODEL.key, NOW + SECOND) == 0
    assert outbox.count_written("another model", NOW) == 0


def test_each_delivery_goes_to_exactly_one_of_many_threads(engine: Engine, outbox: OutboxRecords) -> None:
    for number in range(12):
        queue(engine, f"1.2.{number}", patient_id=f"p{number}")

    def take() -> list[int]:
        taken = []
        while delivery := outbox.claim(NOW, LEASE):
            taken.append(delivery.id)
        return taken

    taken = all_at_once([take] * 4)

    assert len([one for some in taken for one in some]) == 12  # type: ignore[attr-defined]


def test_a_delivery_whose_sender_died_is_handed_out_again_when_its_lease_ends(
    engine: Engine, outbox: OutboxRecords
) -> None:
    queue(engine)
    claimed(outbox)

    assert outbox.claim(NOW + LEASE - SECOND, LEASE) is None
    assert claimed(outbox, NOW + LEASE).attempts == 2


def test_while_one_revision_is_being_delivered_the_next_one_waits(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    first = claimed(outbox)
    queue(engine, five_year=0.05)

    assert outbox.claim(NOW, LEASE) is None
    outbox.delivered(first, "RiskAssessment/1", NOW)
    second = claimed(outbox)

    assert second.revision == 2


def test_what_was_overtaken_on_its_way_is_not_tried_again(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    first = claimed(outbox)
    queue(engine, five_year=0.05)
    outbox.failed(first, "the EHR does not answer", NOW)

    assert claimed(outbox).revision == 2
    assert outbox.claim(NOW + timedelta(days=1), LEASE) is not None  # the second one's lease has ended
    assert waiting(outbox)[0][1] is OutboxState.QUEUED


def test_another_assessment_does_not_wait(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine, "1.2.1")
    queue(engine, "1.2.2", patient_id="p2")

    assert claimed(outbox).id != claimed(outbox).id


def test_a_failed_delivery_waits_twice_as_long_each_time_and_at_least_what_the_ehr_asks_for(
    engine: Engine, outbox: OutboxRecords
) -> None:
    queue(engine)
    now = NOW
    for doubled in (1, 2, 4):
        outbox.failed(claimed(outbox, now), "busy", now)
        assert outbox.claim(now + doubled * FIRST_RETRY - SECOND, LEASE) is None
        now += doubled * FIRST_RETRY

    outbox.failed(claimed(outbox, now), "busy", now, wait=timedelta(hours=2))
    assert outbox.claim(now + timedelta(hours=2) - SECOND, LEASE) is None
    assert claimed(outbox, now + timedelta(hours=2)).attempts == 5


def test_what_cannot_be_delivered_is_given_up_at_once_and_waits_for_somebody(
    engine: Engine, outbox: OutboxRecords
) -> None:
    queue(engine)
    outbox.failed(claimed(outbox), "the EHR does not accept it", NOW, final=True)

    assert outbox.claim(NOW + timedelta(days=99), LEASE) is None
    assert waiting(outbox) == [(1, OutboxState.DEAD, "the EHR does not accept it")]
    assert outbox.retry(NOW) == 1
    assert claimed(outbox).attempts == 1


def test_after_many_attempts_it_is_given_up(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    now = NOW
    for _ in range(MOST_ATTEMPTS):
        outbox.failed(claimed(outbox, now), "no answer", now)
        now += LONGEST_RETRY

    assert waiting(outbox) == [(MOST_ATTEMPTS, OutboxState.DEAD, "no answer")]


def test_only_the_named_ones_are_tried_again_and_none_that_is_on_its_way(engine: Engine, outbox: OutboxRecords) -> None:
    for number in (1, 2, 3):
        queue(engine, f"1.2.{number}", patient_id=f"p{number}")
    first, second = claimed(outbox), claimed(outbox)
    outbox.failed(first, "no", NOW, final=True)
    outbox.failed(second, "no", NOW, final=True)
    claimed(outbox)

    assert outbox.retry(NOW, [second.id, 999]) == 1
    assert claimed(outbox).id == second.id
    assert outbox.claim(NOW, LEASE) is None


def test_a_given_up_revision_is_overtaken_by_the_next_one(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    outbox.failed(claimed(outbox), "no", NOW, final=True)

    queue(engine, five_year=0.05)

    assert [letter.state for letter in outbox.letters(list(OutboxState))] == [OutboxState.OVERTAKEN, OutboxState.QUEUED]


def test_a_clock_that_was_put_back_strands_nothing(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    a_year_ahead = NOW + timedelta(days=365)
    outbox.failed(claimed(outbox, a_year_ahead), "no answer", a_year_ahead)

    assert outbox.claim(NOW, LEASE) is not None


def test_a_clock_that_was_put_back_while_a_sender_died_strands_nothing(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    claimed(outbox, NOW + timedelta(days=365))

    assert outbox.claim(NOW, LEASE) is not None


def test_whether_anything_is_due(engine: Engine, outbox: OutboxRecords) -> None:
    assert not outbox.is_anything_due(NOW)
    queue(engine)
    assert outbox.is_anything_due(NOW)
    claimed(outbox)
    assert not outbox.is_anything_due(NOW)


def test_what_goes_to_somebody_who_does_not_answer_waits_and_nothing_else(
    engine: Engine, outbox: OutboxRecords
) -> None:
    for number in (1, 2, 3):
        queue(engine, f"1.2.{number}", patient_id=f"p{number}")
    elsewhere = conclusion("1.2.9")
    AssessmentRecords(engine).assess("ehr-2", "p9", MODEL.key, NOW, lambda *_: elsewhere, {Destination.CHART})
    first = claimed(outbox)
    outbox.failed(first, "no answer", NOW)

    outbox.put_off(first, NOW + timedelta(minutes=1))

    assert claimed(outbox).ehr == "ehr-2"
    assert outbox.claim(NOW, LEASE) is None
    assert not outbox.is_anything_due(NOW)
    later = NOW + timedelta(minutes=1)
    assert sorted(claimed(outbox, later).attempts for _ in range(3)) == [1, 1, 2]


def slow_sender(engine: Engine, outbox: OutboxRecords) -> tuple[Delivery, Delivery]:
    """One sender that is at the first revision beyond its lease, and another one that then has the second."""
    queue(engine)
    slow = claimed(outbox)
    queue(engine, five_year=0.05)
    return slow, claimed(outbox, NOW + LEASE)


@pytest.mark.parametrize("ends", ["delivered", "failed"])
def test_what_a_slow_sender_may_have_written_over_is_delivered_once_more(
    engine: Engine, outbox: OutboxRecords, ends: str
) -> None:
    slow, other = slow_sender(engine, outbox)
    outbox.delivered(other, "RiskAssessment/1", NOW + LEASE)

    if ends == "delivered":
        outbox.delivered(slow, "RiskAssessment/1", NOW + LEASE)
    else:
        outbox.failed(slow, "no answer", NOW + LEASE)

    again = claimed(outbox, NOW + LEASE)
    assert again.revision == 2
    outbox.delivered(again, "RiskAssessment/1", NOW + LEASE)
    assert not outbox.is_anything_due(NOW + timedelta(days=9))


def test_while_the_other_sender_is_still_at_it_its_turn_comes_again_when_that_ones_lease_ends(
    engine: Engine, outbox: OutboxRecords
) -> None:
    slow, other = slow_sender(engine, outbox)
    outbox.delivered(slow, "RiskAssessment/1", NOW + LEASE)
    outbox.delivered(other, None, NOW + LEASE + SECOND)

    assert not outbox.is_anything_due(NOW + LEASE + SECOND)
    assert outbox.claim(NOW + LEASE + SECOND, LEASE) is None
    again = claimed(outbox, NOW + 2 * LEASE)
    assert again.revision == 2
    outbox.delivered(again, "RiskAssessment/1", NOW + 2 * LEASE)
    assert not outbox.is_anything_due(NOW + timedelta(days=9))


def test_one_letter_that_two_senders_had_is_looked_at_once_more(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    slow = claimed(outbox)
    outbox.delivered(claimed(outbox, NOW + LEASE), "RiskAssessment/1", NOW + LEASE)

    outbox.delivered(slow, "RiskAssessment/2", NOW + LEASE)

    outbox.delivered(claimed(outbox, NOW + LEASE), "RiskAssessment/1", NOW + LEASE)
    assert not outbox.is_anything_due(NOW + timedelta(days=9))


def test_a_sender_in_time_is_followed_by_the_next_revision_once(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    first = claimed(outbox)
    queue(engine, five_year=0.05)
    outbox.delivered(first, "RiskAssessment/1", NOW)

    second = claimed(outbox)
    assert second.attempts == 1
    outbox.delivered(second, "RiskAssessment/1", NOW)
    assert not outbox.is_anything_due(NOW + timedelta(days=9))


def test_a_delivery_knows_what_arrived_before_it_also_what_was_overtaken(engine: Engine, outbox: OutboxRecords) -> None:
    queue(engine)
    first = claimed(outbox)
    assert first.arrived == ()
    queue(engine, five_year=0.05)
    outbox.delivered(first, "RiskAssessment/1", NOW)
    second = claimed(outbox)
    assert second.arrived == (Arrived(1, "RiskAssessment/1"),)
    outbox.failed(second, "no", NOW, final=True)
    queue(engine, five_year=0.06)

    assert claimed(outbox).arrived == (Arrived(1, "RiskAssessment/1"),)
