"""What the flow diagram says of what was read."""

from __future__ import annotations

import pytest

from cds.study.cohorts.flow import Flow, Step


def test_what_was_read_is_told_as_it_is_where_every_step_is() -> None:
    flow = Flow(2000, 6000, (Step("without a score", 0, 40),))

    assert flow.read_in_words(11) == "2000 women, 6000 exams"


def test_a_step_of_a_few_does_not_follow_from_what_was_read() -> None:
    flow = Flow(1503, 6031, (Step("without a score", 3, 31),))

    assert flow.read_in_words(11).startswith("about 1500 women, 6031 exams (to hundreds where a step below is not told")


@pytest.mark.parametrize(
    ("women", "exams", "said"),
    [
        (249, 498, "not told women, not told exams"),
        (200, 494, "200 women, not told exams"),
        (251, 500, "251 women, 500 exams"),
        (3, 6, "under 11 women, under 11 exams"),
    ],
)
def test_what_is_noted_is_not_told_where_it_would_tell_of_a_few_others(women: int, exams: int, said: str) -> None:
    (step,) = Flow(261, 520, (Step("without a score", 10, 20),)).noting("no last follow-up", women, exams).noted

    assert step.in_words(11) == said


def test_who_is_none_of_the_women_kept_is_told_whatever_is_left_of_those() -> None:
    flow = Flow(100, 200)

    for women, said in {95: "95 women, 0 exams", 3: "under 11 women, 0 exams"}.items():
        assert flow.noting("named, and not seen", women, 0, of=(0, 0)).noted[0].in_words(11) == said
