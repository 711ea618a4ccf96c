"""The patient-view service: it speaks of what is new or over the threshold, and of what could not be looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fhir_mappings.orders import usual_order_codes
from hooks.contract import ContractError, Withheld
from hooks.earlier_cards import EarlierCard
from hooks.patient_view import SERVICE, concerns
from hooks.request import HookRequest
from hooks.site import Mode, PatientView
from model.domain import Assessment
from tests.hooks.builders import SITE, TODAY, call, history_of, one_exam, patient_view_body, pending, refused, scored

REQUEST = HookRequest.from_json(patient_view_body())
UNDER = one_exam(scored(0.012))
OVER = one_exam()
SEEN_AT = datetime(2026, 5, 20, 9, tzinfo=UTC)


def seen(assessment: Assessment) -> EarlierCard:
    """The record of the card that this assessment makes."""
    (card,) = SERVICE.answer(call(REQUEST, assessment))
    return EarlierCard(card.kind, card.study_uid, SEEN_AT, refusal=card.reasoning.refusal)


def withheld(assessment: Assessment, wanted: PatientView, *earlier: EarlierCard) -> Withheld | None:
    """Why the one card of a chart that is opened is not sent."""
    (card,) = SERVICE.answer(call(REQUEST, assessment, replace(SITE, patient_view=wanted), earlier))
    return card.withheld


@pytest.mark.parametrize(
    ("assessment", "wanted", "first", "again"),
    [
        (UNDER, PatientView.NEW_OR_OVER, None, Withheld.NOTHING_NEW),
        (UNDER, PatientView.NEW, None, Withheld.NOTHING_NEW),
        (UNDER, PatientView.OVER, Withheld.NOTHING_NEW, Withheld.NOTHING_NEW),
        (OVER, PatientView.NEW_OR_OVER, None, None),
        (OVER, PatientView.NEW, None, Withheld.NOTHING_NEW),
        (OVER, PatientView.OVER, None, None),
    ],
)
def test_it_speaks_of_what_the_site_wants_to_hear(
    assessment: Assessment, wanted: PatientView, first: Withheld | None, again: Withheld | None
) -> None:
    assert withheld(assessment, wanted) is first
    assert withheld(assessment, wanted, seen(assessment)) is again


@pytest.mark.parametrize("wanted", list(PatientView))
@pytest.mark.parametrize("problem", [None, "The archive does not answer."])
def test_what_could_not_be_looked_at_is_said_each_time(wanted: PatientView, problem: str | None) -> None:
    unknown = Assessment(pending=(pending(problem=problem),))
    assert withheld(unknown, wanted) is None
    assert withheld(unknown, wanted, seen(unknown)) is None


def test_a_newer_exam_is_new() -> None:
    before = seen(Assessment(history_of({2024: 0.01, 2025: 0.011})))
    assert withheld(Assessment(history_of({2024: 0.01, 2025: 0.011, 2026: 0.012})), PatientView.NEW, before) is None


def test_a_new_score_of_the_same_exam_is_new() -> None:
    before = seen(UNDER)
    for scored_at, expected in ((SEEN_AT, Withheld.NOTHING_NEW), (SEEN_AT + timedelta(seconds=1), None)):
        assert withheld(one_exam(scored(0.013, scored_at=scored_at)), PatientView.NEW, before) is expected


def test_each_exam_that_cannot_be_scored_is_told_of_once() -> None:
    judged = history_of({2024: 0.01})
    first = Assessment(judged, refused=(refused(),))
    then = Assessment(judged, refused=(refused(), replace(refused(TODAY, "Implant."), study_uid="1.2.100")))
    assert withheld(first, PatientView.NEW, seen(first)) is Withheld.NOTHING_NEW
    assert withheld(then, PatientView.NEW, seen(first)) is None


def test_an_exam_that_cannot_be_scored_for_other_reasons_is_new() -> None:
    first, then = Assessment(refused=(refused(),)), Assessment(refused=(refused(sentence="Implant."),))
    assert withheld(first, PatientView.NEW, seen(first)) is Withheld.NOTHING_NEW
    assert withheld(then, PatientView.NEW, seen(first)) is None


def test_a_patient_without_exams_gets_no_card() -> None:
    assert SERVICE.answer(call(REQUEST, Assessment())) == ()


def test_in_silent_mode_the_record_tells_which_cards_would_have_been_shown() -> None:
    silent = replace(SITE, mode=Mode.SILENT)
    (shown,) = SERVICE.answer(call(REQUEST, UNDER, silent))
    (old,) = SERVICE.answer(call(REQUEST, UNDER, silent, (seen(UNDER),)))
    assert (shown.withheld, old.withheld) == (Withheld.SILENT, Withheld.NOTHING_NEW)


@pytest.mark.parametrize("user", ["Practitioner/a", "PractitionerRole/a", "Patient/p1", "RelatedPerson/a"])
def test_Q14_whoever_opens_the_chart_is_answered(user: str) -> None:  # noqa: N802 - the checklist's id
    body = patient_view_body()
    body["context"]["userId"] = user
    (card,) = SERVICE.answer(call(HookRequest.from_json(body)))
    order = next(action.resource for s in card.suggestions for action in s.actions if action.resource)
    assert ("requester" in order) == user.startswith("Practitioner")


@pytest.mark.parametrize("member", ["userId", "patientId"])
def test_what_patient_view_requires_is_missed_by_name(member: str) -> None:
    body = patient_view_body()
    del body["context"][member]
    with pytest.raises(ContractError, match=member):
        concerns(HookRequest.from_json(body), usual_order_codes())
