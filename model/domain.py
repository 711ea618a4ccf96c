"""The words every package shares: exam, view, score, trajectory. Standard library only, so they load no torch."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from math import isclose

YEARS = (1, 2, 3, 4, 5)

SHORTEST_RATE_YEARS = 273 / 365.25
"""Exams less than nine months apart give a change but no annual rate: over so short a time it is mostly noise."""
GAP_MONTHS = 18
"""More than this between two exams is a gap: midway from one yearly round, as in Lehman et al., to a missed one."""


class Laterality(StrEnum):
    """Which breast, in DICOM's letters (ImageLaterality, 0020,0062)."""

    LEFT = "L"
    RIGHT = "R"


class ViewPosition(StrEnum):
    """The two screening projections (CID 4014): cranio-caudal and medio-lateral oblique."""

    CC = "CC"
    MLO = "MLO"


@dataclass(frozen=True, order=True)
class View:
    """One breast in one projection, such as `L CC`."""

    laterality: Laterality
    position: ViewPosition

    def __str__(self) -> str:
        return f"{self.laterality} {self.position}"


STANDARD_VIEWS = (
    View(Laterality.LEFT, ViewPosition.CC),
    View(Laterality.RIGHT, ViewPosition.CC),
    View(Laterality.LEFT, ViewPosition.MLO),
    View(Laterality.RIGHT, ViewPosition.MLO),
)


class ImageType(StrEnum):
    """How the 2D picture was made; scores of different kinds are never joined into one line."""

    FFDM = "FFDM"
    SYNTHETIC_2D = "synthetic 2D"


class ExclusionReason(StrEnum):
    """Why an image is left out, or why a whole exam cannot be scored."""

    NOT_FOR_PRESENTATION = "not-for-presentation"
    NOT_MAMMOGRAPHY = "not-mammography"
    TOMOSYNTHESIS = "tomosynthesis"
    SYNTHETIC_2D = "synthetic-2d"
    VIEW_UNKNOWN = "view-unknown"
    NOT_A_SCREENING_VIEW = "not-a-screening-view"
    VIEW_MODIFIER = "view-modifier"
    PARTIAL_VIEW = "partial-view"
    IMPLANT = "implant"
    QUALITY_CONTROL_IMAGE = "quality-control-image"
    CONTRAST_ENHANCED = "contrast-enhanced"
    BURNED_IN_ANNOTATION = "burned-in-annotation"
    DUPLICATE_VIEW = "duplicate-view"
    UNREADABLE_PIXELS = "unreadable-pixels"
    MISSING_VIEW = "missing-view"
    MIXED_PATIENTS = "mixed-patients"
    MIXED_STUDIES = "mixed-studies"
    NO_IMAGES = "no-images"
    NO_EXAM_DATE = "no-exam-date"
    DEVICE_NOT_VALIDATED = "device-not-validated"


@dataclass(frozen=True)
class Exclusion:
    """One reason in a sentence a radiographer understands; `image_uid` is None when it concerns the whole exam."""

    reason: ExclusionReason
    sentence: str
    image_uid: str | None = None


