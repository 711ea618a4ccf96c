"""What the flow diagram says of what was read."""

from __future__ import annotations

from cds.study.cohorts.flow import Flow, Step


def test_what_was_read_is_told_as_it_is_where_every_step_is() -> None:
    flow = Flow(2000, 6000, (Step("without a score", 0, 40),))

    assert flow.read_in_words(11) == "2000 women, 6000 exams"


def test_a_step_of_a_few_does_not_follow_from_what_was_read() -> None:
    flow = Flow(1503, 6031, (Step("without a score", 3, 31),))

    assert flow.read_in_words(11).startswith("about 1500 women, 6031 exams (to hundreds where a step below is not told")
