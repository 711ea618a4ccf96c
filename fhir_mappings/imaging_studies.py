"""FHIR ImagingStudy to references of mammography exams, newest first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, tzinfo
from functools import cache
from hashlib import sha256

from fhir_mappings.bundles import bundle_resources
from fhir_mappings.code_sets import modality_code_sets
from fhir_mappings.codes import Coding
from fhir_mappings.dates import day_there
from fhir_mappings.elements import Json, codes_of, codings, counted, objects, text
from fhir_mappings.endpoints import dicomweb_root, endpoints_by_reference
from fhir_mappings.references import accession_number, own_reference, study_uid
from fhir_mappings.subjects import of_patient

_NO_EXAM = frozenset({"cancelled", "entered-in-error"})


def exam_key(study_uid: str | None, accession_number: str | None) -> str | None:
    """Under what an exam is kept: its study UID, else its accession number; None where it has neither."""
    return study_uid or (f"accession:{accession_number}" if accession_number else None)


@dataclass(frozen=True)
class ExamReference:
    """Where to find one mammography exam; whatever the EHR does not say, or says ambiguously, is None.

    `images` stands for the mammograms that the EHR lists of it: another value means that some came or were replaced.
    `procedures` say which examination it was.
    """

    patient_id: str
    study_uid: str | None
    accession_number: str | None
    performed_on: date | None
    dicomweb_root: str | None
    resource: str | None
    images: str | None = None
    procedures: tuple[Coding, ...] = ()

    @property
    def key(self) -> str | None:
        """Under what the exam is kept (`exam_key`)."""
        return exam_key(self.study_uid, self.accession_number)


@dataclass(frozen=True)
class ImagingHistory:
    """A patient's mammography exams, newest first, and what was wrong with the list they came from.

    `withdrawn` are the keys of studies that the EHR lists only as cancelled or entered in error.
    """

    exams: tuple[ExamReference, ...]
    problems: tuple[str, ...] = ()
    withdrawn: frozenset[str] = frozenset()


def read_imaging_studies(
    resource: object,
    patient_id: str,
    endpoints: Sequence[Json] = (),
    zone: tzinfo = UTC,
    beside: Collection[str] = (),
) -> ImagingHistory:
    """The patient's mammography exams in a search Bundle or list of ImagingStudy, each study once.

    A study that names no modality at all is kept: the search asked for mammography, and its images will tell. One of
    which only other modalities are known is left out; where its codes are not known that is a problem. `endpoints` are
    Endpoints that were read besides, `zone` is the clinic's; studies of patients `beside` her are none of hers, and no
    problem. Raises ResourceProblem where it cannot be known what there is.
    """
    listing = bundle_resources(resource, "ImagingStudy")
    studies, left_out = of_patient(listing.resources, patient_id, "imaging study", "imaging studies", beside)
    known = endpoints_by_reference(resource) | endpoints_by_reference(list(endpoints))
    standing = [study for study in studies if not _is_withdrawn(study)]
    judged = [(study, _is_mammography(study)) for study in standing]
    exams = [_exam(study, patient_id, known, zone) for study, is_mammography in judged if is_mammography]
    withdrawn = {_exam(study, patient_id, known, zone).key for study in studies if _is_withdrawn(study)}
    problems = (*listing.problems, *left_out, *_strange(judged), *_of_another_day(exams))
    keys = frozenset(key for key in withdrawn - {exam.key for exam in exams} if key)
    return ImagingHistory(_newest_first(_each_once(exams)), problems, keys)


def newest_exams(history: ImagingHistory, most: int) -> ImagingHistory:
    """The newest exams of a history; how many were left out is one of its problems."""
    left_out = len(history.exams) - most
    if left_out <= 0:
        return history
    problem = f"only the newest {most} exams were looked at; left out {counted(left_out, 'older one', 'older ones')}"
    return replace(history, exams=history.exams[:most], problems=(*history.problems, problem))


def key_of(study: Json) -> str | None:
    """Under what a study is kept that stands and holds mammograms; None for any other, or where nothing names it."""
    stands = not _is_withdrawn(study) and _is_mammography(study)
    return exam_key(study_uid(study), accession_number(study)) if stands else None


def _is_withdrawn(study: Json) -> bool:
    return text(study.get("status")) in _NO_EXAM


def _is_mammography(resource: Json) -> bool | None:
    """Whether a study or series may hold mammograms, as it also may where it names no modality.

    None where that is not known, because it names a modality in codes that are not.
    """
    modalities = _modalities(resource)
    if not modalities or any(codes & _known("mammography") for codes in modalities):
        return True
    return False if all(codes & _known("other") for codes in modalities) else None


@cache
def _known(name: str) -> frozenset[str]:
    return frozenset(code for _, code in modality_code_sets()[name].codes)


def _modalities(resource: Json) -> list[frozenset[str]]:
    """The codes of each modality that a study, its series too, or a series names, in capitals."""
    named = [resource.get("modality"), resource.get("modalityList")]  # R4, before
    named += [series.get("modality") for series in objects(resource.get("series"))]
    each = [one for value in named for one in (value if isinstance(value, list) else [value])]
    return [codes for one in each if (codes := frozenset(code.upper() for code in codes_of(one)))]


def _strange(judged: Iterable[tuple[Json, bool | None]]) -> Iterator[str]:
    strange = sum(is_mammography is None for _, is_mammography in judged)
    if strange:
        yield f"left out {counted(strange, 'imaging study', 'imaging studies')} with a modality code that is not known"


def _exam(study: Json, patient_id: str, known: Mapping[str, Json], zone: tzinfo) -> ExamReference:
    mammograms = [series for series in objects(study.get("series")) if _is_mammography(series)]
    return ExamReference(
        patient_id=patient_id,
        study_uid=study_uid(study),
        accession_number=accession_number(study),
        performed_on=day_there(study.get("started"), zone),
        dicomweb_root=_root(study, mammograms, known),
        resource=own_reference(study),
        images=_images(study, mammograms),
        procedures=codings(study.get("procedureCode")) + codings(study.get("procedure")),  # STU3 and R4, R5
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


def _each_once(exams: Iterable[ExamReference]) -> list[ExamReference]:
    """Of several resources for one study the one that says most stays, whatever the order they came in."""
    best: dict[object, ExamReference] = {}
    for exam in exams:
        key = exam.key or exam.resource or exam
        if key not in best or _says(exam) > _says(best[key]):
            best[key] = exam
    return list(best.values())


def _of_another_day(exams: Iterable[ExamReference]) -> Iterator[str]:
    """Where studies have no UID, an archive cannot tell those of one accession number apart, so only one is kept."""
    days = {(exam.key, exam.performed_on) for exam in exams if exam.study_uid is None and exam.key}
    known = {(key, day) for key, day in days if day}
    lost = len(known) - len({key for key, _ in known})
    if lost:
        yield f"left out {counted(lost, 'imaging study', 'imaging studies')} of another day, same accession number"


def _says(exam: ExamReference) -> tuple[object, ...]:
    places = (exam.dicomweb_root, exam.accession_number, exam.resource)
    known = (exam.performed_on, *places, exam.images, exam.procedures or None)
    return (*(part is not None for part in known), *(str(part) for part in known))


def _newest_first(exams: Iterable[ExamReference]) -> tuple[ExamReference, ...]:
    def place(exam: ExamReference) -> tuple[int, str, str]:
        age = -exam.performed_on.toordinal() if exam.performed_on else 0
        return (age, exam.study_uid or "", exam.resource or "")

    return tuple(sorted(exams, key=place))