@dataclass(frozen=True)
class AcquisitionDevice:
    """The mammography unit, as its images name it; empty strings where they do not."""

    manufacturer: str = ""
    model_name: str = ""
    software_versions: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, self._parts))

    @property
    def is_fully_named(self) -> bool:
        """Whether a change of it could be seen at all."""
        return all(self._parts)

    def differs_from(self, other: AcquisitionDevice) -> bool:
        """Whether a part that both name is another; a part that one leaves out tells nothing."""
        parts = zip(self._parts, other._parts, strict=True)
        return any(mine and theirs and mine != theirs for mine, theirs in parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        return self.manufacturer, self.model_name, self.software_versions


@dataclass(frozen=True)
class ModelVersion:
    """What two scores must share to be comparable. `weights` is a SHA-256, `clinical` the card's word."""

    name: str
    weights: str
    preprocessing: str
    calibration: str
    clinical: bool = False

    @property
    def key(self) -> str:
        """The identity under which scores are stored: a change of any part makes a new key."""
        return f"{self.name}/{self.weights[:12]}/{self.preprocessing}/{self.calibration}"


@dataclass(frozen=True)
class RiskScore:
    """Risk of breast cancer within 1 to 5 years, as fractions (0.017 is 1.7 %), unrounded.

    `raw` is the network's own probability, `calibrated` what is shown and compared.
    """

    calibrated: tuple[float, ...]
    raw: tuple[float, ...]
    model: ModelVersion

    def __post_init__(self) -> None:
        for risks in (self.calibrated, self.raw):
            if len(risks) != len(YEARS) or not all(0.0 <= risk <= 1.0 for risk in risks):
                raise ValueError(f"a risk score needs {len(YEARS)} fractions between 0 and 1, got {risks!r}")
        if list(self.calibrated) != sorted(self.calibrated):
            raise ValueError("the risk within more years cannot be smaller than within fewer")

    @property
    def five_year(self) -> float:
        """The calibrated five-year risk, a fraction."""
        return self.calibrated[-1]


@dataclass(frozen=True)
class SourceImage:
    """One image that a score was made from; `sha256` is of its pixels as stored, so that a replaced image shows."""

    view: View
    uid: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What a score was made from, and by what: the images, the processor, the software with its versions."""

    images: tuple[SourceImage, ...] = ()
    processor: str = ""
    software: str = ""


@dataclass(frozen=True)
class Comparability:
    """What two scores share that may be joined into one line: the whole model version and the kind of image.

    `model` is ModelVersion.key. A change of device or software shifts scores too, but is marked, not cut: it would cut
    most women's lines.
    """

    model: str
    image_type: ImageType = ImageType.FFDM


@dataclass(frozen=True)
class ScoredExam:
    """One exam's score with what is needed to judge whether it may be compared with another."""

    study_uid: str
    performed_on: date
    score: RiskScore
    scored_at: datetime
    device: AcquisitionDevice = AcquisitionDevice()
    image_type: ImageType = ImageType.FFDM
    warnings: tuple[str, ...] = ()
    imaging_study: str | None = None
    provenance: Provenance = Provenance()

    @property
    def comparability(self) -> Comparability:
        """The class inside which this score may be compared."""
        return Comparability(self.score.model.key, self.image_type)


@dataclass(frozen=True)
class RefusedExam:
    """An exam that was looked at and cannot be scored, with every reason."""

    study_uid: str
    performed_on: date | None
    exclusions: tuple[Exclusion, ...]
    imaging_study: str | None = None


@dataclass(frozen=True)
class PendingExam:
    """An exam without a score yet: queued, or held for the reason given in `problem`."""

    study_uid: str | None
    performed_on: date | None
    problem: str | None = None
    imaging_study: str | None = None


@dataclass(frozen=True)
class Interval:
    """Two comparable exams; `change` is a fraction of risk (0.01 is one percentage point)."""

    earlier: ScoredExam
    later: ScoredExam

    @property
    def change(self) -> float:
        return self.later.score.five_year - self.earlier.score.five_year

    @property
    def years(self) -> float:
        return years_between(self.earlier.performed_on, self.later.performed_on)

    @property
    def annual_change(self) -> float | None:
        """A fraction per year; None under nine months, where it would be mostly noise."""
        return self.change / self.years if self.years >= SHORTEST_RATE_YEARS else None


@dataclass(frozen=True)
class Trajectory:
    """Comparable five-year scores over time, oldest first, and the exams that are not joined to them.

    `points` are the index exam and its priors, and every figure is over them: `slope_per_year` (least squares, None
    for fewer than two distinct dates or under nine months), `steepest` (the recent interval with the fastest
    measurable rise per year), `first_over` (the first over the threshold), `gaps` and `device_changes`. `older` exams
    are comparable but before the priors, `same_day` those of a day whose highest score is in the line, `apart` of
    another class. `points` is empty where every exam is apart.
    `minimum_detectable_change` is a fraction, None where the site has not measured it.
    """

    points: tuple[ScoredExam, ...]
    slope_per_year: float | None = None
    steepest: Interval | None = None
    first_over: ScoredExam | None = None
    apart: tuple[ScoredExam, ...] = ()
    device_changes: tuple[Interval, ...] = ()
    gaps: tuple[Interval, ...] = ()
    older: tuple[ScoredExam, ...] = ()
    minimum_detectable_change: float | None = None
    same_day: tuple[ScoredExam, ...] = ()

    @property
    def comparable(self) -> tuple[ScoredExam, ...]:
        """Every exam of the line's class, those first that are not counted."""
        return (*self.same_day, *self.older, *self.points)

    @property
    def exams(self) -> tuple[ScoredExam, ...]:
        """Every exam, of whichever class."""
        return (*self.apart, *self.comparable)

    @property
    def latest(self) -> ScoredExam:
        return self.points[-1]

    @property
    def span(self) -> Interval | None:
        """From the first exam of the line to the latest; None without two."""
        return Interval(self.points[0], self.points[-1]) if len(self.points) > 1 else None

    @property
    def change(self) -> float | None:
        """Latest minus first five-year risk, a fraction; None for a single exam."""
        return self.span.change if self.span else None

    @property
    def years(self) -> float:
        return self.span.years if self.span else 0.0

    @property
    def annual_change(self) -> float | None:
        """The change per year, a fraction; None under nine months and for a single exam."""
        return self.span.annual_change if self.span else None

    @property
    def change_is_measurable(self) -> bool | None:
        """Whether the change is at least the site's minimum detectable one; None where either is not known."""
        return None if self.change is None else is_measurable(self.change, self.minimum_detectable_change)


@dataclass(frozen=True)
class Assessment:
    """All that is known of a patient's mammograms at one moment: what was scored, refused, and is still to come."""

    trajectory: Trajectory | None = None
    refused: tuple[RefusedExam, ...] = ()
    pending: tuple[PendingExam, ...] = ()
    notes: tuple[str, ...] = field(default=())


def years_between(earlier: date, later: date) -> float:
    """Years of 365.25 days."""
    return (later - earlier).days / 365.25


def is_measurable(change: float, minimum: float | None) -> bool | None:
    """Whether a change is at least the minimum detectable one, both fractions; None without a minimum."""
    # 0.03 - 0.02 is a float just under 0.01, so equality needs its tolerance.
    return None if minimum is None else abs(change) >= minimum or isclose(abs(change), minimum)


def months_before(day: date, months: int) -> date:
    """The same day of the month so many months ago, or that month's last day where it is shorter."""
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if years < date.min.year:
        return date.min
    return date(years, month + 1, min(day.day, calendar.monthrange(years, month + 1)[1]))
