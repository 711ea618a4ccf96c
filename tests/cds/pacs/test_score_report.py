"""The report of a score: what it says, of whom, and that it is the same object each time."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, Comprehensive3DSRStorage

from cds.errors import PacsError, PatientUnclear, ReportRejected, StudyIncomplete
from cds.pacs.score_report import NOT_A_DIAGNOSIS, SCHEME, ReportName, score_report
from hooks.card_details import RESEARCH_BANNER
from model.domain import ScoredExam
from tests.builders import cad_report, file_bytes, mammogram, screening_exam
from tests.cds.builders import MODEL, scored
from tests.cds.pacs.reports import STUDY, measurement_groups, scored_from
from tests.servers import left_out

FIRST = ReportName("ehr-1/an assessment", 1)


@pytest.fixture
def images() -> list[FileDataset]:
    return screening_exam(STUDY)


def texts(report: Dataset) -> list[str]:
    """Its comments."""
    items = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121106"]
    return [str(item.TextValue) for item in items]


def test_the_five_risks_are_read_back_in_percent(images: list[FileDataset]) -> None:
    exam = scored_from(images)

    (group,) = measurement_groups(score_report(exam, images, FIRST))

    read = {measurement.name.value: (measurement.value, measurement.unit) for measurement in group.get_measurements()}
    assert list(read) == [f"RISK-{years}Y" for years in (1, 2, 3, 4, 5)]
    assert [value for value, _ in read.values()] == pytest.approx([100 * risk for risk in exam.score.calibrated])
    assert {(unit.value, unit.scheme_designator) for _, unit in read.values()} == {("%", "UCUM")}
    assert {measurement.name.scheme_designator for measurement in group.get_measurements()} == {SCHEME}


def test_it_names_the_images_the_model_and_the_device_that_observed(images: list[FileDataset]) -> None:
    report = score_report(scored_from(images), [cad_report(STUDY), *reversed(images)], FIRST)

    (group,) = measurement_groups(report)
    said = file_bytes(report)
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    uids = [str(image.SOPInstanceUID) for image in images]
    assert [source.referenced_sop_instance_uid for source in group.source_images] == uids
    assert sorted(str(one.ReferencedSOPInstanceUID) for one in evidence) == sorted(uids)
    named = (MODEL.name, MODEL.weights, MODEL.preprocessing, MODEL.calibration, "Device Observer Model Name")
    assert all(word.encode() in said for word in named)


def test_it_is_in_the_study_and_of_the_patient_of_the_images(images: list[FileDataset]) -> None:
    for image in images:
        image.SpecificCharacterSet, image.PatientName = "ISO_IR 192", "Grün^Zoë"

    report = pydicom.dcmread(BytesIO(file_bytes(score_report(scored_from(images), images, FIRST))))

    assert report.SOPClassUID == Comprehensive3DSRStorage
    of_the_images = ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyDate", "StudyTime")
    assert [report[keyword].value for keyword in of_the_images] == [
        images[0][keyword].value for keyword in of_the_images
    ]
    assert report.SeriesInstanceUID not in {image.SeriesInstanceUID for image in images}


def test_what_the_images_do_not_say_of_the_patient_is_left_empty(images: list[FileDataset]) -> None:
    for image in images:
        del image.PatientSex, image.PatientName, image.StudyID, image.AccessionNumber

    report = score_report(scored_from(images), images, FIRST)

    assert not any(report[keyword].value for keyword in ("PatientSex", "PatientName", "StudyID", "AccessionNumber"))
    assert "PatientName" not in images[0]


def test_made_twice_it_is_the_same_object_to_the_byte(images: list[FileDataset]) -> None:
    exam = scored_from(images)

    first, second = (score_report(exam, images, FIRST) for _ in range(2))

    assert file_bytes(first) == file_bytes(second)
    assert UID(first.SOPInstanceUID).is_valid
    assert UID(first.SeriesInstanceUID).is_valid


def test_another_assessment_or_revision_is_another_object(images: list[FileDataset]) -> None:
    exam = scored_from(images)
    names = [FIRST, replace(FIRST, revision=2), replace(FIRST, assessment="ehr-2/an assessment")]

    reports = [score_report(exam, images, name) for name in names]

    assert len({report.SOPInstanceUID for report in reports}) == 3
    assert len({report.SeriesInstanceUID for report in reports}) == 3
    assert [report.InstanceNumber for report in reports] == [1, 2, 1]


def test_a_later_revision_names_the_one_that_it_replaces(images: list[FileDataset]) -> None:
    exam, third = scored_from(images), replace(FIRST, revision=3)
    first, later = score_report(exam, images, FIRST), score_report(exam, images, third, replaces=FIRST)

    (study,) = later.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY, first.SeriesInstanceUID)
    assert (named.ReferencedSOPInstanceUID, named.ReferencedSOPClassUID) == (
        first.SOPInstanceUID,
        Comprehensive3DSRStorage,
    )
    assert "PredecessorDocumentsSequence" not in first


def test_it_says_what_it_is_not_and_carries_the_warnings(images: list[FileDataset]) -> None:
    said = texts(score_report(scored_from(images), images, FIRST))

    assert said[:3] == [RESEARCH_BANNER, NOT_A_DIAGNOSIS, "a warning"]
    assert said[3] == "Scored at 2026-05-20 23:30:00 UTC, mammotrend 0.1.0, torch 2.6.0, cpu"


@pytest.mark.parametrize(
    ("clinical", "banner", "is_said"), [(False, "", True), (True, "", False), (True, "Mind", False)]
)
def test_only_a_clinical_model_may_do_without_the_research_banner(
    images: list[FileDataset], clinical: bool, banner: str, is_said: bool
) -> None:
    exam = scored_from(images)
    exam = replace(exam, score=replace(exam.score, model=replace(MODEL, clinical=clinical)))

    said = texts(score_report(exam, images, FIRST, banner=banner))

    assert (RESEARCH_BANNER in said) is is_said
    assert ("Mind" in said) is (banner == "Mind")
    assert NOT_A_DIAGNOSIS in said


@pytest.mark.parametrize(
    ("offset", "day", "time", "stated"),
    [
        (None, "20260521", "003000", None),
        ("-0500", "20260520", "193000", "-0500"),
        ("nonsense", "20260521", "003000", None),
    ],
)
def test_its_times_are_when_the_score_was_made_in_the_studys_own_zone(
    images: list[FileDataset], offset: str | None, day: str, time: str, stated: str | None
) -> None:
    for image in images:
        if offset:
            image.add_new("TimezoneOffsetFromUTC", "SH", offset)
    exam = scored_from(images, scored_at=datetime(2026, 5, 21, 0, 30, tzinfo=UTC))

    report = score_report(exam, images, FIRST)

    assert (str(report.ContentDate), str(report.ContentTime)[:6]) == (day, time)
    assert (report.InstanceCreationDate, report.InstanceCreationTime) == (report.ContentDate, report.ContentTime)
    assert stated is None or report.TimezoneOffsetFromUTC == stated


def refusal(error: type[PacsError], exam: ScoredExam, headers: Sequence[Dataset]) -> str:
    with pytest.raises(error) as caught:
        score_report(exam, headers, FIRST)
    assert not any(word in str(caught.value) for word in ("MRN", STUDY, "9.9.9"))
    return str(caught.value)


def test_without_the_images_that_were_scored_there_is_no_report(images: list[FileDataset]) -> None:
    assert "score the exam again" in refusal(ReportRejected, scored(STUDY), images)
    assert "no longer in the archive" in refusal(StudyIncomplete, scored_from(images), images[:3])


def test_headers_of_another_study_make_no_report(images: list[FileDataset]) -> None:
    assert "another study" in refusal(StudyIncomplete, scored_from(images), [*images, mammogram(study_uid="9.9.9")])


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
def test_images_of_two_patients_make_no_report(images: list[FileDataset], keyword: str) -> None:
    setattr(images[2], keyword, "MRN-2")

    assert "different patients" in refusal(PatientUnclear, scored_from(images), images)


def test_an_independent_validator_finds_no_error(images: list[FileDataset], tmp_path: Path) -> None:
    dciodvfy = shutil.which("dciodvfy")
    if dciodvfy is None:
        left_out("dciodvfy is not installed: sudo apt-get install dicom3tools")
    file = tmp_path / "report.dcm"
    file.write_bytes(file_bytes(score_report(scored_from(images), images, replace(FIRST, revision=2), replaces=FIRST)))

    checked = subprocess.run([dciodvfy, str(file)], capture_output=True, text=True, check=False)  # noqa: S603 # ours

    assert "Comprehensive3DSR" in checked.stderr + checked.stdout
    assert [line for line in (checked.stderr + checked.stdout).splitlines() if line.startswith("Error")] == []
