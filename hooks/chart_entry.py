"""What goes into the chart of a patient's newest score: its RiskAssessment, with the line it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_mappings.risk_assessments import assessment_identifier, risk_assessment
from hooks.card_details import banners, change_note, method_text
from hooks.markdown import plain
from hooks.site import Site
from model.domain import Trajectory


def chart_entry(
    trajectory: Trajectory, patient_id: str, site: Site, earlier: Sequence[str] = (), notes: Sequence[str] = ()
) -> tuple[str, dict[str, Any]]:
    """The identifier and the RiskAssessment of the index exam; raises ResourceProblem where it cannot be written.

    `earlier` are references to the assessments of earlier exams in the same chart, `notes` sentences beside it.
    """
    exam = trajectory.latest
    # What is said here goes with it into the chart: it outlives every card.
    said = (*banners(site, exam.score.model), *exam.warnings, *change_note(trajectory, site.policy), *notes)
    resource = risk_assessment(
        exam,
        patient_id,
        identifier_system=site.identifier_system,
        method_text=plain(method_text(exam.score.model)),
        note=" ".join(map(plain, said)) or None,
        earlier=earlier,
    )
    return assessment_identifier(exam, patient_id), resource
