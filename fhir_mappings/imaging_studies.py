"""FHIR ImagingStudy to references of mammography exams, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from fhir_mappings.bundles import bundle_resources
from fhir_mappings.codes import MAMMOGRAPHY_MODALITY
from fhir_mappings.dates import parse_partial_date
from fhir_mappings.elements import Json, codes_of, counted, objects, text
from fhir_mappings.endpoints import dicomweb_root, endpoints_by_reference
from fhir_mappings.references import accession_number, own_reference, study_uid
from fhir_mappings.subjects import of_patient

_NO_EXAM = frozenset({"cancelled", "entered-in-error"})


@dataclass(frozen=True)
class ExamReference:
    """Where to find one mammography exam; whatever the EHR does not say, or says ambiguously, is None.

    `images` stands for the mammograms that the EHR lists of it: another value means that some came or were replaced.
    """

    patient_id: str
    study_uid: str | None
    accession_number: str | None
    performed_on: date | None
    dicomweb_root: str | None
    resource: str | None
    images: str | None = None

    @property
    def key(self) -> str | None:
        """Under what the exam is kept: its study UID, else its accession number; None where it has neither."""
        return self.study_uid or (f"accession:{self.accession_number}" if self.accession_number else None)


@dataclass(frozen=True)
class ImagingHistory:
    """A patient's mammography exams, newest first, and what was wrong with the list they came from."""

    exams: tuple[ExamReference, ...]
    problems: tuple[str, ...] = ()


def read_imaging_studies(resource: object, patient_id: str, endpoints: Sequence[Json] = ()) -> ImagingHistory:
    """The patient's mammography exams in a search Bundle or list of ImagingStudy, each study once.

    A study that names no modality at all is kept: the search asked for mammography, and its images will tell.
    `endpoints` are Endpoints that were read besides. Raises ResourceProblem where it cannot be known what there is.
    """
    listing = bundle_resources(resource, "ImagingStudy")
    studies, left_out = of_patient(listing.resources, patient_id, "imaging study", "imaging studies")
    known = endpoints_by_reference(resource) | endpoints_by_reference(list(endpoints))
    exams = [_exam(study, patient_id, known) for study in studies if _is_mammography(study)]
    return ImagingHistory(_newest_first(_each_once(exams)), listing.problems + left_out)


def newest_exams(history: ImagingHistory, most: int) -> ImagingHistory:
    """The newest exams of a history; how many were left out is one of its problems."""
    left_out = len(history.exams) - most
    if left_out <= 0:
        return history
    problem = f"only the newest {most} exams were looked at; left out {counted(left_out, 'older one', 'older ones')}"
    return ImagingHistory(history.exams[:most], (*history.problems, problem))


def _is_mammography(study: Json) -> bool:
    if text(study.get("status")) in _NO_EXAM:
        return False
    modalities = codes_of(study.get("modality")) | codes_of(study.get("modalityList"))  # R4, before
    for series in objects(study.get("series")):
        modalities |= codes_of(series.get("modality"))
    return not modalities or MAMMOGRAPHY_MODALITY in modalities


def _exam(study: Json, patient_id: str, known: Mapping[str, Json]) -> ExamReference:
    started = parse_partial_date(study.get("started"))
    mammograms = [series for series in objects(study.get("series")) if _may_be_mammography(series)]
    return ExamReference(
        patient_id=patient_id,
        study_uid=study_uid(study),
        accession_number=accession_number(study),
        performed_on=started.earliest if started and started.is_exact else None,
        dicomweb_root=_root(study, mammograms, known),
        resource=own_reference(study),
        images=_images(study, mammograms),
    )


def _images(study: Json, mammograms: Iterable[Json]) -> str | None:
    """A digest of the instances that are listed, or of their numbers; reports beside the mammograms do not count."""
    said = sorted(map(_listed, mammograms)) or [str(study.get("numberOfInstances") or "")]
    return sha256("\n".join(said).encode()).hexdigest()[:16] if any(said) else None


def _listed(series: Json) -> str:
    instances = sorted(text(instance.get("uid")) for instance in objects(series.get("instance")))
    return " ".join((text(series.get("uid")), str(series.get("numberOfInstances") or ""), *instances)).strip()


def _root(study: Json, mammograms: Iterable[Json], known: Mapping[str, Json]) -> str | None:
    """A series' endpoint overrides the study's (R4 ImagingStudy.series.endpoint); differing ones give None."""
    of_series = {root for series in mammograms if (root := dicomweb_root(series, study, known))}
    if of_series:
        return of_series.pop() if len(of_series) == 1 else None
    return dicomweb_root(study, study, known)


def _may_be_mammography(series: Json) -> bool:
    modalities = codes_of(series.get("modality"))
    return not modalities or MAMMOGRAPHY_MODALITY in modalities


def _each_once(exams: Iterable[ExamReference]) -> list[ExamReference]:
    """Of several resources for one study the one that says most stays, whatever the order they came in."""
    best: dict[object, ExamReference] = {}
    for exam in exams:
        key = exam.key or exam.resource or exam
        if key not in best or _says(exam) > _says(best[key]):
            best[key] = exam
    return list(best.values())


def _says(exam: ExamReference) -> tuple[object, ...]:
    known = (exam.performed_on, exam.dicomweb_root, exam.accession_number, exam.resource, exam.images)
    return (*(part is not None for part in known), *(str(part) for part in known))


def _newest_first(exams: Iterable[ExamReference]) -> tuple[ExamReference, ...]:
    def place(exam: ExamReference) -> tuple[int, str, str]:
        age = -exam.performed_on.toordinal() if exam.performed_on else 0
        return (age, exam.study_uid or "", exam.resource or "")

    return tuple(sorted(exams, key=place))
