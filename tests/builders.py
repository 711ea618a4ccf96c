"""Small, valid things to test with; every test states only what it is about."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MammographyCADSRStorage,
    generate_uid,
)

ORG_ROOT = "1.2.826.0.1.3680043.8.498."


def new_uid() -> str:
    """A DICOM UID that nothing else has."""
    return str(generate_uid(ORG_ROOT))


def mammogram(
    view: str = "L CC",
    study_uid: str = "1.2.3",
    series_uid: str = "1.2.3.1",
    patient_id: str = "MRN-1",
    accession_number: str = "ACC-1",
    rows: int = 64,
    columns: int = 48,
    transfer_syntax: str = ExplicitVRLittleEndian,
    seed: int = 0,
) -> FileDataset:
    """One digital mammogram for presentation, of noise, with its own SOP Instance UID."""
    image = _dataset(DigitalMammographyXRayImageStorageForPresentation, study_uid, series_uid, patient_id)
    image.AccessionNumber = accession_number
    image.Modality, image.PresentationIntentType = "MG", "FOR PRESENTATION"
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.ImageLaterality, image.ViewPosition = view.split(" ")
    _set_pixels(image, rows, columns, frames=1, seed=seed)
    if UID(transfer_syntax).is_compressed:
        image.compress(transfer_syntax, generate_instance_uid=False)
    return image


def screening_exam(study_uid: str, **attributes: Any) -> list[FileDataset]:
    """The four standard views of one study, each with pixels of its own."""
    views = ("L CC", "R CC", "L MLO", "R MLO")
    return [mammogram(view, study_uid, seed=number, **attributes) for number, view in enumerate(views)]


def tomosynthesis(study_uid: str, frames: int = 3) -> FileDataset:
    """A breast tomosynthesis volume of a few slices."""
    volume = _dataset(BreastTomosynthesisImageStorage, study_uid, "1.2.3.2", "MRN-1")
    volume.Modality = "MG"
    _set_pixels(volume, 16, 12, frames, seed=9)
    volume.NumberOfFrames = frames
    return volume


def cad_report(study_uid: str) -> FileDataset:
    """A mammography CAD report: part of many studies, and no image."""
    report = _dataset(MammographyCADSRStorage, study_uid, "1.2.3.3", "MRN-1")
    report.Modality = "SR"
    return report


def file_bytes(dataset: pydicom.Dataset) -> bytes:
    """The dataset as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def imaging_study(
    patient_id: str, started: str, study_uid: str = "1.2.3", modality: str = "MG", **elements: Any
) -> dict[str, Any]:
    """A FHIR R4 ImagingStudy of one series, by default a mammogram."""
    coding = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": modality}
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{study_uid}"}],
        "modality": [coding],
        "subject": {"reference": f"Patient/{patient_id}"},
        "started": started,
        "series": [{"uid": f"{study_uid}.1", "modality": coding}],
        **elements,
    }


def searchset(*resources: dict[str, Any], **elements: Any) -> dict[str, Any]:
    """A searchset Bundle with these resources."""
    entries = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", **({"entry": entries} if entries else {}), **elements}


def operation_outcome(severity: str = "error", code: str = "security") -> dict[str, Any]:
    """An OperationOutcome of one issue."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code}]}


def _dataset(sop_class: str, study_uid: str, series_uid: str, patient_id: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(new_uid())
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, series_uid
    dataset.PatientID, dataset.PatientName, dataset.PatientSex = patient_id, "Test^Ada", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260105", "093000", "1"
    dataset.InstanceNumber = 1
    return dataset


def _set_pixels(image: FileDataset, rows: int, columns: int, frames: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 4096, (frames, rows, columns), dtype=np.uint16)
    image.Rows, image.Columns, image.SamplesPerPixel = rows, columns, 1
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = pixels.tobytes()
    image["PixelData"].VR = "OW"
