"""One patient's chart as the prefetch gave it, and what of it could not be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, tzinfo
from functools import partial
from typing import TypeVar

from fhir_mappings.circumstances import Circumstances, read_circumstances
from fhir_mappings.code_sets import CodeSets, code_sets
from fhir_mappings.dates import PartialDate
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import BreastHistory, read_history
from fhir_mappings.imaging_studies import ExamReference, ImagingHistory, read_imaging_studies
from fhir_mappings.orders import (
    Order,
    OrderCodes,
    Orders,
    done_orders,
    is_breast_mri,
    is_other_mammography,
    read_orders,
    usual_order_codes,
)
from fhir_mappings.patients import Patient, read_patient
from fhir_mappings.unread import Unread

T = TypeVar("T")

_NOTHING: list[object] = []


@dataclass(frozen=True)
class Chart:
    """What one call knows of one patient; `problems` are those of every part, in words for the card.

    What was done counts among the orders like what was ordered.
    """

    patient: Patient
    exams: ImagingHistory
    history: BreastHistory | Unread
    mri_orders: Orders
    diagnostic_orders: Orders
    circumstances: Circumstances
    problems: tuple[str, ...] = ()

    def beside_unread_orders(self, problems: tuple[str, ...]) -> Chart:
        """The same where there are further orders, such as drafts, that for these reasons were not all read."""
        unread = Orders(problems=problems)
        return replace(
            self,
            mri_orders=self.mri_orders + unread,
            diagnostic_orders=self.diagnostic_orders + unread,
            problems=self.problems + problems,
        )


def read_chart(
    resources: Mapping[str, object],
    patient_id: str,
    today: date,
    order_codes: OrderCodes | None = None,
    sets: CodeSets | None = None,
    zone: tzinfo = UTC,
) -> Chart:
    """The chart in the prefetched JSON under patient, mammograms, conditions, procedures, orders and further keys.

    The further keys are allergies and observations; `today` tells what may still last. Any of them may be Unread.
    Codes are those that come with the program unless a site's are given; `zone` is the clinic's.
    Raises ResourceProblem where patient or mammograms cannot be had; the others are then Unread in the chart.
    """
    order_codes, sets = order_codes or usual_order_codes(), sets or code_sets()
    patient = _required(resources, "patient", read_patient, patient_id)
    exams = _required(resources, "mammograms", partial(read_imaging_studies, zone=zone), patient_id)
    history = _history(resources, patient_id, sets)
    orders = _orders(resources, "orders", read_orders, patient_id)
    orders += _orders(resources, "procedures", done_orders, patient_id)
    mri_orders = orders.only(is_breast_mri, order_codes)
    diagnostic = (orders + _examined(exams)).only(is_other_mammography, order_codes)
    circumstances = read_circumstances(resources, patient_id, today, sets)
    history_problems = () if isinstance(history, Unread) else history.problems
    problems = tuple(dict.fromkeys(exams.problems + history_problems + orders.problems))
    return Chart(patient, exams, history, mri_orders, diagnostic, circumstances, problems)


def _value(resources: Mapping[str, object], key: str) -> object:
    """What was read under a key; a missing or null one is Unread."""
    value = resources.get(key)
    return Unread("the EHR sent nothing for it") if value is None else value


def _required(resources: Mapping[str, object], key: str, read: Callable[[object, str], T], patient_id: str) -> T:
    """What must be had, or a ResourceProblem that names the key."""
    value = _value(resources, key)
    if isinstance(value, Unread):
        raise ResourceProblem(f"{key}: {value.why}")
    try:
        return read(value, patient_id)
    except ResourceProblem as problem:
        raise ResourceProblem(f"{key}: {problem}") from problem


def _orders(
    resources: Mapping[str, object], key: str, read: Callable[[object, str], Orders], patient_id: str
) -> Orders:
    """What was read under a key, or no orders and why: what is found elsewhere stops a suggestion all the same."""
    value = _value(resources, key)
    if isinstance(value, Unread):
        return Orders(problems=(f"{key}: {value.why}",))
    try:
        return read(value, patient_id)
    except ResourceProblem as problem:
        return Orders(problems=(f"{key}: {problem}",))


def _examined(exams: ImagingHistory) -> Orders:
    """The exams in the form of the orders they fulfilled: a study may say itself that it was diagnostic."""
    return Orders(tuple(_order_of(exam) for exam in exams.exams))


def _order_of(exam: ExamReference) -> Order:
    dated = PartialDate(exam.performed_on, exam.performed_on) if exam.performed_on else None
    return Order(exam.resource, exam.procedures, "completed", "", dated)


def _history(resources: Mapping[str, object], patient_id: str, sets: CodeSets) -> BreastHistory | Unread:
    conditions, procedures = _value(resources, "conditions"), _value(resources, "procedures")
    whole = _read_history(conditions, procedures, patient_id, sets)
    if isinstance(whole, BreastHistory):
        return whole
    without_conditions = _read_history(_NOTHING, procedures, patient_id, sets)
    without_procedures = _read_history(conditions, _NOTHING, patient_id, sets)
    if isinstance(without_procedures, Unread):
        return _if_it_decides(without_conditions, without_procedures)
    return _if_it_decides(without_procedures, whole)


def _read_history(conditions: object, procedures: object, patient_id: str, sets: CodeSets) -> BreastHistory | Unread:
    for value in (conditions, procedures):
        if isinstance(value, Unread):
            return value
    try:
        return read_history(conditions, procedures, patient_id, sets)
    except ResourceProblem as problem:
        return Unread(str(problem))


def _if_it_decides(half: BreastHistory | Unread, unread: Unread) -> BreastHistory | Unread:
    """Half a history is kept only where it already stops the suggestion: its "no" would be a guess."""
    if isinstance(half, BreastHistory) and (half.breast_cancer or half.bilateral_mastectomy):
        return replace(half, problems=(*half.problems, f"the history was read only in part: {unread.why}"))
    return unread
