"""Scores of other model versions: beside the line, whatever they are, and never more drawn than one version's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from cds.assessment import assessment
from cds.pages.other_versions import drawn, with_other_versions
from model.domain import Assessment, ImageType, ScoredExam, Trajectory
from tests.cds.builders import FORMER, MODEL, NOW, join, scored, scored_by

OLDEST = replace(MODEL, weights="f" * 64)
DAYS = {"1.2.1": date(2024, 5, 3), "1.2.2": date(2025, 5, 3), "1.2.3": date(2026, 5, 3), "1.2.4": date(2026, 5, 3)}
HERS = assessment([scored(study_uid, 0.02, day) for study_uid, day in list(DAYS.items())[:3]], join)
OTHERS = st.lists(
    st.builds(
        lambda model, study_uid, risk, hours, kind: scored_by(
            model, study_uid, risk, DAYS[study_uid], scored_at=NOW + timedelta(hours=hours), image_type=kind
        ),
        st.sampled_from([FORMER, OLDEST]),
        st.sampled_from(sorted(DAYS)),
        st.floats(0, 1),
        st.integers(-3, 3),
        st.sampled_from(ImageType),
    ),
    max_size=8,
)


def shown(known: Assessment, others: Sequence[ScoredExam]) -> Trajectory:
    line = with_other_versions(known, others, join)
    assert line is not None
    return line


@given(OTHERS)
def test_they_stand_apart_and_change_nothing_of_the_line(others: list[ScoredExam]) -> None:
    line = shown(HERS, others)

    assert replace(line, apart=()) == HERS.trajectory
    assert {exam.comparability for exam in line.apart} == {exam.comparability for exam in others}


@given(OTHERS, st.randoms(use_true_random=False))
def test_neither_the_order_in_which_they_are_read_nor_a_second_key_of_a_study_matters(
    others: list[ScoredExam], random: Random
) -> None:
    again = [*others, *others[:2]]
    random.shuffle(again)

    line = shown(HERS, again)

    assert line == shown(HERS, others)
    assert drawn(line, MODEL.key) == drawn(shown(HERS, others), MODEL.key)


@given(OTHERS)
def test_of_several_versions_only_the_one_that_scored_last_is_drawn(others: list[ScoredExam]) -> None:
    line = shown(HERS, others)

    seen = drawn(line, MODEL.key)

    assert replace(seen, apart=()) == HERS.trajectory
    assert len({exam.comparability.model for exam in seen.apart}) == min(1, len(others))
    left = [exam.scored_at for exam in line.apart if exam not in seen.apart]
    assert all(moment <= max(exam.scored_at for exam in seen.apart) for moment in left)


def test_another_kind_of_image_that_the_model_in_use_scored_is_drawn_in_any_case() -> None:
    synthetic = scored("1.2.9", image_type=ImageType.SYNTHETIC_2D)
    known = assessment([scored(), synthetic], join)
    former, oldest = scored_by(FORMER), scored_by(OLDEST, scored_at=NOW - timedelta(days=1))

    line = shown(known, [oldest, former])

    assert set(line.apart) == {synthetic, former, oldest}
    assert set(drawn(line, MODEL.key).apart) == {synthetic, former}


def test_where_the_model_in_use_has_scored_nothing_yet_they_are_all_that_is_shown_and_no_line() -> None:
    line = shown(Assessment(), [scored_by(FORMER, "1.2.1"), scored_by(FORMER, "1.2.2")])

    assert (line.points, line.change, line.first_over) == ((), None, None)
    assert len(line.apart) == 2


def test_without_any_score_there_is_no_line() -> None:
    assert with_other_versions(Assessment(), [], join) is None
