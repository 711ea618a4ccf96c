"""The MRI policy as a decision table: each rule at its boundary, unknown kept apart from absent."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.chart import Chart, Unread
from fhir_mappings.circumstances import Circumstance, Circumstances
from fhir_mappings.dates import PartialDate
from fhir_mappings.histories import BreastHistory
from fhir_mappings.imaging_studies import ImagingHistory
from fhir_mappings.orders import Draft, Order, Orders, usual_order_codes
from fhir_mappings.patients import Sex
from hooks.policy import Comparator, Finding, MriPolicy, PolicyError, Recommendation, Rule, recommend
from model.domain import Assessment, ImageType, Trajectory
from tests.hooks.builders import (
    DIAGNOSTIC,
    RISING,
    SCREENING,
    TODAY,
    chart,
    draft,
    exact,
    history_of,
    one_exam,
    order,
    pending,
    refused,
    scored,
)

ABOVE, BELOW = math.nextafter(0.017, 1), math.nextafter(0.017, 0)


def decide(
    patient_chart: Chart | None = None,
    assessment: Assessment | None = None,
    drafts: tuple[Draft, ...] = (),
    **settings: Any,
) -> Recommendation:
    return recommend(
        patient_chart or chart(),
        assessment or Assessment(history_of()),
        drafts,
        MriPolicy(**settings),
        TODAY,
        usual_order_codes(),
    )


def finding(recommendation: Recommendation, rule: Rule) -> Finding:
    return next(found for found in recommendation.findings if found.rule is rule)


def test_a_woman_of_52_over_the_threshold_with_a_complete_record_gets_the_suggestion() -> None:
    decided = decide()
    assert (decided.suggest_mri, decided.over_threshold, decided.unknowns) == (True, True, ())
    assert all(found.met for found in decided.findings)


@pytest.mark.parametrize(
    ("risk", "comparator", "over"),
    [
        (0.017, Comparator.OVER, False),
        (ABOVE, Comparator.OVER, True),
        (BELOW, Comparator.OVER, False),
        (0.017, Comparator.AT_LEAST, True),
        (BELOW, Comparator.AT_LEAST, False),
        (0.0174999, Comparator.OVER, True),
    ],
)
def test_the_unrounded_score_is_compared_with_the_threshold(risk: float, comparator: Comparator, over: bool) -> None:
    decided = decide(assessment=one_exam(scored(risk)), comparator=comparator)
    assert (decided.over_threshold, decided.suggest_mri) == (over, over)


YEAR_1991 = PartialDate(date(1991, 1, 1), date(1991, 12, 31))
MAY_1991 = PartialDate(date(1991, 5, 1), date(1991, 5, 31))
YEAR_1990 = PartialDate(date(1990, 1, 1), date(1990, 12, 31))
YEAR_1992 = PartialDate(date(1992, 1, 1), date(1992, 12, 31))


@pytest.mark.parametrize(
    ("birth", "met"),
    [
        pytest.param(exact(date(1991, 5, 20)), True, id="turns 35 today"),
        pytest.param(exact(date(1991, 5, 21)), False, id="turns 35 tomorrow"),
        pytest.param(YEAR_1990, True, id="35 whichever day of the year"),
        pytest.param(YEAR_1991, None, id="34 or 35 by the year alone"),
        pytest.param(MAY_1991, None, id="34 or 35 by the month alone"),
        pytest.param(YEAR_1992, False, id="under 35 whichever day"),
        pytest.param(None, None, id="no birth date"),
        pytest.param(exact(date(2026, 5, 21)), None, id="born tomorrow"),
        pytest.param(exact(date(1900, 1, 1)), None, id="a placeholder of 126 years"),
    ],
)
def test_age_is_taken_on_the_day_of_the_call_and_must_hold_for_every_possible_birthday(
    birth: PartialDate | None, met: bool | None
) -> None:
    decided = decide(chart(birth=birth))
    assert finding(decided, Rule.AGE).met is met
    assert decided.suggest_mri is (met is True)
    assert decided.over_threshold is True


def test_a_straddling_birth_date_is_named_as_unknown() -> None:
    decided = decide(chart(birth=YEAR_1991))
    assert "Age 34 to 35" in decided.unknowns[0]
    assert decided.obstacles[0].reason == "may be under 35, birth date not exact"


def test_someone_born_on_29_february_is_35_in_march_of_a_common_year() -> None:
    born = chart(birth=exact(date(1992, 2, 29)))
    assessment = one_exam(scored(day=date(2027, 1, 5)))
    ages = {
        day: recommend(born, assessment, (), MriPolicy(), day, usual_order_codes()).suggest_mri
        for day in (date(2027, 2, 28), date(2027, 3, 1))
    }
    assert ages == {date(2027, 2, 28): False, date(2027, 3, 1): True}


@pytest.mark.parametrize(
    ("sex", "met"), [(Sex.FEMALE, True), (Sex.MALE, False), (Sex.OTHER, False), (Sex.UNKNOWN, None)]
)
def test_by_default_only_women_get_the_suggestion(sex: Sex, met: bool | None) -> None:
    decided = decide(chart(sex=sex))
    assert finding(decided, Rule.SEX).met is met
    assert decided.suggest_mri is (sex is Sex.FEMALE)


@pytest.mark.parametrize("sex", list(Sex))
def test_a_site_may_admit_other_recorded_sexes(sex: Sex) -> None:
    assert decide(chart(sex=sex), sexes=frozenset(Sex)).suggest_mri is True


@pytest.mark.parametrize(
    ("deceased", "met", "reason"), [(True, False, "recorded as deceased"), (None, None, "may be deceased")]
)
def test_a_patient_who_is_or_may_be_deceased_gets_no_suggestion(
    deceased: bool | None, met: bool | None, reason: str
) -> None:
    decided = decide(chart(deceased=deceased))
    assert (finding(decided, Rule.LIVING).met, decided.suggest_mri) == (met, False)
    assert [found.reason for found in decided.obstacles] == [reason]


@pytest.mark.parametrize(
    ("record", "reason", "instead"),
    [
        ({"replaced": True}, "patient record was replaced", "Use the record that replaced it."),
        ({"inactive": True}, "patient record is inactive", "Find out which record of the patient is in use."),
        ({"replaced": True, "inactive": True}, "patient record was replaced", "Use the record that replaced it."),
    ],
)
def test_a_record_that_is_not_in_use_gets_its_score_and_no_suggestion_and_says_where_to_go(
    record: dict[str, Any], reason: str, instead: str
) -> None:
    decided = decide(chart(**record, birth=exact(date(1992, 1, 1))))
    assert (decided.suggest_mri, decided.over_threshold) == (False, True)
    assert [(found.reason, found.instead) for found in decided.obstacles[:1]] == [(reason, instead)]


@pytest.mark.parametrize(
    ("history", "met", "suggested"),
    [
        (BreastHistory(False, False), True, True),
        (BreastHistory(True, False), False, False),
        (BreastHistory(False, True), False, False),
        (BreastHistory(True, False, ("2 conditions were not read.",)), False, False),
        (BreastHistory(False, False, ("2 conditions were not read.",)), None, True),
        (Unread("the EHR refused Condition"), None, True),
    ],
)
def test_cancer_carcinoma_in_situ_and_mastectomy_stop_the_suggestion_and_an_unread_history_is_stated(
    history: BreastHistory | Unread, met: bool | None, suggested: bool
) -> None:
    decided = decide(chart(history=history))
    assert finding(decided, Rule.BREAST_HISTORY).met is met
    assert decided.suggest_mri is suggested
    assert bool(decided.unknowns) is (met is None or getattr(history, "problems", ()) != ())


LAST_YEAR = PartialDate(date(2025, 1, 1), date(2025, 12, 31))


UNREAD = ("the EHR did not answer",)
STILL_STANDS = "Find out whether that order still stands."


def done(day: date) -> Order:
    return order(dated=exact(day), status="completed")


@pytest.mark.parametrize(
    ("orders", "met", "suggested"),
    [
        pytest.param((), True, True, id="none"),
        pytest.param((done(date(2025, 5, 20)),), False, False, id="twelve months ago to the day"),
        pytest.param((done(date(2025, 5, 19)),), True, True, id="a day more than twelve months ago"),
        pytest.param((done(TODAY),), False, False, id="done today"),
        pytest.param((done(date(2027, 3, 1)),), False, False, id="next year"),
        pytest.param((order(dated=LAST_YEAR, status="completed"),), None, False, id="some day of last year"),
        pytest.param((order(status="completed"),), None, False, id="completed, no date"),
        pytest.param((order(dated=LAST_YEAR, status="completed"), done(TODAY)), False, False, id="one of two recent"),
        pytest.param((done(date(2025, 5, 19)), order(dated=LAST_YEAR)), False, False, id="one of two is open"),
    ],
)
def test_a_breast_mri_of_the_last_twelve_months_stops_a_second_one_whatever_else_was_not_read(
    orders: tuple[Order, ...], met: bool | None, suggested: bool
) -> None:
    whole, in_part = (decide(chart(mri_orders=Orders(orders, problems))) for problems in ((), UNREAD))
    assert (finding(whole, Rule.BREAST_MRI).met, whole.suggest_mri) == (met, suggested)
    assert (finding(in_part, Rule.BREAST_MRI).met, in_part.suggest_mri) == (None if met else met, suggested)


@pytest.mark.parametrize("status", ["active", "on-hold", "unknown", "", "of-no-standard"])
@pytest.mark.parametrize(
    ("dated", "told", "instead"),
    [
        pytest.param(exact(TODAY), "dated 2026-05-20", "", id="today"),
        pytest.param(exact(date(2025, 5, 20)), "dated 2025-05-20", "", id="twelve months ago to the day"),
        pytest.param(exact(date(2025, 5, 19)), "dated 2025-05-19", STILL_STANDS, id="a day more than twelve months"),
        pytest.param(exact(date(2011, 1, 3)), "dated 2011-01-03", STILL_STANDS, id="long forgotten"),
        pytest.param(LAST_YEAR, "dated 2025-01-01 to 2025-12-31", STILL_STANDS, id="some day of last year"),
        pytest.param(exact(date(2028, 1, 1)), "for 2028-01-01", "", id="planned"),
    ],
)
def test_a_breast_mri_order_that_is_still_open_counts_however_old_it_is_and_its_day_is_told(
    dated: PartialDate, told: str, instead: str, status: str
) -> None:
    older, undated = order(dated=exact(date(2010, 1, 3))), order(status=status)
    decided = decide(chart(mri_orders=Orders((older, order(dated=dated, status=status), undated))))
    found = finding(decided, Rule.BREAST_MRI)
    assert decided.suggest_mri is False
    assert (found.met, found.reason, found.instead) == (False, "breast MRI already ordered", instead)
    assert found.fact == f"A breast MRI is ordered already: an open order {told} is on record."


@pytest.mark.parametrize(
    ("dated", "told", "instead"),
    [
        (exact(TODAY), "dated 2026-05-20", ""),
        (exact(date(2011, 1, 3)), "dated 2011-01-03", "Find out whether that draft still stands."),
        (None, "without a date", "Find out whether that draft still stands."),
    ],
)
def test_an_order_that_nobody_has_signed_is_called_a_draft(dated: PartialDate | None, told: str, instead: str) -> None:
    decided = decide(chart(mri_orders=Orders((order(dated=dated, status="draft"),))))
    found = finding(decided, Rule.BREAST_MRI)
    assert (found.met, found.reason, found.instead) == (False, "breast MRI drafted, not signed", instead)
    assert found.fact == f"A breast MRI is drafted and not signed: a draft {told} is on record."


def test_beside_an_order_a_newer_draft_is_not_what_is_told() -> None:
    signed, drafted = order(dated=exact(date(2026, 1, 3))), order(dated=exact(TODAY), status="draft")
    found = finding(decide(chart(mri_orders=Orders((drafted, signed)))), Rule.BREAST_MRI)
    assert found.fact == "A breast MRI is ordered already: an open order dated 2026-01-03 is on record."


@pytest.mark.parametrize(
    ("another", "reason"),
    [
        (order(dated=exact(date(2026, 4, 20)), status="completed"), "breast MRI in the last 12 months"),
        (order(dated=exact(date(2026, 6, 20)), status="completed"), "breast MRI planned"),
        (order(status="completed"), "breast MRI of uncertain date"),
        (order(dated=exact(date(2020, 4, 20)), status="completed"), "breast MRI drafted, not signed"),
    ],
)
def test_beside_an_mri_that_was_done_lately_or_lies_ahead_a_draft_is_not_what_is_told(
    another: Order, reason: str
) -> None:
    drafted = order(dated=exact(date(2025, 3, 1)), status="draft")
    for orders in ((drafted, another), (another, drafted)):
        found = finding(decide(chart(mri_orders=Orders(orders))), Rule.BREAST_MRI)
        assert (found.withholds, found.reason) == (True, reason)


def test_an_open_order_without_a_date_counts_and_says_so() -> None:
    found = finding(decide(chart(mri_orders=Orders((order(),)))), Rule.BREAST_MRI)
    assert (found.met, found.instead) == (False, STILL_STANDS)
    assert found.fact == "A breast MRI is ordered already: an open order without a date is on record."


@pytest.mark.parametrize(
    ("day", "fact"),
    [
        (TODAY, "A breast MRI was ordered or done in the last 12 months."),
        # Of this evening, where the EHR writes its moments in UTC.
        (date(2026, 5, 21), "A breast MRI was ordered or done in the last 12 months."),
        (date(2026, 5, 22), "A breast MRI is on record for 2026-05-22, which lies ahead."),
        (date.max, "A breast MRI is on record for 9999-12-31, which lies ahead."),
    ],
)
def test_an_mri_of_a_day_that_lies_ahead_was_not_done_lately(day: date, fact: str) -> None:
    found = finding(decide(chart(mri_orders=Orders((done(day),)))), Rule.BREAST_MRI)
    assert (found.met, found.fact) == (False, fact)


def test_of_one_month_it_is_not_said_that_it_is_several() -> None:
    decided = decide(mri_within_months=1, oldest_score_months=1)
    facts = [finding(decided, rule).fact for rule in (Rule.BREAST_MRI, Rule.SCORE_AGE)]
    assert all(" 1 month " in fact for fact in facts)


def test_where_no_mri_is_found_it_is_said_what_was_looked_for() -> None:
    fact = "No breast MRI order of the last 12 months was found, nor an older one that is open."
    assert finding(decide(chart(mri_orders=Orders((done(date(2025, 5, 19)),)))), Rule.BREAST_MRI).fact == fact


@pytest.mark.parametrize(
    "dated", [pytest.param(exact(date(2025, 5, 20)), id="lately"), LAST_YEAR, pytest.param(None, id="no date")]
)
@pytest.mark.parametrize("status", ["active", "completed"])
def test_an_order_that_no_breast_mri_is_to_be_done_stops_the_suggestion_and_says_so(
    dated: PartialDate | None, status: str
) -> None:
    decided = decide(chart(mri_orders=Orders((order(dated=dated, status=status, do_not_perform=True),))))
    assert [found.reason for found in decided.obstacles] == ["breast MRI ordered not to be done"]


def test_a_decision_against_a_breast_mri_ends_as_an_order_for_one_does() -> None:
    day = exact(date(2025, 5, 19))
    past, standing = (order(dated=day, status=status, do_not_perform=True) for status in ("completed", "active"))
    assert decide(chart(mri_orders=Orders((past,)))).suggest_mri is True
    assert finding(decide(chart(mri_orders=Orders((past, standing)))), Rule.BREAST_MRI).fact == (
        "An order on record or in draft, dated 2025-05-19, says that no breast MRI is to be done."
    )


def test_mri_orders_that_could_not_be_read_are_owned_up_to() -> None:
    decided = decide(chart(mri_orders=Orders(problems=UNREAD)))
    assert decided.suggest_mri is True
    assert decided.unknowns == (
        "Whether a breast MRI of the last 12 months is on record is not known: orders, drafts or procedures could not "
        "be read in full.",
    )


def test_no_order_is_suggested_to_an_ehr_whose_orders_are_older_than_r4() -> None:
    decided = decide(chart(mri_orders=Orders(problems=UNREAD, before_r4=True)))
    assert finding(decided, Rule.BREAST_MRI).met is None
    assert [found.reason for found in decided.obstacles] == ["orders of FHIR before R4 are not read"]


def test_a_breast_mri_among_the_drafts_stops_a_second_one_selected_or_not() -> None:
    assert decide(drafts=(draft(SCREENING), draft())).suggest_mri is False
    assert decide(drafts=(draft(SCREENING), draft(SCREENING))).suggest_mri is True


def test_a_draft_that_no_breast_mri_is_to_be_done_stops_the_suggestion_and_says_so() -> None:
    decided = decide(drafts=(draft(SCREENING), draft(do_not_perform=True)))
    assert [found.reason for found in decided.obstacles] == ["breast MRI ordered not to be done"]


def test_a_diagnostic_mammogram_among_the_drafts_stops_the_suggestion() -> None:
    decided = decide(drafts=(draft(SCREENING), draft(DIAGNOSTIC)))
    assert [found.reason for found in decided.obstacles] == ["diagnostic mammogram in the draft orders"]
    assert decide(drafts=(draft(SCREENING), draft(DIAGNOSTIC, do_not_perform=True))).suggest_mri is True


@pytest.mark.parametrize(
    ("day", "met"),
    [
        (date(2024, 5, 20), True),
        (date(2024, 5, 19), False),
        (date(2026, 5, 20), True),
        (date(2026, 5, 21), None),
    ],
)
def test_a_score_must_not_be_too_old_nor_of_the_future(day: date, met: bool | None) -> None:
    decided = decide(assessment=one_exam(scored(day=day)))
    assert finding(decided, Rule.SCORE_AGE).met is met
    assert decided.suggest_mri is (met is True)
    assert decided.over_threshold is True


EARLIER = history_of({2024: 0.03, 2025: 0.046})
SYNTHETIC = scored(0.05, date(2026, 5, 10), image_type=ImageType.SYNTHETIC_2D)


@pytest.mark.parametrize(
    ("assessment", "met", "suggested"),
    [
        (Assessment(EARLIER, pending=(pending(),)), None, False),
        (Assessment(EARLIER, pending=(pending(None),)), None, False),
        (Assessment(EARLIER, pending=(pending(problem="The archive does not answer"),)), None, True),
        (Assessment(EARLIER, refused=(refused(),)), None, True),
        (Assessment(history_of(RISING, SYNTHETIC)), None, True),
        (Assessment(EARLIER, pending=(pending(date(2023, 5, 3)),), refused=(refused(date(2022, 5, 3)),)), True, True),
    ],
)
def test_the_suggestion_waits_for_a_newer_exam_only_while_it_is_being_scored(
    assessment: Assessment, met: bool | None, suggested: bool
) -> None:
    decided = decide(assessment=assessment)
    assert (finding(decided, Rule.NEWEST_EXAM).met, decided.suggest_mri) == (met, suggested)
    assert bool(decided.unknowns) is (met is None)


@pytest.mark.parametrize(
    "assessment",
    [
        Assessment(refused=(refused(),)),
        Assessment(pending=(pending(),)),
        Assessment(pending=(pending(problem="The archive does not answer"),)),
        Assessment(Trajectory((), apart=(scored(),))),
        Assessment(),
    ],
)
def test_where_there_is_no_score_none_is_said_to_be_of_the_newest_exam(assessment: Assessment) -> None:
    decided = decide(assessment=assessment)
    found = finding(decided, Rule.NEWEST_EXAM)
    assert (found.met, found.fact) == (None, finding(decided, Rule.SCORE).fact)
    assert decided.unknowns.count(found.fact) == 1


def test_without_a_score_nothing_is_over_or_under_the_threshold() -> None:
    decided = decide(assessment=Assessment(refused=(refused(),)))
    assert (decided.over_threshold, decided.suggest_mri) == (None, False)


def test_problems_of_the_chart_are_unknowns_and_each_is_said_once() -> None:
    problem = "1 study of another patient was left out."
    decided = decide(chart(problems=(problem,), exams=ImagingHistory((), (problem,))))
    assert decided.unknowns == (problem,)


def test_problems_of_every_part_are_unknowns() -> None:
    parts = chart(
        problems=("1 order was left out.",),
        exams=ImagingHistory((), ("1 study was left out.",)),
        history=BreastHistory(True, False, ("1 condition was left out.",)),
    )
    assert decide(parts).unknowns == ("1 order was left out.", "1 study was left out.", "1 condition was left out.")


@given(
    sex=st.sampled_from(Sex),
    deceased=st.booleans(),
    born=st.dates(date(1930, 1, 1), TODAY),
    risk=st.floats(0, 1),
    cancer=st.booleans(),
    is_ordered=st.booleans(),
)
def test_a_suggestion_needs_every_rule_to_hold(
    sex: Sex, deceased: bool, born: date, risk: float, cancer: bool, is_ordered: bool
) -> None:
    patient = chart(
        sex=sex,
        deceased=deceased,
        birth=exact(born),
        history=BreastHistory(cancer, False),
        mri_orders=Orders((order(dated=exact(TODAY)),) if is_ordered else ()),
    )
    expected = (
        sex is Sex.FEMALE
        and not (deceased or cancer or is_ordered)
        and (born.year + 35, born.month, born.day) <= (2026, 5, 20)
        and risk > 0.017
    )
    decided = decide(patient, one_exam(scored(risk)))
    assert decided.suggest_mri is expected
    assert decided.suggest_mri or decided.over_threshold is False or decided.obstacles


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 1.7},
        {"threshold": 0},
        {"minimum_age_years": -1},
        {"mri_within_months": -1},
        {"minimum_detectable_change": 1.5},
        {"minimum_detectable_change": 0.0},
        {"minimum_detectable_change": float("nan")},
        {"gap_months": 0},
        {"citation": " "},
        {"citation_url": "nccn.org"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=next(iter(settings))):
        MriPolicy(**settings)


@pytest.mark.parametrize(
    ("circumstance", "rule", "reason"),
    [
        (Circumstance.RAISED_RISK, Rule.RAISED_RISK, "hereditary risk on record"),
        (Circumstance.LIFETIME_RISK, Rule.LIFETIME_RISK, "raised lifetime risk on record"),
        (Circumstance.CHEST_IRRADIATION, Rule.CHEST_IRRADIATION, "irradiation of the chest on record"),
        (Circumstance.PREGNANCY, Rule.PREGNANCY, "pregnancy on record"),
        (Circumstance.CONTRAST_ALLERGY, Rule.CONTRAST_ALLERGY, "allergy to contrast agent on record"),
        (Circumstance.OPEN_ASSESSMENT, Rule.WORK_UP, "BI-RADS category other than 1 or 2"),
    ],
)
def test_what_is_on_record_stops_the_suggestion_says_what_to_do_instead_and_unread_is_stated(
    circumstance: Circumstance, rule: Rule, reason: str
) -> None:
    present = decide(replace(chart(), circumstances=Circumstances(frozenset({circumstance}))))
    unread = decide(replace(chart(), circumstances=Circumstances(unread={circumstance: "no answer"})))

    assert not present.suggest_mri
    assert [found.reason for found in present.obstacles] == [reason]
    assert finding(present, rule).instead
    assert unread.suggest_mri
    assert finding(unread, rule).met is None
    assert any("could not be looked up: " in said and said.endswith(" (no answer).") for said in unread.unknowns)


@pytest.mark.parametrize(
    ("rule", "begins"),
    [
        (Rule.LIFETIME_RISK, "Not found on record: lifetime risk of 20 % or more"),
        (Rule.PREGNANCY, "Not found on record: pregnancy"),
        (Rule.WORK_UP, "The newest BI-RADS category on record, if any, is 1 or 2"),
        (Rule.CONTRAST_ALLERGY, "Not found on record: allergy to a contrast agent"),
    ],
)
def test_what_was_not_found_among_observations_names_the_categories_that_were_looked_at(
    rule: Rule, begins: str
) -> None:
    fact = finding(decide(replace(chart(), circumstances=Circumstances())), rule).fact
    assert fact.startswith(begins)
    is_observed = rule is not Rule.CONTRAST_ALLERGY
    assert fact.endswith("; observations looked at: imaging, exam, procedure, survey, social-history.") is is_observed


@pytest.mark.parametrize(
    "circumstance",
    [
        Circumstance.IRRADIATION,
        Circumstance.RENAL_DISEASE,
        Circumstance.LACTATION,
        Circumstance.BREAST_BIOPSY,
    ],
)
def test_what_is_only_to_be_known_stops_nothing_and_is_said(circumstance: Circumstance) -> None:
    known = decide(replace(chart(), circumstances=Circumstances(frozenset({circumstance}))))
    assert known.suggest_mri
    assert any("on record" in said for said in known.unknowns)


def diagnosed(*orders: Order) -> Chart:
    return replace(chart(), diagnostic_orders=Orders(orders))


@pytest.mark.parametrize(
    ("dated", "status", "met"),
    [
        pytest.param(exact(date(2026, 5, 10)), "active", False, id="after the judged exam"),
        pytest.param(exact(date(2025, 11, 4)), "active", False, id="180 days before it"),
        pytest.param(exact(date(2025, 11, 3)), "active", True, id="181 days before it"),
        pytest.param(
            PartialDate(date(2025, 1, 1), date(2025, 12, 31)), "active", None, id="some day of the year before"
        ),
        pytest.param(None, "active", None, id="open, no date"),
        pytest.param(None, "completed", None, id="done, no date"),
    ],
)
def test_a_diagnostic_mammogram_that_is_or_may_be_about_the_judged_exam_stops_the_suggestion(
    dated: PartialDate | None, status: str, met: bool | None
) -> None:
    decided = decide(diagnosed(order(DIAGNOSTIC, dated=dated, status=status)))
    assert (finding(decided, Rule.DIAGNOSTIC_MAMMOGRAM).met, decided.suggest_mri) == (met, met is True)


def test_that_a_date_is_not_known_is_said_and_not_guessed() -> None:
    decided = decide(replace(diagnosed(order(DIAGNOSTIC)), mri_orders=Orders((order(status="completed"),))))
    assert [found.reason for found in decided.obstacles] == [
        "breast MRI of uncertain date",
        "diagnostic mammogram of uncertain date",
    ]
    assert all("its date is not known exactly" in said for said in decided.unknowns)


def test_a_certain_obstacle_is_named_before_one_that_may_be() -> None:
    decided = decide(diagnosed(order(DIAGNOSTIC), order(DIAGNOSTIC, dated=exact(TODAY))))
    assert finding(decided, Rule.DIAGNOSTIC_MAMMOGRAM).met is False


@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_first_and_the_last_day_there_are_do_no_harm(day: date) -> None:
    assert not decide(diagnosed(order(DIAGNOSTIC)), one_exam(scored(day=day))).suggest_mri
    assert decide(diagnosed(order(DIAGNOSTIC)), Assessment()).over_threshold is None


@pytest.mark.parametrize("sex", [Sex.MALE, Sex.OTHER, Sex.UNKNOWN])
def test_a_site_decides_for_whom_it_suggests(sex: Sex) -> None:
    assert not decide(chart(sex=sex)).suggest_mri
    assert decide(chart(sex=sex), sexes=frozenset({Sex.FEMALE, sex})).suggest_mri


def test_orders_that_could_not_be_read_are_no_absence_of_a_work_up_and_hide_none() -> None:
    recent = order(DIAGNOSTIC, dated=exact(TODAY))
    for orders, met in (((), None), ((recent,), False)):
        decided = decide(replace(chart(), diagnostic_orders=Orders(orders, UNREAD)))
        assert (finding(decided, Rule.DIAGNOSTIC_MAMMOGRAM).met, decided.suggest_mri) == (met, met is None)
