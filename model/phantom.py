"""Synthetic mammograms for the demo, the tests and the benchmarks: valid MG For Presentation DICOM of invented women.

A phantom is a breast outline filled with power-law parenchyma, a pectoral muscle on MLO, and one spiculated focus
whose contrast is the planted risk `signal` (0 none .. 1 strongest). It looks like a mammogram and proves nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from model.domain import STANDARD_VIEWS, Laterality, View, ViewPosition

WHITE: Final = 4095
"""Highest of 12 bits: the lead marker beside the breast, which also pins the window of every phantom."""

RISK_WITHOUT_SIGNAL: Final = 0.01
RISK_RATIO: Final = 20.0
"""A planted signal stands for a five-year risk of 1 % without any, times 20 at the strongest. So 2.1 % is a signal of
0.25 and 6.6 % one of 0.63: the medians of Lehman et al. 2026, six years and less than one year before diagnosis."""

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Vendor:
    """How one manufacturer writes its headers. The names are invented; the habits are real."""

    manufacturer: str
    model_name: str
    software: str
    view_by_code: bool
    sigmoid_window: bool = False
    inverted: bool = False


AURORA = Vendor("Phantom Imaging", "Aurora 2D", "3.1", view_by_code=True)
BOREALIS = Vendor("Synthetic Mammography", "Borealis", "7.0", view_by_code=False, inverted=True)
VENDORS = (AURORA, BOREALIS)


@dataclass(frozen=True)
class PhantomExam:
    """One visit of one invented woman; the same `woman` keeps her anatomy from year to year."""

    woman: int
    performed_on: date
    signal: float
    patient_id: str = ""
    vendor: Vendor = AURORA
    rows: int = 1024
    columns: int = 832
    views: tuple[View, ...] = STANDARD_VIEWS
    transfer_syntax: UID = ExplicitVRLittleEndian
    accession_number: str = ""

    @property
    def study_uid(self) -> str:
        """The same visit always has the same Study Instance UID."""
        return _uid(self, "study")


def planted_risk(signals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signals -> the five-year risks (fractions) that they stand for."""
    return np.asarray(RISK_WITHOUT_SIGNAL * RISK_RATIO**signals)


def signal_for(five_year_risk: float) -> float:
    """The signal to plant for a five-year risk (a fraction)."""
    return math.log(five_year_risk / RISK_WITHOUT_SIGNAL) / math.log(RISK_RATIO)


def dicom_images(exam: PhantomExam) -> Iterator[FileDataset]:
    """The exam's images, one a view, in the exam's transfer syntax."""
    for number, view in enumerate(exam.views, 1):
        yield _dicom_image(exam, view, number)


def pixels(exam: PhantomExam, view: View) -> NDArray[np.uint16]:
    """The stored 12-bit values of one view before any inversion, shape (rows, columns), chest wall where it hangs."""
    anatomy = np.random.default_rng([exam.woman, _number(view)])
    visit = np.random.default_rng([exam.woman, _number(view), exam.performed_on.toordinal()])
    x, y = _coordinates(exam, visit)
    breast = _breast(exam, view, x, y, anatomy)
    focus = _focus(exam, view, x, y)
    noise = visit.standard_normal((exam.rows, exam.columns), dtype=np.float32) * 12
    tissue = np.clip(np.where(breast > 0, breast + focus + noise, 0), 0, WHITE - 500)
    marked = _lead_marker(tissue)
    hung = marked if view.laterality is Laterality.LEFT else marked[:, ::-1]
    return np.ascontiguousarray(hung, dtype=np.uint16)


