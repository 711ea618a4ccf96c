"""The gate: which four images of an exam are scored, and in words why every other one, or the whole exam, is not.

Mirai was made for the four standard "For Presentation" 2D views. Codes: DICOM PS3.16 CID 4014 (views) and CID 4015
(modifiers), PS3.3 C.8.11.7 (mammography image module).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

from pydicom import Dataset, config
from pydicom.uid import (
    UID,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
)

from model.domain import (
    STANDARD_VIEWS,
    Exclusion,
    ExclusionReason,
    ImageType,
    Laterality,
    View,
    ViewPosition,
)
from model.exam_days import exam_date, taken_at
from model.headers import element, frames, items, text, words
from model.identities import patients_at_odds

POSITION_CODES: Final[Mapping[str, ViewPosition]] = {
    "399162004": ViewPosition.CC,
    "R-10242": ViewPosition.CC,
    "399368009": ViewPosition.MLO,
    "R-10226": ViewPosition.MLO,
}
"""SCT and SRT (also written SNM3) code values of the two screening projections."""

NIPPLE_IN_PROFILE: Final = frozenset({"442581004", "R-40AB3"})
"""The one view modifier that leaves a standard view standard; second choice beside an image without it."""

MODIFIER_LABELS: Final = (("M", ""), ("S", ""), ("", "ID"), ("", "RL"), ("", "RM"), ("", "RI"), ("", "RS"))
"""What is written before or behind CC or MLO: magnified, spot, implant displaced, rolled (CID 4015's ACR labels)."""

OTHER_PROJECTIONS: Final = frozenset(
    {"ML", "LM", "LMO", "XCC", "XCCL", "XCCM", "FB", "SIO", "ISO", "AT", "CV", "TAN", "SPECIMEN"}
    | {f"{before}{position}{behind}" for position in ViewPosition for before, behind in MODIFIER_LABELS}
)
"""Words of ViewPosition that certainly name another picture than CC or MLO, whatever the view code says."""

IMPLANT_DISPLACED: Final = frozenset({"399209000", "R-102D5", "CCID", "MLOID"})
"""View modifiers, and words of ViewPosition, that only a breast with an implant is given."""

SYNTHETIC_SERIES: Final = ("C VIEW", "V PREVIEW", "S VIEW", "INSIGHT", "INTELLIGENT 2D")
"""Vendors' names of 2D pictures computed from tomosynthesis; SeriesDescription has them with hyphens or glued, too."""

# Not in the middle of a word: `CC VIEW` and `DIAGNOSTIC VIEW` are no C-View.
_SYNTHETIC: Final = re.compile("|".join(f"(?<![A-Z0-9]){name.replace(' ', '[ _-]*')}" for name in SYNTHETIC_SERIES))

Word = TypeVar("Word", Laterality, ViewPosition)

Breast = tuple[str, Laterality]
"""A side in a study: what an image of another study says of it may no longer be so."""

IMAGE_KEYWORD: Final = "PixelData"


@dataclass(frozen=True)
class Selection:
    """The images to score by view, and everything that was left out. `refusals` non-empty means: do not score."""

    images: Mapping[View, Dataset]
    left_out: tuple[Exclusion, ...]
    refusals: tuple[Exclusion, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Reasons for the whole exam first, then the single images'."""
        return self.refusals + self.left_out


def select_views(images: Sequence[Dataset]) -> Selection:
    """Pick the four standard views of one exam by the clinical gate."""
    left_out: list[Exclusion] = []
    candidates: list[tuple[View, Dataset]] = []
    implanted = _breasts_with_implant(images)
    for image in images:
        view = view_of(image)
        problem = next(_objections(image, implanted), None)
        if problem is not None or view is None:
            left_out.append(problem or _exclusion(image, ExclusionReason.VIEW_UNKNOWN, VIEW_UNKNOWN))
        else:
            candidates.append((view, image))
    chosen, duplicates = _latest_of_each(candidates)
    refusals = (*_mixed(images, [image for _, image in candidates]), *_missing(images, chosen, left_out))
    return Selection(chosen, (*left_out, *duplicates), refusals, tuple(_warnings(chosen)))


def select_views_for_research(images: Sequence[Dataset]) -> Selection:
    """Pick four views with the gate off: what it would have refused becomes a warning. Never for a patient's care.

    Film exams name the view in PatientOrientation and the side in Laterality, and give each view a study of its own.
    An image that the gate would have taken is preferred to one that it would not.
    """
    candidates: list[tuple[View, Dataset]] = []
    left_out: list[Exclusion] = []
    for image in images:
        view = view_of(image) or _view_of_film(image)
        if view is None or IMAGE_KEYWORD not in image:
            left_out.append(_exclusion(image, ExclusionReason.VIEW_UNKNOWN, VIEW_UNKNOWN))
        else:
            candidates.append((view, image))
    chosen, duplicates = _latest_of_each(candidates)
    implanted = _breasts_with_implant(images)
    # Of one image two checks may say the same.
    warnings = list(
        dict.fromkeys(
            f"gate off, {view}: {problem.sentence}"
            for view, image in chosen.items()
            for problem in _objections(image, implanted)
        )
    )
    warnings += [f"gate off: {problem.sentence}" for problem in _mixed(images, list(chosen.values()))]
    warnings += _warnings(chosen)
    return Selection(chosen, (*left_out, *duplicates), tuple(_missing(images, chosen, left_out)), tuple(warnings))


def _objections(image: Dataset, implanted: frozenset[Breast] = frozenset()) -> Iterator[Exclusion]:
    """What speaks against an image; `implanted` are the breasts of which some image of the exam says it."""
    yield from filter(None, (check(image) for check in IMAGE_CHECKS))
    if _breast(image) in implanted and not _says_implant(image):
        sentence = "Another image of this breast says that it has an implant; the model never saw one."
        yield _exclusion(image, ExclusionReason.IMPLANT, sentence)


def view_of(image: Dataset) -> View | None:
    """Breast and projection from the header: ViewCodeSequence first, ViewPosition second; None when it does not say."""
    position, laterality = _position(image), _laterality(image)
    return View(laterality, position) if position and laterality else None


def _position(image: Dataset) -> ViewPosition | None:
    coded = {POSITION_CODES.get(_code(item)) for item in _coded_views(image)}
    if not coded:
        return _member(ViewPosition, text(image, "ViewPosition"))
    return coded.pop() if len(coded) == 1 else None


def _coded_views(image: Dataset) -> list[Dataset]:
    """The standard has one item; a second is met with the same view in an older coding scheme, or with another."""
    return [item for item in items(image, "ViewCodeSequence") if _code(item)]


def _code(item: Dataset) -> str:
    """The code value of an item, wherever PS3.3 8.8 has it; of a URN its last part (http://snomed.info/id/399162004)."""
    urn = re.split("[/:#]", text(item, "URNCodeValue").rstrip("/:#"))[-1]
    return (text(item, "CodeValue") or text(item, "LongCodeValue") or urn).upper()


def _laterality(image: Dataset) -> Laterality | None:
    """The image's own side; that of its series only where the image says nothing."""
    return _member(Laterality, text(image, "ImageLaterality") or text(image, "Laterality"))


def _view_of_film(image: Dataset) -> View | None:
    orientation = (_member(ViewPosition, word) for word in words(image, "PatientOrientation"))
    position, laterality = next(filter(None, orientation), None), _laterality(image)
    return View(laterality, position) if position and laterality else None


def _member(kind: type[Word], written: str) -> Word | None:
    """The whole word, not a part of it: `ML` is another projection than `MLO`."""
    word = written.upper()
    return kind(word) if word in list(kind) else None


# One check a refusal; the first that objects names the reason.

VIEW_UNKNOWN: Final = "The header does not say which breast and which projection it shows."


def _not_mammography(image: Dataset) -> Exclusion | None:
    kind = UID(text(image, "SOPClassUID"), config.IGNORE)
    if kind in TOMOSYNTHESIS or frames(image) > 1:
        return _exclusion(image, ExclusionReason.TOMOSYNTHESIS, "Tomosynthesis, not a 2D mammogram.")
    if kind == DigitalMammographyXRayImageStorageForProcessing:
        return _exclusion(image, ExclusionReason.NOT_FOR_PRESENTATION, FOR_PRESENTATION_ONLY)
    if kind != DigitalMammographyXRayImageStorageForPresentation:
        sentence = f"Not a digital mammogram for presentation, but {kind.name or 'an unknown kind of object'}."
        return _exclusion(image, ExclusionReason.NOT_MAMMOGRAPHY, sentence)
    if IMAGE_KEYWORD not in image:
        return _exclusion(image, ExclusionReason.UNREADABLE_PIXELS, "The image arrived without its pixels.")
    return None


TOMOSYNTHESIS: Final = frozenset(
    {
        BreastTomosynthesisImageStorage,
        BreastProjectionXRayImageStorageForPresentation,
        BreastProjectionXRayImageStorageForProcessing,
    }
)

FOR_PRESENTATION_ONLY: Final = "Not marked FOR PRESENTATION; the model was made for presentation images only."


def _not_for_presentation(image: Dataset) -> Exclusion | None:
    if text(image, "PresentationIntentType").upper() == "FOR PRESENTATION":
        return None
    return _exclusion(image, ExclusionReason.NOT_FOR_PRESENTATION, FOR_PRESENTATION_ONLY)


def _synthetic(image: Dataset) -> Exclusion | None:
    sentence = "A 2D picture computed from tomosynthesis, not acquired."
    return _exclusion(image, ExclusionReason.SYNTHETIC_2D, sentence) if _is_synthetic(image) else None


def _is_synthetic(image: Dataset) -> bool:
    named = _SYNTHETIC.search(text(image, "SeriesDescription").upper())
    return "GENERATED_2D" in words(image, "ImageType") or named is not None


def _not_a_screening_view(image: Dataset) -> Exclusion | None:
    sentence = _other_code(image) if _coded_views(image) else _other_word(image)
    return _exclusion(image, ExclusionReason.NOT_A_SCREENING_VIEW, sentence) if sentence else None


def _other_code(image: Dataset) -> str | None:
    """In a sentence, which other view the codes name, or which ViewPosition beside a code of CC or MLO."""
    for item in _coded_views(image):
        if _code(item) not in POSITION_CODES:
            return f"Not a CC or MLO view, but {text(item, 'CodeMeaning') or _code(item)!r}."
    for word in words(image, "ViewPosition"):
        if word in OTHER_PROJECTIONS:
            coded = " and ".join(sorted({POSITION_CODES[_code(item)] for item in _coded_views(image)}))
            return f"The view code says {coded}, ViewPosition says {word}; only plain CC and MLO views are scored."
    return None


def _other_word(image: Dataset) -> str | None:
    written = text(image, "ViewPosition")
    return f"Not a CC or MLO view, but {written!r}." if written and _position(image) is None else None


def _contrast_enhanced(image: Dataset) -> Exclusion | None:
    if not text(image, "ContrastBolusAgent"):
        return None
    sentence = "Taken with contrast agent; the model was made for plain mammograms."
    return _exclusion(image, ExclusionReason.CONTRAST_ENHANCED, sentence)


def _modified(image: Dataset) -> Exclusion | None:
    names = [
        text(modifier, "CodeMeaning") or _code(modifier)
        for modifier in _modifiers(image)
        if _code(modifier) not in NIPPLE_IN_PROFILE
    ]
    if names:
        sentence = f"Taken with {', '.join(names)}; only plain CC and MLO views are scored."
        return _exclusion(image, ExclusionReason.VIEW_MODIFIER, sentence)
    return None


def _modifiers(image: Dataset) -> Sequence[Dataset]:
    """Nested in the view code as the standard has it, or beside it as some units write it; empty items say nothing."""
    nested = (item for code in items(image, "ViewCodeSequence") for item in items(code, "ViewModifierCodeSequence"))
    both = (*nested, *items(image, "ViewModifierCodeSequence"))
    return [item for item in both if _code(item) or text(item, "CodeMeaning")]


def _breasts_with_implant(images: Iterable[Dataset]) -> frozenset[Breast]:
    """Every image of a breast with an implant should say so (PS3.3 C.8.21.6), and not every unit's do."""
    return frozenset(filter(None, (_breast(image) for image in images if _says_implant(image))))


def _breast(image: Dataset) -> Breast | None:
    laterality = _laterality(image)
    return (text(image, "StudyInstanceUID"), laterality) if laterality else None


def _says_implant(image: Dataset) -> bool:
    marks = {*map(_code, _modifiers(image)), *words(image, "ViewPosition")}
    return text(image, "BreastImplantPresent").upper() == "YES" or not IMPLANT_DISPLACED.isdisjoint(marks)


def _flagged(
    keyword: str, reason: ExclusionReason, sentence: str, *, values: tuple[str, ...] = ("YES",)
) -> Callable[[Dataset], Exclusion | None]:
    def check(image: Dataset) -> Exclusion | None:
        return _exclusion(image, reason, sentence) if text(image, keyword).upper() in values else None

    return check


QUALITY_CONTROL: Final = "A quality control image or phantom, not the patient alone."


IMAGE_CHECKS: Final[tuple[Callable[[Dataset], Exclusion | None], ...]] = (
    _not_mammography,
    _not_for_presentation,
    _synthetic,
    _not_a_screening_view,
    _modified,
    _contrast_enhanced,
    _flagged("PartialView", ExclusionReason.PARTIAL_VIEW, "Shows only a part of the breast."),
    _flagged("BreastImplantPresent", ExclusionReason.IMPLANT, "The breast has an implant; the model never saw one."),
    # BOTH: the patient, and something beside her to calibrate by (PS3.3 C.7.6.1).
    _flagged("QualityControlImage", ExclusionReason.QUALITY_CONTROL_IMAGE, QUALITY_CONTROL, values=("YES", "BOTH")),
    _flagged("QualityControlSubject", ExclusionReason.QUALITY_CONTROL_IMAGE, QUALITY_CONTROL),
    _flagged("BurnedInAnnotation", ExclusionReason.BURNED_IN_ANNOTATION, "Has writing burned into the picture."),
)


def _latest_of_each(candidates: Sequence[tuple[View, Dataset]]) -> tuple[dict[View, Dataset], list[Exclusion]]:
    """Of two images of one view the later acquisition, a nipple in profile only where there is no other."""
    chosen: dict[View, Dataset] = {}
    duplicates: list[Exclusion] = []
    exam_day = exam_date(image for _, image in candidates) or date.min
    for view, image in sorted(candidates, key=lambda candidate: _preference(candidate[1], exam_day)):
        if view in chosen:
            sentence = f"A later or plainer image of {view} is scored instead."
            duplicates.append(_exclusion(chosen[view], ExclusionReason.DUPLICATE_VIEW, sentence))
        chosen[view] = image
    return {view: chosen[view] for view in STANDARD_VIEWS if view in chosen}, duplicates


def _preference(image: Dataset, exam_day: date) -> tuple[bool, bool, tuple[date, str], int, str]:
    """Sorts the image to keep last. The UID decides at the end, so that the order of arrival never does."""
    number = element(image, "InstanceNumber")
    counted = int(number) if isinstance(number, int) else 0
    taken = taken_at(image, exam_day)
    return (not any(_objections(image)), not _modifiers(image), taken, counted, text(image, "SOPInstanceUID"))


def _mixed(images: Sequence[Dataset], scored: Sequence[Dataset]) -> Iterable[Exclusion]:
    """Whose the exam is, all of its study bears witness to; what is left out of another study may be anybody's."""
    studies = {text(image, "StudyInstanceUID") for image in scored}
    at_odds = list(patients_at_odds([image for image in images if text(image, "StudyInstanceUID") in studies], scored))
    if at_odds:
        sentence = f"The images carry different {' and '.join(at_odds)}; check in the PACS whose exam this is."
        yield Exclusion(ExclusionReason.MIXED_PATIENTS, sentence)
    if len(studies) > 1:
        yield Exclusion(ExclusionReason.MIXED_STUDIES, "The images belong to different studies.")


def _missing(
    images: Sequence[Dataset], chosen: Mapping[View, Dataset], left_out: Sequence[Exclusion]
) -> Iterable[Exclusion]:
    if not images:
        yield Exclusion(ExclusionReason.NO_IMAGES, "The study holds no images.")
        return
    if not chosen and left_out:
        # The commonest reason, the alphabet deciding between equals: the order of arrival must not.
        counted = Counter((exclusion.sentence, exclusion.reason) for exclusion in left_out)
        sentence, reason = min(counted, key=lambda said: (-counted[said], said))
        yield Exclusion(reason, f"No usable image: {sentence}")
        return
    for view in STANDARD_VIEWS:
        if view not in chosen:
            yield Exclusion(ExclusionReason.MISSING_VIEW, f"No usable {view} view.")


def _warnings(chosen: Mapping[View, Dataset]) -> Iterable[str]:
    if any(text(image, "LossyImageCompression") == "01" for image in chosen.values()):
        yield "At least one image was compressed with loss before it was stored."
    for view, image in chosen.items():
        written = _member(ViewPosition, text(image, "ViewPosition"))
        if written not in (None, view.position):
            yield f"{view}: the view code says {view.position}, ViewPosition says {written}; the code was believed."


def image_type(images: Iterable[Dataset]) -> ImageType:
    """How the pictures of an exam were made; one synthetic picture makes the exam synthetic."""
    return ImageType.SYNTHETIC_2D if any(_is_synthetic(image) for image in images) else ImageType.FFDM


def _exclusion(image: Dataset, reason: ExclusionReason, sentence: str) -> Exclusion:
    return Exclusion(reason, sentence, text(image, "SOPInstanceUID") or None)
