"""A score as a DICOM structured report (TID 1500) in the exam's own study, the same object each time it is made."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage
from pydicom.valuerep import DA, DT, TM

from cds.errors import PatientUnclear, ReportRejected, StudyIncomplete
from hooks.card_details import RESEARCH_BANNER
from model.domain import YEARS, ScoredExam

SCHEME = "99MAMMOTREND"
SERIES_NUMBER = 9900
"""Far from the numbers that modalities give; it only orders the series of a study."""
NOT_A_DIAGNOSIS = "It does not find cancer and is no diagnosis; a low score is no reason for less screening."
_NAMESPACE = uuid.UUID("1c5d2f0e-6d0b-4a86-9a0b-b1f0a8a2e6d7")
_LONG_STRING = 64
# PS3.3 C.7.1.1 and C.7.2.1, type 2: there, and empty where the images do not have them.
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)


@dataclass(frozen=True)
class ReportName:
    """What makes a report another object than all others: the assessment that it tells of, and its revision from 1."""

    assessment: str
    revision: int

    def uid(self, kind: str) -> str:
        """A UID made from a UUID of what it names (PS3.5 B.2, RFC 4122 version 5)."""
        return f"2.25.{uuid.uuid5(_NAMESPACE, f'{kind}/{self.assessment}/{self.revision}').int}"


def score_report(
    exam: ScoredExam,
    headers: Sequence[Dataset],
    name: ReportName,
    *,
    replaces: ReportName | None = None,
    banner: str = RESEARCH_BANNER,
) -> Dataset:
    """The report of a score, made from the headers of its study; PS3.16 TID 1500, risks in percent (UCUM).

    `replaces` is the report of an earlier revision that the archive has. `banner` may be empty for a clinical model
    only. Raises ReportRejected or StudyIncomplete where the scored images are not known or not there, and
    PatientUnclear.
    """
    sources = [_with_all_attributes(image) for image in _sources(exam, headers)]
    moment = exam.scored_at.astimezone(_zone(sources[0]))
    report = sr.Comprehensive3DSR(
        evidence=sources,
        content=_content(exam, sources, banner),
        series_instance_uid=name.uid("series"),
        series_number=SERIES_NUMBER,
        series_description=f"Breast cancer risk, {exam.score.model.name}"[:_LONG_STRING],
        sop_instance_uid=name.uid("report"),
        instance_number=name.revision,
        manufacturer="MammoTrend",
        manufacturer_model_name=exam.score.model.name[:_LONG_STRING],
        software_versions=exam.provenance.software[:_LONG_STRING] or None,
        is_complete=True,
        is_final=True,
        content_date=moment.date(),
        content_time=moment.time(),
        previous_versions=[_reference(exam, replaces)] if replaces else None,
        specific_character_set="ISO_IR 192",
        coding_schemes=[CodingSchemeIdentificationItem(SCHEME, name="MammoTrend")],
    )
    _set_times(report, moment, sources[0])
    return report


def _sources(exam: ScoredExam, headers: Sequence[Dataset]) -> list[Dataset]:
    """The headers of the scored images, in their order, once it is sure that all is of one study and one patient."""
    if not exam.provenance.images:
        raise ReportRejected("it is not on record which images the score was made from; score the exam again")
    if any(header.get("StudyInstanceUID") != exam.study_uid for header in headers):
        raise StudyIncomplete("headers of another study came for the report; nothing of them is used")
    by_uid = {str(header.get("SOPInstanceUID")): header for header in headers}
    sources = [by_uid[image.uid] for image in exam.provenance.images if image.uid in by_uid]
    if len(sources) < len(exam.provenance.images):
        raise StudyIncomplete("an image that was scored is no longer in the archive, so its score is not reported")
    if len({_patient(header) for header in sources}) > 1:
        raise PatientUnclear("the scored images carry different patients; correct them in the archive")
    return sources


def _patient(header: Dataset) -> tuple[str, str]:
    return str(header.get("PatientID") or "").strip(), str(header.get("IssuerOfPatientID") or "").strip()


def _with_all_attributes(header: Dataset) -> Dataset:
    whole = Dataset()
    whole.update(header)
    for keyword in _MAY_BE_EMPTY:
        if keyword not in whole:
            setattr(whole, keyword, "")
    return whole


def _zone(header: Dataset) -> tzinfo:
    """The zone in which the study tells its times (PS3.3 C.12.1.1.8), so that ours are told in the same."""
    try:
        return datetime.strptime(header.get("TimezoneOffsetFromUTC") or "+0000", "%z").tzinfo or UTC
    except ValueError:
        return UTC


def _set_times(report: Dataset, moment: datetime, header: Dataset) -> None:
    """The object is made when the score was: made a second time, it must not differ from the one that was sent."""
    report.InstanceCreationDate, report.InstanceCreationTime = DA(moment.date()), TM(moment.time())
    for equipment in report.get("ContributingEquipmentSequence") or []:
        equipment.ContributionDateTime = DT(moment.replace(tzinfo=None))
    if header.get("TimezoneOffsetFromUTC"):
        report.TimezoneOffsetFromUTC = f"{moment:%z}"


def _reference(exam: ScoredExam, name: ReportName) -> Dataset:
    earlier = Dataset()
    earlier.SOPClassUID = Comprehensive3DSRStorage
    earlier.SOPInstanceUID = name.uid("report")
    earlier.StudyInstanceUID, earlier.SeriesInstanceUID = exam.study_uid, name.uid("series")
    return earlier


def _content(exam: ScoredExam, sources: Sequence[Dataset], banner: str) -> Dataset:
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(exam)),
        procedure_reported=codes.SCT.Mammography,
        imaging_measurements=[_measurements(exam, sources)],
    )
    root: Dataset = report[0]
    # TID 1500 is extensible: what must be read beside the numbers stands next to them.
    root.ContentSequence.extend(
        sr.TextContentItem(codes.DCM.Comment, text, sr.RelationshipTypeValues.CONTAINS) for text in _texts(exam, banner)
    )
    return root


def _observer(exam: ScoredExam) -> sr.ObserverContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=f"2.25.{uuid.uuid5(_NAMESPACE, exam.score.model.key).int}",
        name="MammoTrend",
        model_name=exam.score.model.name,
    )
    return sr.ObserverContext(codes.DCM.Device, device)


def _measurements(exam: ScoredExam, sources: Sequence[Dataset]) -> sr.MeasurementsAndQualitativeEvaluations:
    version = exam.score.model
    algorithm = sr.AlgorithmIdentification(
        name=version.name,
        version=version.weights,
        parameters=[f"preprocessing {version.preprocessing}", f"calibration {version.calibration}"],
    )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            f"2.25.{uuid.uuid5(_NAMESPACE, f'{exam.study_uid}/{version.key}').int}", "image-based breast cancer risk"
        ),
        finding_sites=[sr.FindingSite(codes.SCT.BothBreasts)],
        algorithm_id=algorithm,
        measurements=[_measurement(*one) for one in zip(YEARS, exam.score.calibrated, strict=True)],
        source_images=[sr.SourceImageForMeasurementGroup(one.SOPClassUID, one.SOPInstanceUID) for one in sources],
    )


def _measurement(years: int, risk: float) -> sr.Measurement:
    # DCM 111047 "Probability of cancer" is of a CAD's finding, and no standard code means risk from images over years.
    meaning = f"Image-based risk of breast cancer within {years} year{'s' if years > 1 else ''}"
    return sr.Measurement(Code(f"RISK-{years}Y", SCHEME, meaning), 100 * risk, codes.UCUM.Percent)


def _texts(exam: ScoredExam, banner: str) -> Iterator[str]:
    if banner or not exam.score.model.clinical:
        yield banner or RESEARCH_BANNER
    yield NOT_A_DIAGNOSIS
    yield from exam.warnings
    made = (f"Scored at {exam.scored_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", exam.provenance.software)
    yield ", ".join(one for one in (*made, exam.provenance.processor) if one)
