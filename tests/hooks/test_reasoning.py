"""The reasoning of a card, kept and read back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hooks.ages import ages_by_day
from hooks.exams import exams_newest_first, newest_exam
from hooks.reasoning import Answer, Reasoning
from model.domain import RefusedExam
from tests.hooks.every_card import every_card

ANSWERS = st.builds(Answer, st.text(), st.sampled_from([True, False, None]), st.text(), st.text())


@given(
    st.builds(
        Reasoning,
        st.lists(ANSWERS).map(tuple),
        st.lists(st.text()).map(tuple),
        st.dictionaries(st.text(), st.text()),
        st.none() | st.text(),
        st.none() | st.text(),
    )
)
def test_what_is_kept_as_json_is_read_back_as_it_was(reasoning: Reasoning) -> None:
    assert Reasoning.from_json(json.loads(json.dumps(reasoning.to_json()))) == reasoning


def test_of_a_card_from_before_nothing_is_known() -> None:
    assert Reasoning.from_json({}) == Reasoning()


def test_every_card_keeps_every_answer_of_the_policy_and_everything_that_was_not_known() -> None:
    for told in every_card():
        kept, said = told.card.reasoning, told.recommendation
        assert [(one.rule, one.met, one.fact) for one in kept.answers] == [
            (found.rule, found.met, found.fact) for found in said.findings
        ]
        facts = {answer.fact for answer in kept.answers}
        assert set(said.unknowns) | set(told.assessment.notes) <= facts | set(kept.unknowns)
        assert kept.unknowns[-1].startswith("Not checked here: ")
        assert len(set(kept.unknowns)) == len(kept.unknowns)


def test_only_a_card_of_an_exam_that_was_refused_keeps_why() -> None:
    for told in every_card():
        newest, kept = newest_exam(told.assessment), told.card.reasoning.refusal
        reasons = newest.exclusions if isinstance(newest, RefusedExam) else ()
        assert (kept is None) is (reasons == ())
        assert [one.sentence for one in reasons if one.sentence not in (kept or "")] == []


def test_every_card_keeps_her_age_at_each_exam_where_her_birth_date_tells_it() -> None:
    seen = set()
    for told in every_card():
        days = {exam.performed_on for exam in exams_newest_first(told.assessment) if exam.performed_on}
        assert told.card.reasoning.ages == ages_by_day(told.call.chart.patient.birth_date, days)
        seen.add(bool(told.card.reasoning.ages))
    assert seen == {True, False}
