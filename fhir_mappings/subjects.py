"""Whose a resource is: another patient's is left out, and said so."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fhir_mappings.elements import Json, counted
from fhir_mappings.references import reference_id


def subject_id(resource: Json) -> str | None:
    """The id of the Patient a resource is about: `subject`, or `patient` before R4; None where none is named."""
    return reference_id(resource.get("subject") or resource.get("patient"), "Patient")


def of_patient(
    resources: Iterable[Json], patient_id: str, singular: str, plural: str, beside: Collection[str] = ()
) -> tuple[list[Json], tuple[str, ...]]:
    """The patient's own resources, and a sentence on those that are another's or do not say whose they are.

    Those of patients who may stand `beside` her are left out without a word.
    """
    kept, others, unnamed = [], 0, 0
    for resource in resources:
        subject = subject_id(resource)
        if subject == patient_id:
            kept.append(resource)
        elif subject is None:
            unnamed += 1
        elif subject not in beside:
            others += 1
    return kept, tuple(_left_out(others, unnamed, singular, plural))


def _left_out(others: int, unnamed: int, singular: str, plural: str) -> Iterable[str]:
    if others:
        yield f"left out {counted(others, singular, plural)} of another patient"
    if unnamed:
        yield f"left out {counted(unnamed, singular, plural)} that named no patient"
