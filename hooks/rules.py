"""The rules of the MRI policy, one function each; unknown is never read as absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

from fhir_mappings.chart import Unread
from fhir_mappings.circumstances import OBSERVED, Circumstance
from fhir_mappings.dates import age_range_years
from fhir_mappings.elements import counted
from fhir_mappings.orders import Order, Orders, is_breast_mri, is_other_mammography
from fhir_mappings.patients import Sex
from hooks.case import Case, Finding, Rule
from hooks.exams import exam_words, is_being_scored, newest_exam, without_usable_score
from hooks.percentages import percent
from hooks.prefetch import OBSERVATION_CATEGORIES
from model.domain import months_before

_OLDEST_AGE_YEARS = 120  # beyond it a birth date is a placeholder, such as 1 January 1900
_NO_SCORE = "No score is known."
_OTHER_PATHWAY = "Breast MRI is decided by that, not by this score."
_FINISH_WORK_UP = "Finish the work-up first."
_LOOKED_AT = f"; observations looked at: {', '.join(OBSERVATION_CATEGORIES)}"


def sex_rule(case: Case) -> Finding:
    """Is the patient of the sex the model was made for?"""
    sex, wanted = case.chart.patient.sex, case.policy.sexes
    if sex in wanted:
        return Finding(Rule.SEX, True, f"Sex on record: {sex}.")
    if sex is Sex.UNKNOWN:
        return Finding(Rule.SEX, None, "Sex is not on record; the model was made for women.", "sex not on record")
    return Finding(Rule.SEX, False, f"Sex on record: {sex}; the model was made for women.", "model made for women")


def living_rule(case: Case) -> Finding:
    """Is the patient not recorded as deceased?"""
    deceased = case.chart.patient.deceased
    if deceased is None:
        fact = "Whether the patient is deceased is not known: the record gives a reason in place of an answer."
        return Finding(Rule.LIVING, None, fact, "may be deceased")
    if deceased:
        return Finding(Rule.LIVING, False, "The patient is recorded as deceased.", "recorded as deceased")
    return Finding(Rule.LIVING, True, "The patient is not recorded as deceased.")


def record_rule(case: Case) -> Finding:
    """Is this record of the patient the one in use? What is ordered on another may be lost, and be ordered twice."""
    patient = case.chart.patient
    if patient.replaced:
        fact, instead = "This patient record was replaced by another one.", "Use the record that replaced it."
        return Finding(Rule.RECORD, False, fact, "patient record was replaced", instead=instead)
    if patient.inactive:
        fact, instead = "This patient record is marked as inactive.", "Find out which record of the patient is in use."
        return Finding(Rule.RECORD, False, fact, "patient record is inactive", instead=instead)
    return Finding(Rule.RECORD, True, "This patient record is not marked as replaced or inactive.")


def age_rule(case: Case) -> Finding:
    """Is the patient old enough today, whichever day an inexact birth date stands for?"""
    minimum, birth = case.policy.minimum_age_years, case.chart.patient.birth_date
    if birth is None:
        return Finding(Rule.AGE, None, "No usable birth date is on record.", "age not known")
    if birth.latest > case.today:
        return Finding(Rule.AGE, None, "The birth date on record may lie after today.", "age not known")
    youngest, oldest = age_range_years(birth, case.today)
    if oldest > _OLDEST_AGE_YEARS:
        return Finding(Rule.AGE, None, "The birth date on record is not plausible.", "age not known")
    if youngest == oldest:
        ages = f"Age {youngest} on the day of this call"
    else:
        ages = f"Age {youngest} to {oldest} on the day of this call, as the birth date on record is not exact"
    fact = f"{ages}; the rule begins at {minimum}."
    if youngest >= minimum:
        return Finding(Rule.AGE, True, fact)
    if oldest < minimum:
        return Finding(Rule.AGE, False, fact, f"under {minimum}")
    return Finding(Rule.AGE, None, fact, f"may be under {minimum}, birth date not exact")


def breast_history_rule(case: Case) -> Finding:
    """Is there no breast cancer, carcinoma in situ (ductal or lobular) or bilateral mastectomy on record?"""
    history = case.chart.history
    if isinstance(history, Unread):
        fact = f"Earlier breast cancer and mastectomy could not be looked up: {_sentence(history.why)}"
        return Finding(Rule.BREAST_HISTORY, None, fact, needed=False)
    if history.breast_cancer:
        fact = "Breast cancer or carcinoma in situ is on record; this rule is not made for follow-up."
        return Finding(Rule.BREAST_HISTORY, False, fact, "breast cancer or carcinoma in situ on record")
    if history.bilateral_mastectomy:
        fact = "Bilateral mastectomy is on record."
        return Finding(Rule.BREAST_HISTORY, False, fact, "bilateral mastectomy on record")
    fact = "No breast cancer, carcinoma in situ or bilateral mastectomy was found on record."
    if history.problems:
        return Finding(Rule.BREAST_HISTORY, None, f"{fact[:-1]}, which was read only in part.", needed=False)
    return Finding(Rule.BREAST_HISTORY, True, fact)


def raised_risk_rule(case: Case) -> Finding:
    """Is the patient not on record for hereditary risk, which has a pathway of its own?"""
    words, reason = "hereditary risk of breast cancer", "hereditary risk on record"
    return _circumstance_rule(case, Rule.RAISED_RISK, Circumstance.RAISED_RISK, words, reason, _OTHER_PATHWAY)


def lifetime_risk_rule(case: Case) -> Finding | None:
    """Is no lifetime risk on record that has a pathway of its own? Not asked without codes for it."""
    asked = Circumstance.LIFETIME_RISK
    if asked in case.chart.circumstances.not_asked:
        return None
    words, reason = "lifetime risk of 20 % or more", "raised lifetime risk on record"
    return _circumstance_rule(case, Rule.LIFETIME_RISK, asked, words, reason, _OTHER_PATHWAY)


def chest_irradiation_rule(case: Case) -> Finding | None:
    """Is no irradiation of the chest in youth on record, which has a pathway of its own? Not asked without codes."""
    asked = Circumstance.CHEST_IRRADIATION
    if asked in case.chart.circumstances.not_asked:
        return None
    words, reason = "irradiation of the chest at 10 to 30 years", "irradiation of the chest on record"
    return _circumstance_rule(case, Rule.CHEST_IRRADIATION, asked, words, reason, _OTHER_PATHWAY)


def pregnancy_rule(case: Case) -> Finding:
    """Is no pregnancy on record that may still last? ACR: MRI with contrast is usually not appropriate then."""
    return _circumstance_rule(
        case,
        Rule.PREGNANCY,
        Circumstance.PREGNANCY,
        "pregnancy",
        "pregnancy on record",
        "Ask again after it.",
    )


def contrast_allergy_rule(case: Case) -> Finding:
    """Is no allergy to gadolinium, or to a contrast agent that is not named, on record?"""
    return _circumstance_rule(
        case,
        Rule.CONTRAST_ALLERGY,
        Circumstance.CONTRAST_ALLERGY,
        "allergy to a contrast agent",
        "allergy to contrast agent on record",
        "Ask radiology which examination is possible.",
    )


def diagnostic_mammogram_rule(case: Case) -> Finding:
    """Is the judged exam no diagnostic mammogram, and is none drafted, ordered or done about it?"""
    rule, codes = Rule.DIAGNOSTIC_MAMMOGRAM, case.order_codes
    if any(is_other_mammography(draft.order, codes) for draft in case.drafts):
        fact = "A diagnostic mammogram is among the draft orders of this session."
        return Finding(rule, False, fact, "diagnostic mammogram in the draft orders", instead=_FINISH_WORK_UP)
    judged_on = case.latest.performed_on if case.latest else case.today
    fact = "A diagnostic mammogram is on record: the judged exam itself, one about it, or a later one."
    found = Finding(rule, False, fact, "diagnostic mammogram on record", instead=_FINISH_WORK_UP)
    since = _days_before(judged_on, case.policy.work_up_days)
    return _unless_ordered(
        found, case.chart.diagnostic_orders, since, "diagnostic mammogram", "about the judged exam or since"
    )


def work_up_rule(case: Case) -> Finding:
    """Is no finding being worked up: no newest BI-RADS category but 1 or 2?"""
    words, reason = "newest BI-RADS category other than 1 and 2", "BI-RADS category other than 1 or 2"
    found = _circumstance_rule(case, Rule.WORK_UP, Circumstance.OPEN_ASSESSMENT, words, reason, _FINISH_WORK_UP)
    # That a category other than two was not found leaves open what was.
    absent = f"The newest BI-RADS category on record, if any, is 1 or 2{_LOOKED_AT}."
    return replace(found, fact=absent) if found.met else found


def information(case: Case) -> tuple[str, ...]:
    """Sentences on what stops nothing and should be known."""
    present = case.chart.circumstances.present
    return tuple(sentence for one, sentence in _INFORMATION.items() if one in present)


# Renal disease and lactation: group II agents are used with care (ACR). Biopsies: earlier benign ones raise AI scores.
_INFORMATION = {
    Circumstance.IRRADIATION: (
        "Irradiation is on record, of no stated part and age; of the chest at 10 to 30 years it has its own pathway."
    ),
    Circumstance.RENAL_DISEASE: "Renal disease is on record: the choice of contrast agent matters.",
    Circumstance.LACTATION: "Lactation is on record.",
    Circumstance.BREAST_BIOPSY: "A breast biopsy is on record: after benign ones image-based scores tend to be higher.",
}


def _circumstance_rule(case: Case, rule: Rule, asked: Circumstance, words: str, reason: str, instead: str) -> Finding:
    circumstances = case.chart.circumstances
    if asked in circumstances.present:
        return Finding(rule, False, f"On record: {words}.", reason, instead=instead)
    if asked in circumstances.unread:
        why = circumstances.unread[asked].strip().rstrip(".")
        return Finding(rule, None, f"Not known, as it could not be looked up: {words} ({why}).", needed=False)
    return Finding(rule, True, f"Not found on record: {words}{_LOOKED_AT if asked in OBSERVED else ''}.")


def breast_mri_rule(case: Case) -> Finding:
    """Is no breast MRI drafted, ordered and still to be done, ordered or done lately, or ordered not to be done?"""
    rule, months, orders = Rule.BREAST_MRI, case.policy.mri_within_months, case.chart.mri_orders
    drafted = [draft.order for draft in case.drafts if is_breast_mri(draft.order, case.order_codes)]
    if any(not order.do_not_perform for order in drafted):
        fact = "A breast MRI is among the draft orders of this session."
        return Finding(rule, False, fact, "breast MRI already in the draft orders")
    since = months_before(case.today, months)
    against = [order for order in (*drafted, *orders.orders) if order.do_not_perform]
    if standing := [order for order in against if order.is_open or _is_since(order, since) is not False]:
        dated = _dated(_newest(standing), case.today)
        fact = f"An order on record or in draft, {dated}, says that no breast MRI is to be done."
        return Finding(rule, False, fact, "breast MRI ordered not to be done", instead="Ask who decided so.")
    unsigned = [order for order in orders.orders if order.status == "draft"]
    orders = replace(orders, orders=tuple(order for order in orders.orders if order.status != "draft"))
    ahead = _still_to_be_done(orders, since, case.today)
    if ahead is not None:
        return ahead
    lately = f"the last {counted(months, 'month', 'months')}"
    found = Finding(rule, False, f"A breast MRI was ordered or done in {lately}.", f"breast MRI in {lately}")
    when, nor = f"of {lately}", ", nor an older one that is open"
    answer = _unless_ordered(found, orders, since, "breast MRI", when, nor)
    # Only now: who reads of a draft may sign it, and must have read of the MRI that was done or is to come.
    return _unsigned(_newest(unsigned), since, case.today) if unsigned and not answer.withholds else answer


def _unsigned(draft: Order, since: date, today: date) -> Finding:
    """A draft is no order yet: who takes it for one leaves it unsigned."""
    fact = f"A breast MRI is drafted and not signed: a draft {_dated(draft, today)} is on record."
    instead = "" if _is_since(draft, since) else "Find out whether that draft still stands."
    return Finding(Rule.BREAST_MRI, False, fact, "breast MRI drafted, not signed", instead=instead)


def _still_to_be_done(orders: Orders, since: date, today: date) -> Finding | None:
    """What is open counts however old it is: its day is told, as an old one may have been forgotten."""
    if still_open := [order for order in orders.orders if order.is_open]:
        order = _newest(still_open)
        fact = f"A breast MRI is ordered already: an open order {_dated(order, today)} is on record."
        instead = "" if _is_since(order, since) else "Find out whether that order still stands."
        return Finding(Rule.BREAST_MRI, False, fact, "breast MRI already ordered", instead=instead)
    # What was done this evening may be of tomorrow where an EHR writes its moments in UTC.
    tomorrow = timedelta(days=1)
    if ahead := [order for order in orders.orders if order.dated and order.dated.earliest - today > tomorrow]:
        fact = f"A breast MRI is on record {_dated(_newest(ahead), today)}, which lies ahead."
        return Finding(Rule.BREAST_MRI, False, fact, "breast MRI planned")
    return None


def _unless_ordered(found: Finding, orders: Orders, since: date, what: str, when: str, nor: str = "") -> Finding:
    """The answer `found` where an order is of that day or later; else that one may be, is not known, or is not there.

    `nor` is what else is not there then. No R4 order is suggested to an EHR that has older ones: it would not know what
    to do with it.
    """
    answers = {_is_since(order, since) for order in orders.orders}
    if True in answers:
        return found
    if None in answers:
        fact = f"A {what} is on record, and its date is not known exactly: it may be {when}."
        return Finding(found.rule, None, fact, f"{what} of uncertain date", instead="Look up when it was.")
    if orders.problems:
        unread = "orders, drafts or procedures could not be read in full"
        fact = f"Whether a {what} {when} is on record is not known: {unread}."
        reason = "orders of FHIR before R4 are not read" if orders.before_r4 else ""
        return Finding(found.rule, None, fact, reason, needed=orders.before_r4)
    return Finding(found.rule, True, f"No {what} order {when} was found{nor}.")


def score_age_rule(case: Case) -> Finding:
    """Is the judged score recent enough to speak of the breast today?"""
    latest, months = case.latest, case.policy.oldest_score_months
    if latest is None:
        return Finding(Rule.SCORE_AGE, None, _NO_SCORE, "no score")
    exam, age = exam_words(latest), counted(months, "month", "months")
    if latest.performed_on > case.today:
        return Finding(Rule.SCORE_AGE, None, f"The date of {exam} lies after today.", "exam date after today")
    if latest.performed_on < months_before(case.today, months):
        fact = f"The score is of {exam}, more than {age} ago."
        return Finding(Rule.SCORE_AGE, False, fact, f"score older than {age}")
    return Finding(Rule.SCORE_AGE, True, f"The score is of {exam}, not more than {age} ago.")


def newest_exam_rule(case: Case) -> Finding:
    """Is the judged score that of the newest exam?

    While a newer one is being scored the suggestion waits for it. A newer one that cannot be scored, or is held, may
    stay so: then the earlier score is used and the card says so.
    """
    newest, latest = newest_exam(case.assessment), case.latest
    if latest is None:
        return Finding(Rule.NEWEST_EXAM, None, _NO_SCORE, "no score")
    if newest is None or newest is latest:
        return Finding(Rule.NEWEST_EXAM, True, "The score is of the newest exam known.")
    fact = f"{without_usable_score(newest)}; the score used is of {exam_words(latest)}."
    if is_being_scored(newest):
        return Finding(Rule.NEWEST_EXAM, None, fact, "a newer exam is being scored")
    return Finding(Rule.NEWEST_EXAM, None, fact, needed=False)


def score_rule(case: Case) -> Finding:
    """Does the unrounded five-year risk cross the threshold?"""
    latest, policy = case.latest, case.policy
    if latest is None:
        return Finding(Rule.SCORE, None, _NO_SCORE, "no score")
    risk = latest.score.five_year
    crossed, shown = policy.is_crossed_by(risk), percent(risk, beside=policy.threshold)
    verdict = "is" if crossed else "is not"
    fact = f"The 5-year score of {exam_words(latest)}, {shown}, {verdict} {policy.rule_words}."
    return Finding(Rule.SCORE, crossed, fact, "" if crossed else f"score not {policy.rule_words}")


RULES: tuple[Callable[[Case], Finding | None], ...] = (
    score_rule,
    record_rule,
    age_rule,
    sex_rule,
    living_rule,
    breast_history_rule,
    raised_risk_rule,
    lifetime_risk_rule,
    chest_irradiation_rule,
    breast_mri_rule,
    diagnostic_mammogram_rule,
    work_up_rule,
    pregnancy_rule,
    contrast_allergy_rule,
    newest_exam_rule,
    score_age_rule,
)


def _is_since(order: Order, since: date) -> bool | None:
    """Whether an order is of a day or later; None where its date does not tell."""
    dated = order.dated
    if dated is None or dated.earliest < since <= dated.latest:
        return None
    return dated.earliest >= since


def _newest(orders: list[Order]) -> Order:
    return max(orders, key=lambda order: order.dated.latest if order.dated else date.min)


def _dated(order: Order, today: date) -> str:
    """The day of an order in words; one that lies ahead is the day for which it is meant."""
    dated = order.dated
    if dated is None:
        return "without a date"
    days = f"{dated.earliest}" if dated.is_exact else f"{dated.earliest} to {dated.latest}"
    return f"for {days}" if dated.earliest > today else f"dated {days}"


def _days_before(day: date, days: int) -> date:
    return day - min(timedelta(days=days), day - date.min)


def _sentence(text: str) -> str:
    return text.strip().rstrip(".") + "."
