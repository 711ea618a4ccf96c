"""From a patient's scores that have come to rest to the assessment that her chart is told of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cds.assessment import Join, assessment
from cds.errors import OURS
from cds.store.assessments import AssessmentRecords, Conclusion, Written
from cds.store.database_faults import concerns_all
from cds.store.outcomes import Outcome
from cds.store.tables import Destination
from hooks.chart_entry import chart_entry
from hooks.site import Site
from model.domain import ModelVersion, ScoredExam, Trajectory

log = logging.getLogger(__name__)

PRIORS_NOT_LOOKED_FOR = "The image archive could not be asked for earlier exams."


@dataclass(frozen=True)
class ReportedEhr:
    """What is written about the patients of one EHR, and where it goes."""

    site: Site = field(default_factory=Site)
    destinations: frozenset[Destination] = frozenset()


class Priors(Protocol):
    """Looks for a patient's earlier exams where the EHR's list may lack them."""

    def find(self, ehr: str, patient_id: str) -> int:
        """How many were found that were not known; they are queued. Raises MammoTrendError where it cannot look."""
        ...


class Reporter:
    """Concludes anew of every patient of whom something changed, once none of her exams is under way."""

    def __init__(
        self,
        records: AssessmentRecords,
        model: ModelVersion,
        join: Join,
        ehrs: Mapping[str, ReportedEhr],
        now: Callable[[], datetime],
        priors: Priors | None = None,
    ) -> None:
        self._records, self._model, self._join = records, model, join
        self._ehrs, self._now, self._priors = ehrs, now, priors

    def catch_up(self) -> None:
        """Have concluded anew what was concluded before the site wanted it written."""
        for ehr, told in self._ehrs.items():
            for destination in sorted(told.destinations):
                self._records.catch_up(ehr, self._model.key, destination)

    def has_work(self) -> bool:
        """Whether there is a patient with news."""
        return self._records.next_patient(self._model.key) is not None

    def report_next(self) -> bool:
        """Take the next patient with news; False when there is none. Raises SQLAlchemyError where the store fails."""
        due = self._records.next_patient(self._model.key)
        if due is None:
            return False
        ehr, patient_id = due
        found, notes = self._look_for_priors(ehr, patient_id)
        if not found:  # else they are scored first
            self._assess(ehr, patient_id, notes)
        return True

    def _look_for_priors(self, ehr: str, patient_id: str) -> tuple[int, tuple[str, ...]]:
        if self._priors is None:
            return 0, ()
        try:
            return self._priors.find(ehr, patient_id), ()
        except Exception as fault:  # as in an assessment
            if concerns_all(fault):
                raise
            log.warning("earlier exams could not be looked for: %s", _told(fault))
            return 0, (PRIORS_NOT_LOOKED_FOR,)

    def _assess(self, ehr: str, patient_id: str, notes: Sequence[str]) -> None:
        told = self._ehrs.get(ehr, ReportedEhr())

        def judge(outcomes: Sequence[Outcome], written: Sequence[Written]) -> Conclusion | None:
            trajectory = assessment(outcomes, self._join).trajectory
            if trajectory is None or not trajectory.points:
                return None
            return _conclusion(trajectory, patient_id, told.site, written, notes)

        try:
            self._records.assess(ehr, patient_id, self._model.key, self._now(), judge, told.destinations)
        except Exception as fault:  # one patient's unforeseen fault must not stop the others; her scores are kept
            if concerns_all(fault):
                raise
            log.error("an assessment cannot be made, the last one stands: %s", _told(fault))
            self._records.leave(ehr, patient_id, self._model.key, self._now())


def _told(fault: Exception) -> str:
    """By its kind, which docs/troubleshooting.md goes by; others' words, which may name a patient, are left out."""
    kind = type(fault).__name__
    return f"{kind}: {fault}" if isinstance(fault, OURS) else kind


def _conclusion(
    trajectory: Trajectory, patient_id: str, site: Site, written: Sequence[Written], notes: Sequence[str]
) -> Conclusion:
    latest = trajectory.latest
    identifier, resource = chart_entry(trajectory, patient_id, site, _earlier(latest, written), notes)
    return Conclusion(
        identifier=identifier,
        study_uid=latest.study_uid,
        performed_on=latest.performed_on,
        five_year=latest.score.five_year,
        over_threshold=site.policy.is_crossed_by(latest.score.five_year),
        newly_over=_is_newly_over(trajectory, site.policy.is_crossed_by),
        rising=bool(trajectory.change and trajectory.change > 0 and trajectory.change_is_measurable),
        change=trajectory.change,
        years=trajectory.years,
        resource=resource,
    )


def _is_newly_over(trajectory: Trajectory, is_over: Callable[[float], bool]) -> bool:
    """Whether the index exam is the first of several over the threshold, also of those before the line."""
    *before, latest = (is_over(exam.score.five_year) for exam in (*trajectory.older, *trajectory.points))
    return latest and bool(before) and not any(before)


def _earlier(latest: ScoredExam, written: Sequence[Written]) -> list[str]:
    """The assessments of earlier exams that are in her chart already, oldest first."""
    before = [one for one in written if one.performed_on < latest.performed_on]
    return [one.reference for one in sorted(before, key=lambda one: one.performed_on)]
