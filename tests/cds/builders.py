"""Exams, scores, calls and a clock for the tests of `cds`, each with defaults that need no thought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cds.store.assessments import Conclusion
from cds.store.database import open_database
from cds.store.store import NewExam, ScoringJob, Store
from fhir_mappings.codes import CPT
from fhir_mappings.imaging_studies import ExamReference, ImagingHistory
from fhir_mappings.patients import Patient, Sex
from fhir_mappings.risk_assessments import risk_assessment
from model.calibration import Calibration
from model.domain import (
    AcquisitionDevice,
    Comparability,
    Exclusion,
    ExclusionReason,
    ModelVersion,
    RefusedExam,
    RiskScore,
    ScoredExam,
    Trajectory,
)
from model.trajectory import trajectory
from tests.builders import imaging_study, searchset

Json = dict[str, Any]

CALIBRATION = Calibration("c1", (1.0,) * 5, (0.0,) * 5)
MODEL = ModelVersion("Demo", "0123456789abcdef" * 4, "p1", CALIBRATION.identity)
FORMER = replace(MODEL, calibration="c0")
"""The version that a site used before."""
NOW = datetime(2026, 5, 20, 23, 30, tzinfo=UTC)
LEASE = timedelta(minutes=10)
EHR, PATIENT, IDENTIFIER = "ehr-1", "p1", "MRN-1"


@dataclass
class Clock:
    """A clock that stands still until it is told to go on; `sleep` makes it go on."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by

    def sleep(self, seconds: float) -> None:
        # What a sum of fractions leaves over is less than the smallest step, and without a step it would never pass.
        self.advance(max(timedelta(seconds=seconds), timedelta.resolution))

    def monotonic_s(self) -> float:
        return (self.now - NOW).total_seconds()


def join(exams: Iterable[ScoredExam]) -> Trajectory | None:
    """The line that the scores of `MODEL` make, with the threshold of NCCN 2026."""
    return trajectory(exams, lambda risk: risk > 0.017, line_of=Comparability(MODEL.key))


def memory_store() -> Store:
    """A store for one thread, gone with the test."""
    return Store(open_database("sqlite://"))


def new_exam(study_uid: str = "1.2.1", patient_id: str = PATIENT, ehr: str = EHR, **particulars: Any) -> NewExam:
    """An exam as an EHR refers to it, with the patient ID on its images."""
    values: dict[str, Any] = {"key": study_uid, "study_uid": study_uid, "patient_identifiers": (IDENTIFIER,)}
    return NewExam(ehr, patient_id, **(values | particulars))


def risks(five_year: float) -> tuple[float, ...]:
    """Five yearly risks that rise to `five_year`."""
    return tuple(five_year * share for share in (0.2, 0.4, 0.6, 0.8, 1.0))


def scored(
    study_uid: str = "1.2.1", five_year: float = 0.021, day: date = date(2026, 5, 3), **changes: Any
) -> ScoredExam:
    """A scored exam with everything that is kept of one."""
    values: dict[str, Any] = {
        "study_uid": study_uid,
        "performed_on": day,
        "score": RiskScore(risks(five_year), risks(five_year / 2), MODEL),
        "scored_at": NOW,
        "device": AcquisitionDevice("HOLOGIC", "Selenia", "1.8"),
        "warnings": ("a warning",),
    }
    return ScoredExam(**(values | changes))


def scored_by(model: ModelVersion, *values: Any, **changes: Any) -> ScoredExam:
    """A scored exam whose score another model version gave."""
    exam = scored(*values, **changes)
    return replace(exam, score=replace(exam.score, model=model))


def refused(study_uid: str = "1.2.1") -> RefusedExam:
    """An exam of three views, with one image left out by name."""
    whole = Exclusion(ExclusionReason.MISSING_VIEW, "There is no usable R MLO view.")
    image = Exclusion(ExclusionReason.PARTIAL_VIEW, "It shows a part of the breast.", "1.2.1.7")
    return RefusedExam(study_uid, date(2026, 5, 3), (whole, image))


def conclusion(study_uid: str = "1.2.1", five_year: float = 0.021, **changes: Any) -> Conclusion:
    """What is concluded of a woman over the threshold at her only exam."""
    values: dict[str, Any] = {
        "identifier": f"assessment of {study_uid}",
        "study_uid": study_uid,
        "performed_on": date(2026, 5, 3),
        "five_year": five_year,
        "over_threshold": five_year > 0.017,
        "newly_over": False,
        "rising": False,
        "change": None,
        "years": 0.0,
        "resource": risk_assessment(
            scored(study_uid, five_year), PATIENT, identifier_system="urn:test", method_text="Demo"
        ),
    }
    return Conclusion(**(values | changes))


def claimed(store: Store, now: datetime = NOW, model: ModelVersion = MODEL) -> ScoringJob:
    """The next job, which must be there."""
    job = store.claim(model.key, now, LEASE)
    assert job is not None
    return job


def patient(patient_id: str = PATIENT, identifiers: Sequence[str] = (IDENTIFIER,)) -> Patient:
    """A patient whose images carry these IDs."""
    return Patient(patient_id, None, Sex.FEMALE, False, tuple(identifiers))


def reference(study_uid: str | None = "1.2.1", day: date | None = date(2026, 5, 3), **changes: Any) -> ExamReference:
    """An exam in a patient's list."""
    values: dict[str, Any] = {
        "patient_id": PATIENT,
        "study_uid": study_uid,
        "accession_number": None,
        "performed_on": day,
        "dicomweb_root": None,
        "resource": f"ImagingStudy/s-{study_uid}",
    }
    return ExamReference(**(values | changes))


def history(*exams: ExamReference) -> ImagingHistory:
    """A patient's list of exams."""
    return ImagingHistory(exams)


def service_request(code: str, order_id: str = "d1", patient_id: str = PATIENT) -> Json:
    """A draft order with one CPT code."""
    return {
        "resourceType": "ServiceRequest",
        "id": order_id,
        "status": "draft",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient_id}"},
        "code": {"coding": [{"system": CPT, "code": code}]},
    }


def fhir_patient(patient_id: str = PATIENT, **elements: Any) -> Json:
    """A woman of 52 as her EHR describes her."""
    return {
        "resourceType": "Patient",
        "id": patient_id,
        "identifier": [{"system": "urn:mrn", "value": IDENTIFIER}],
        "gender": "female",
        "birthDate": "1974-02-01",
        **elements,
    }


def prefetch(*study_uids: str, **values: Any) -> Json:
    """A whole prefetch: the patient, her mammograms on 3 May 2026, and nothing that stops an MRI."""
    studies = [imaging_study(PATIENT, "2026-05-03", uid, id=f"s-{uid}") for uid in study_uids]
    nothing = {key: searchset() for key in ("conditions", "procedures", "orders", "allergies", "observations")}
    return {"patient": fhir_patient(), "mammograms": searchset(*studies), **nothing, **values}


def order_select(code: str = "77067", **members: Any) -> Json:
    """The body of an order-select call in which one order is drafted and selected; None leaves a member out."""
    body = {
        "hook": "order-select",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {
            "userId": "Practitioner/dr1",
            "patientId": PATIENT,
            "selections": ["ServiceRequest/d1"],
            "draftOrders": {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [{"resource": service_request(code)}],
            },
        },
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}
