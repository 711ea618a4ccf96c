"""A chart's resources as the lines of the screen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from cds.demo.dicom_folder import DicomFolder
from cds.demo.ehr_page.mammograms import Exam, exam
from cds.demo.ehr_page.orders import EXAMINATIONS, ORDER_TYPES
from cds.ehr.client import Ehr
from fhir_mappings.bundles import bundle_entries
from fhir_mappings.dates import age_range_years, parse_partial_date
from fhir_mappings.elements import as_object, objects, text
from fhir_mappings.references import reference_id, study_uid

Json = dict[str, Any]


@dataclass(frozen=True)
class PatientLine:
    """Who she is; `age` is None where her birth date is not on record."""

    id: str
    name: str
    born: str
    age: int | None


@dataclass(frozen=True)
class ExamLine:
    """One mammography study of the chart; without `images` the archive does not hold it."""

    id: str
    patient_id: str
    day: str
    images: Exam | None


@dataclass(frozen=True)
class OrderLine:
    """One order; `reasons` are the words that it gives for itself."""

    kind: str
    id: str
    name: str
    status: str
    day: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class RiskLine:
    """One RiskAssessment: the last risk that it predicts (in per cent), from and until when, and by which method."""

    percent: float | None
    begins: str
    ends: str
    method: str
    status: str


@dataclass(frozen=True)
class Chart:
    """All that the screen shows of one patient; `recorded` are the identifiers of her risk assessments."""

    patient: PatientLine
    exams: tuple[ExamLine, ...]
    orders: tuple[OrderLine, ...]
    risks: tuple[RiskLine, ...]
    recorded: frozenset[str]

    def holds(self, suggestion: Json) -> bool:
        """Whether all that a suggestion would create is on record; what has no identifier is new each time."""
        resources = [as_object(action.get("resource")) for action in objects(suggestion["actions"])]
        return bool(resources) and all(self.recorded.intersection(identifiers(resource)) for resource in resources)


def read_chart(ehr: Ehr, images: DicomFolder, patient_id: str, today: date) -> Chart:
    """The chart as the FHIR server has it now; raises EhrError, EhrNotFound for a patient who is not on record."""
    patient = patient_line(ehr.read(f"Patient/{patient_id}"), today)
    hers = f"?patient={patient_id}"
    orders = [_order(order) for kind in ORDER_TYPES for order in found(ehr, kind + hers)]
    risks = found(ehr, f"RiskAssessment{hers}&_sort=-date")
    return Chart(
        patient,
        tuple(exam_lines(found(ehr, f"ImagingStudy{hers}&_sort=-started"), images)),
        tuple(order for order in orders if order.status != "entered-in-error"),
        tuple(_risk(risk) for risk in risks),
        frozenset(name for risk in risks if risk.get("status") != "entered-in-error" for name in identifiers(risk)),
    )


def found(ehr: Ehr, query: str) -> list[Json]:
    """The resources that a search finds."""
    return [resource for _, resource in bundle_entries(ehr.search(query))]


def identifiers(resource: Json) -> list[str]:
    """The names that a resource gives itself, as a search has them."""
    return [f"{one['system']}|{one['value']}" for one in objects(resource.get("identifier", []))]


def patient_line(patient: Json, today: date) -> PatientLine:
    """A patient's name and age."""
    name = next(iter(objects(patient.get("name", []))), {})
    words = " ".join([*name.get("given", []), name.get("family", "")]).strip()
    born = parse_partial_date(patient.get("birthDate"))
    age = age_range_years(born, today)[0] if born else None
    return PatientLine(patient["id"], words or "name not stated", text(patient.get("birthDate")), age)


def exam_lines(studies: Iterable[Json], images: DicomFolder) -> Iterable[ExamLine]:
    """Each study with its pictures."""
    for study in studies:
        patient_id = reference_id(study.get("subject"), "Patient") or ""
        yield ExamLine(study["id"], patient_id, text(study.get("started"))[:10], exam(images, study_uid(study)))


def _order(order: Json) -> OrderLine:
    code = as_object(order.get("code") or order.get("medicationCodeableConcept"))
    codes = [text(coding.get("code")) for coding in objects(code.get("coding", []))]
    names = [text(code.get("text")), *(EXAMINATIONS.get(one, one) for one in codes)]
    reasons = tuple(filter(None, (text(reason.get("text")) for reason in objects(order.get("reasonCode", [])))))
    day = text(order.get("authoredOn"))[:10]
    name = next(filter(None, names), "order without a name")
    return OrderLine(order["resourceType"], order["id"], name, text(order.get("status")), day, reasons)


def _risk(assessment: Json) -> RiskLine:
    predicted = objects(assessment.get("prediction", []))
    last = max(predicted, key=lambda one: text(as_object(one.get("whenPeriod")).get("end")), default={})
    period = as_object(last.get("whenPeriod"))
    method = text(as_object(assessment.get("method")).get("text"))
    begins, ends = text(period.get("start")), text(period.get("end"))
    return RiskLine(last.get("probabilityDecimal"), begins, ends, method, text(assessment.get("status")))