def _coordinates(exam: PhantomExam, visit: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Depth from the chest wall 0..1 (1, columns) and height -1..1 (rows, 1), shifted a little as positioning does."""
    shift_x, shift_y = visit.uniform(-0.015, 0.015, 2)
    x = np.linspace(0, 1, exam.columns, dtype=np.float32)[None, :] + np.float32(shift_x)
    y = np.linspace(-1, 1, exam.rows, dtype=np.float32)[:, None] + np.float32(shift_y)
    return x, y


@dataclass(frozen=True)
class _Shape:
    """A woman's breast, the same in all her views but for the projection."""

    depth: float
    half_height: float
    density: float
    focus_side: Laterality
    focus_depth: float
    focus_height: float
    focus_size: float
    spicules: int


def _shape(woman: int) -> _Shape:
    rng = np.random.default_rng([woman, 99])
    return _Shape(
        depth=rng.uniform(0.6, 0.85),
        half_height=rng.uniform(0.6, 0.8),
        density=rng.uniform(0.1, 0.9),
        focus_side=Laterality.LEFT if rng.random() < 0.5 else Laterality.RIGHT,
        focus_depth=rng.uniform(0.35, 0.7),
        focus_height=rng.uniform(-0.35, 0.35),
        focus_size=rng.uniform(0.085, 0.1),
        spicules=int(rng.integers(7, 10)),
    )


def _breast(exam: PhantomExam, view: View, x: Pixels, y: Pixels, anatomy: np.random.Generator) -> Pixels:
    """Grey level of the tissue, 0 outside the skin."""
    shape = _shape(exam.woman)
    radius = np.sqrt((x / shape.depth) ** 2 + (y / shape.half_height) ** 2)
    thickness = np.sqrt(np.clip(1 - radius**2, 0, 1)) ** 0.6
    glandular = _power_law(anatomy, exam.rows, exam.columns) + 1.5 * (shape.density - 0.5)
    gland = 1 / (1 + np.exp(-2.5 * glandular)) * np.exp(-((radius / 0.75) ** 4))
    tissue = thickness * (900 + 1100 * gland)
    if view.position is ViewPosition.MLO:
        muscle = np.clip((0.42 - x - 0.3 * (y + 1)) / 0.03, 0, 1)
        tissue = tissue + muscle * (2100 - tissue) * 0.8
    inside = (radius < 1) | ((view.position is ViewPosition.MLO) & (0.42 - x - 0.3 * (y + 1) > 0))
    return np.asarray(np.where(inside, np.maximum(tissue, 60), 0), dtype=np.float32)


def _power_law(rng: np.random.Generator, rows: int, columns: int, exponent: float = 1.5) -> Pixels:
    """Noise whose amplitude falls as 1/f^1.5 (power 1/f^3, Burgess 2001), mean 0, standard deviation 1."""
    # Drawn on a fixed coarse grid and enlarged: a woman's parenchyma does not depend on the size of the picture.
    n = 256
    white = np.fft.rfft2(rng.standard_normal((n, n), dtype=np.float32))
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    f[0, 0] = np.inf
    f = np.maximum(f, 2 / n)
    noise = np.fft.irfft2(white / f**exponent, s=(n, n))
    return _enlarged(((noise - noise.mean()) / noise.std()).astype(np.float32), rows, columns)


def _enlarged(grid: Pixels, rows: int, columns: int) -> Pixels:
    """Bilinear enlargement, along columns and then along rows."""
    for axis, size in ((1, columns), (0, rows)):
        at = np.linspace(0, grid.shape[axis] - 1, size)
        low = np.minimum(at.astype(int), grid.shape[axis] - 2)
        share = (at - low).astype(np.float32)
        share = share[None, :] if axis else share[:, None]
        grid = np.take(grid, low, axis) * (1 - share) + np.take(grid, low + 1, axis) * share
    return grid


def focus_centre(woman: int, view: View) -> tuple[float, float] | None:
    """Where a woman's focus lies: depth from the chest wall 0..1 and height -1..1; None in her other breast."""
    shape = _shape(woman)
    if view.laterality is not shape.focus_side:
        return None
    tilt = 0.12 if view.position is ViewPosition.MLO else 0.0
    return shape.focus_depth * shape.depth, shape.focus_height * shape.half_height + tilt


def _focus(exam: PhantomExam, view: View, x: Pixels, y: Pixels) -> Pixels:
    """The spiculated focus, in one breast only, at the same depth in both projections."""
    shape, centre = _shape(exam.woman), focus_centre(exam.woman, view)
    if centre is None or exam.signal <= 0:
        return np.zeros((1, 1), dtype=np.float32)
    dx = x - centre[0]
    dy = (y - centre[1]) * 0.615  # rows span 2 and columns 1 at 1024 x 832
    r = np.hypot(dx, dy) / shape.focus_size
    spicules = 0.5 + 0.5 * np.cos(shape.spicules * np.arctan2(dy, dx) + exam.woman % 7)
    core = np.exp(-((r / 0.3) ** 2))
    return np.asarray(exam.signal * 1500 * (core + spicules * np.exp(-(r**2)) * (1 - core)) * 0.9, dtype=np.float32)


def _lead_marker(tissue: Pixels) -> Pixels:
    """A small bright plate in the corner away from the chest wall, as every film and many detectors show."""
    rows, columns = tissue.shape
    tissue[rows // 40 : rows // 20, -columns // 12 : -columns // 40] = WHITE
    return tissue


def _number(view: View) -> int:
    return STANDARD_VIEWS.index(view)


def _uid(exam: PhantomExam, *parts: str) -> str:
    seed = (str(exam.woman), exam.performed_on.isoformat(), exam.patient_id, *parts)
    return str(generate_uid(entropy_srcs=[hashlib.sha256("/".join(seed).encode()).hexdigest()]))


def _dicom_image(exam: PhantomExam, view: View, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = UID(_uid(exam, "image", str(view)))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    _describe_exam(image, exam)
    _describe_view(image, exam.vendor, view, number)
    _set_pixels(image, exam, view)
    return _in_transfer_syntax(image, exam.transfer_syntax)


def _describe_exam(image: Dataset, exam: PhantomExam) -> None:
    image.PatientID = exam.patient_id or f"PHANTOM-{exam.woman}"
    image.PatientName = f"Phantom^{image.PatientID}"
    image.PatientBirthDate, image.PatientSex = "", "F"
    image.StudyInstanceUID, image.SeriesInstanceUID = exam.study_uid, _uid(exam, "series")
    image.StudyID, image.SeriesNumber = "1", 1
    image.AccessionNumber = exam.accession_number
    image.ReferringPhysicianName = ""
    image.StudyDate = image.ContentDate = image.AcquisitionDate = exam.performed_on.strftime("%Y%m%d")
    image.StudyTime = image.ContentTime = image.AcquisitionTime = "093000"
    image.Modality, image.StudyDescription = "MG", "Synthetic screening mammogram (not a patient)"
    image.PresentationIntentType = "FOR PRESENTATION"
    image.Manufacturer, image.ManufacturerModelName = exam.vendor.manufacturer, exam.vendor.model_name
    image.SoftwareVersions, image.DeviceSerialNumber = exam.vendor.software, "0001"
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.BurnedInAnnotation, image.BreastImplantPresent = "NO", "NO"
    image.PositionerType, image.BodyPartExamined = "MAMMOGRAPHIC", "BREAST"
    image.AcquisitionContextSequence = Sequence([])


VIEW_CODES: Final = {
    ViewPosition.CC: ("399162004", "cranio-caudal"),
    ViewPosition.MLO: ("399368009", "medio-lateral oblique"),
}
"""SCT codes of DICOM PS3.16 CID 4014."""


def _describe_view(image: Dataset, vendor: Vendor, view: View, number: int) -> None:
    image.InstanceNumber = number
    image.ImageLaterality = str(view.laterality)
    image.SeriesDescription = "Synthetic screening"
    image.PatientOrientation = [
        "A" if view.laterality is Laterality.LEFT else "P",
        "L" if view.position is ViewPosition.CC else "F",
    ]
    image.OrganExposed = "BREAST"
    if not vendor.view_by_code:
        image.ViewPosition = str(view.position)
        return
    code = Dataset()
    code.CodeValue, code.CodeMeaning = VIEW_CODES[view.position]
    code.CodingSchemeDesignator = "SCT"
    code.ViewModifierCodeSequence = Sequence([])
    image.ViewCodeSequence = Sequence([code])


def _set_pixels(image: FileDataset, exam: PhantomExam, view: View) -> None:
    stored = pixels(exam, view)
    image.Rows, image.Columns = stored.shape
    image.SamplesPerPixel, image.PixelRepresentation = 1, 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PhotometricInterpretation = "MONOCHROME1" if exam.vendor.inverted else "MONOCHROME2"
    image.PresentationLUTShape = "INVERSE" if exam.vendor.inverted else "IDENTITY"
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = "1", "0", "US"
    image.WindowCenter, image.WindowWidth = "2048", "4096"
    if exam.vendor.sigmoid_window:
        image.VOILUTFunction = "SIGMOID"
    spacing = round(250 / exam.rows, 5)
    image.ImagerPixelSpacing = [spacing, spacing]
    image.LossyImageCompression = "00"
    image.PixelData = (WHITE - stored if exam.vendor.inverted else stored).astype("<u2").tobytes()


def _in_transfer_syntax(image: FileDataset, syntax: UID) -> FileDataset:
    if syntax.is_compressed and not syntax.is_deflated:
        image.compress(syntax, generate_instance_uid=False)
        return image
    image.file_meta.TransferSyntaxUID = syntax
    if not syntax.is_little_endian:
        image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        # Without this pydicom refuses to write a file in another byte order than the one it was made in.
        image.set_original_encoding(is_implicit_vr=False, is_little_endian=False)
    return image


def file_bytes(image: FileDataset) -> bytes:
    """The image as a DICOM file."""
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def history(first: PhantomExam, visits: dict[date, float]) -> tuple[PhantomExam, ...]:
    """The same woman at several dates, each with its own signal."""
    return tuple(replace(first, performed_on=day, signal=signal) for day, signal in visits.items())
