from __future__ import annotations

from collections.abc import Callable, Sequence

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing, SecondaryCaptureImageStorage

from model.domain import STANDARD_VIEWS, ExclusionReason, ImageType, View
from model.views import image_type, select_views, select_views_for_research, view_of
from tests.builders import cad_report, mammogram, screening_exam, tomosynthesis
from tests.model.film import FILM_CASES, real_film_exam

Exam = list[pydicom.FileDataset]


def code(value: str, meaning: str = "", scheme: str = "SCT", modifiers: Sequence[Dataset] = ()) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    item.ViewModifierCodeSequence = DicomSequence(modifiers)
    return item


def coded_elsewhere(keyword: str, value: str) -> Dataset:
    """A code with its value in another element than CodeValue."""
    item = code("", "a code")
    del item.CodeValue
    setattr(item, keyword, value)
    return item


def coded(value: str, scheme: str = "SCT", laterality: str = "L", modifiers: Sequence[Dataset] = ()) -> Dataset:
    """A mammogram that names its view by code only."""
    image = mammogram(f"{laterality} CC")
    del image.ViewPosition
    image.ViewCodeSequence = DicomSequence([code(value, scheme=scheme, modifiers=modifiers)])
    return image


def exam() -> Exam:
    return screening_exam("1.2.3")


def with_element(keyword: str, value: object) -> Exam:
    """An exam whose first image, the left CC, has this element."""
    images = exam()
    setattr(images[0], keyword, value)
    return images


def reasons(images: Sequence[Dataset]) -> list[ExclusionReason]:
    return [exclusion.reason for exclusion in select_views(images).exclusions]


def chosen_uids(images: Sequence[Dataset]) -> dict[View, str]:
    return {view: str(image.SOPInstanceUID) for view, image in select_views(images).images.items()}


def test_the_four_standard_views_of_one_exam_are_selected() -> None:
    images = exam()
    selection = select_views(images)
    assert list(selection.images) == list(STANDARD_VIEWS)
    assert [image.SOPInstanceUID for image in selection.images.values()] == [image.SOPInstanceUID for image in images]
    assert (selection.exclusions, selection.warnings) == ((), ())


@pytest.mark.parametrize("scheme", ["SCT", "SRT", "SNM3"])
@pytest.mark.parametrize(
    ("value", "position"), [("399162004", "CC"), ("R-10242", "CC"), ("399368009", "MLO"), ("R-10226", "MLO")]
)
@pytest.mark.parametrize("laterality", ["L", "R"])
def test_both_screening_views_are_known_by_their_codes(value: str, scheme: str, position: str, laterality: str) -> None:
    assert str(view_of(coded(value, scheme, laterality))) == f"{laterality} {position}"


OTHER_VIEWS = {
    "ML": ("399260004", "R-10224"),
    "LM": ("399352003", "R-10228"),
    "LMO": ("399099002", "R-10230"),
    "FB": ("399196006", "R-10244"),
    "SIO": ("399188001", "R-102D0"),
    "ISO": ("441555000", "R-40AAA"),
    "XCCL": ("399192008", "R-1024A"),
    "XCCM": ("399101009", "R-1024B"),
    "specimen": ("127457009", "G-8310"),
    "legacy": ("Y-X1770", "Y-X1771", "R-102CF"),
}
"""Views of DICOM PS3.16 CID 4014 that are no screening views."""


@pytest.mark.parametrize("value", [value for values in OTHER_VIEWS.values() for value in values])
def test_every_other_view_code_is_left_out_by_name(value: str) -> None:
    image = coded(value)
    image.ViewCodeSequence[0].CodeMeaning = "another view"
    (exclusion,) = select_views([image]).left_out
    assert exclusion.reason is ExclusionReason.NOT_A_SCREENING_VIEW
    assert "'another view'" in exclusion.sentence
    assert exclusion.image_uid == image.SOPInstanceUID


@pytest.mark.parametrize("position", ["ML", "LM", "LMO", "XCCL", "MLOID", "CCID", "M", "C"])
def test_a_view_position_is_compared_as_a_whole_word(position: str) -> None:
    image = mammogram()
    image.ViewPosition = position
    assert view_of(image) is None
    assert reasons([image])[-1] is ExclusionReason.NOT_A_SCREENING_VIEW


def test_the_code_of_another_view_is_believed_before_a_view_position_of_cc() -> None:
    image = mammogram("L CC")
    image.ViewCodeSequence = DicomSequence([code("399192008", "cranio-caudal exaggerated laterally")])
    assert ExclusionReason.NOT_A_SCREENING_VIEW in reasons([image])


def test_a_code_and_a_position_that_disagree_are_pointed_out() -> None:
    images = exam()
    images[2].ViewPosition = "CC"
    images[2].ViewCodeSequence = DicomSequence([code("399368009")])
    selection = select_views(images)
    assert not selection.refusals
    assert selection.warnings == ("L MLO: the view code says MLO, ViewPosition says CC; the code was believed.",)


OTHER_WORDS = (
    "ML", "LM", "LMO", "XCC", "XCCL", "XCCM", "FB", "SIO", "ISO", "AT", "CV", "TAN", "SPECIMEN", "CCID", "MLOID", "MCC",
    "SMLO", "CCRL", "CCRM", "MLORI", "MLORS",
)  # fmt: skip
"""ViewPosition for what CID 4014 and 4015 list beside the two screening views, by their ACR labels."""


@pytest.mark.parametrize("word", OTHER_WORDS)
@pytest.mark.parametrize(("value", "position", "number"), [("399162004", "CC", 0), ("399368009", "MLO", 2)])
def test_a_view_position_of_another_view_is_left_out_whatever_the_code_says(
    word: str, value: str, position: str, number: int
) -> None:
    images = exam()
    images[number].ViewPosition, images[number].ViewCodeSequence = word, DicomSequence([code(value)])
    exclusion = next(e for e in select_views(images).left_out if e.image_uid == images[number].SOPInstanceUID)
    assert exclusion.reason is ExclusionReason.NOT_A_SCREENING_VIEW
    assert f"view code says {position}, ViewPosition says {word};" in exclusion.sentence


@pytest.mark.parametrize("word", ["", "CC", "CRANIOCAUDAL", "L CC"])
def test_a_view_position_that_names_no_other_view_leaves_the_word_to_the_code(word: str) -> None:
    images = with_element("ViewPosition", word)
    images[0].ViewCodeSequence = DicomSequence([code("399162004")])
    assert not select_views(images).exclusions


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("399162004", "R-10242"), []),
        (("399162004", "399260004"), [ExclusionReason.NOT_A_SCREENING_VIEW]),
        (("399162004", "399368009"), [ExclusionReason.VIEW_UNKNOWN]),
    ],
)
def test_every_item_of_a_view_code_counts(values: Sequence[str], expected: list[ExclusionReason]) -> None:
    images = with_element("ViewCodeSequence", DicomSequence([code(value) for value in values]))
    assert [exclusion.reason for exclusion in select_views(images).left_out] == expected


ELSEWHERE = [
    ("LongCodeValue", "{}"),
    ("URNCodeValue", "http://snomed.info/id/{}"),
    ("URNCodeValue", "http://snomed.info/id/{}/"),
    ("URNCodeValue", "urn:oid:2.16.840:{}"),
]


@pytest.mark.parametrize(("keyword", "written"), ELSEWHERE)
def test_a_long_code_or_a_urn_is_a_code_too(keyword: str, written: str) -> None:
    images = exam()
    for image, value in zip(images, ["399162004", "399260004", "399368009", "R-10226"], strict=True):
        image.ViewCodeSequence = DicomSequence([coded_elsewhere(keyword, written.format(value))])
    (exclusion,) = select_views(images).left_out
    assert exclusion.reason is ExclusionReason.NOT_A_SCREENING_VIEW
    assert exclusion.image_uid == images[1].SOPInstanceUID


@pytest.mark.parametrize(("keyword", "written"), ELSEWHERE)
def test_a_modifier_may_be_a_long_code_or_a_urn(keyword: str, written: str) -> None:
    spot, profile = (coded_elsewhere(keyword, written.format(value)) for value in ("399055006", "442581004"))
    images = exam()
    images[0].ViewCodeSequence = DicomSequence([code("399162004", modifiers=[spot])])
    images[1].ViewCodeSequence = DicomSequence([code("399162004", modifiers=[profile])])
    (exclusion,) = select_views(images).left_out
    assert (exclusion.reason, exclusion.image_uid) == (ExclusionReason.VIEW_MODIFIER, images[0].SOPInstanceUID)


def test_an_empty_view_code_leaves_the_word_to_view_position() -> None:
    images = exam()
    images[0].ViewCodeSequence = DicomSequence([Dataset()])
    images[1].ViewCodeSequence = DicomSequence([])
    assert not select_views(images).exclusions


def test_a_view_code_that_is_text_instead_of_a_sequence_is_passed_over() -> None:
    image = mammogram()
    image.add_new(0x00540220, "LO", "CC")
    assert str(view_of(image)) == "L CC"


@pytest.mark.parametrize("laterality", ["B", "", "U", "LR", None])
def test_an_image_that_does_not_say_which_breast_is_left_out(laterality: str | None) -> None:
    image = mammogram()
    image.ImageLaterality = laterality
    (exclusion,) = select_views([image]).left_out
    assert exclusion.reason is ExclusionReason.VIEW_UNKNOWN


def test_the_laterality_of_the_series_counts_only_where_the_image_says_nothing() -> None:
    image = mammogram("L CC")
    image.Laterality = "R"
    assert str(view_of(image)) == "L CC"
    del image.ImageLaterality
    assert str(view_of(image)) == "R CC"


MODIFIERS = {
    "implant displaced": ("399209000", "R-102D5"),
    "magnification": ("399163009", "R-102D6"),
    "spot compression": ("399055006", "R-102D7"),
    "cleavage": ("399161006", "R-102D2"),
    "axillary tail": ("399011000", "R-102D1"),
    "axillary tissue": ("442580003", "R-40AB2"),
    "tangential": ("399110001", "R-102C2"),
    "rolled lateral": ("399197002", "R-102D3"),
    "rolled medial": ("399226006", "R-102D4"),
    "rolled inferior": ("414493004", "R-102CA"),
    "rolled superior": ("415670009", "R-102C9"),
    "infra-mammary fold": ("442593008", "R-40ABE"),
    "anterior compression": ("441752004", "P2-00161"),
    "something new": ("999", "X-1"),
}
"""View modifiers of DICOM PS3.16 CID 4015."""


@pytest.mark.parametrize("value", [value for values in MODIFIERS.values() for value in values])
@pytest.mark.parametrize("nested", [True, False])
def test_a_modified_view_is_left_out_wherever_its_modifier_stands(value: str, nested: bool) -> None:
    modifier = code(value, "modified so")
    image = coded("399162004", modifiers=[modifier] if nested else [])
    if not nested:
        image.ViewModifierCodeSequence = DicomSequence([modifier])
    (exclusion,) = select_views([image]).left_out
    assert exclusion.reason is ExclusionReason.VIEW_MODIFIER
    assert "modified so" in exclusion.sentence


@pytest.mark.parametrize("value", ["442581004", "R-40AB3"])
def test_a_nipple_in_profile_is_scored_only_where_there_is_no_plain_image_of_the_view(value: str) -> None:
    profile = coded("399162004", modifiers=[code(value, "nipple in profile")])
    profile.AcquisitionDate, profile.AcquisitionTime = "20260105", "235959"
    plain, *others = exam()
    assert chosen_uids([profile, *others])[STANDARD_VIEWS[0]] == profile.SOPInstanceUID
    both = select_views([profile, plain, *others])
    assert both.images[STANDARD_VIEWS[0]] is plain
    assert [exclusion.reason for exclusion in both.left_out] == [ExclusionReason.DUPLICATE_VIEW]


def test_a_modifier_without_any_words_says_nothing() -> None:
    image = coded("399162004", modifiers=[Dataset()])
    assert str(view_of(image)) == "L CC"
    assert reasons([image]) == [ExclusionReason.MISSING_VIEW] * 3


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("PartialView", "YES", ExclusionReason.PARTIAL_VIEW),
        ("QualityControlImage", "YES", ExclusionReason.QUALITY_CONTROL_IMAGE),
        ("QualityControlImage", "BOTH", ExclusionReason.QUALITY_CONTROL_IMAGE),
        ("QualityControlSubject", "YES", ExclusionReason.QUALITY_CONTROL_IMAGE),
        ("BurnedInAnnotation", "YES", ExclusionReason.BURNED_IN_ANNOTATION),
        ("ContrastBolusAgent", "Iohexol", ExclusionReason.CONTRAST_ENHANCED),
        ("PresentationIntentType", "FOR PROCESSING", ExclusionReason.NOT_FOR_PRESENTATION),
        ("PresentationIntentType", "", ExclusionReason.NOT_FOR_PRESENTATION),
        ("SOPClassUID", DigitalMammographyXRayImageStorageForProcessing, ExclusionReason.NOT_FOR_PRESENTATION),
        ("SOPClassUID", SecondaryCaptureImageStorage, ExclusionReason.NOT_MAMMOGRAPHY),
        ("SOPClassUID", "", ExclusionReason.NOT_MAMMOGRAPHY),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.13.1.3", ExclusionReason.TOMOSYNTHESIS),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.13.1.4", ExclusionReason.TOMOSYNTHESIS),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.13.1.5", ExclusionReason.TOMOSYNTHESIS),
        ("NumberOfFrames", 40, ExclusionReason.TOMOSYNTHESIS),
        ("ImageType", ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"], ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "L CC C-View", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "L CC CView", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "C View", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "RMLO_c_view", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "V-Preview", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "VPreview", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "S View", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "Intelligent2D", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "S-View LCC", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "Insight", ExclusionReason.SYNTHETIC_2D),
        ("SeriesDescription", "Intelligent 2D", ExclusionReason.SYNTHETIC_2D),
    ],
)
def test_an_image_that_the_model_was_not_made_for_is_left_out_and_its_view_is_missed(
    keyword: str, value: object, reason: ExclusionReason
) -> None:
    images = with_element(keyword, value)
    selection = select_views(images)
    assert [exclusion.reason for exclusion in selection.left_out] == [reason]
    assert selection.left_out[0].image_uid == images[0].SOPInstanceUID
    (refusal,) = selection.refusals
    assert refusal.reason is ExclusionReason.MISSING_VIEW
    assert "L CC" in refusal.sentence


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PartialView", "NO"),
        ("BreastImplantPresent", "NO"),
        ("BurnedInAnnotation", ""),
        ("ContrastBolusAgent", ""),
        ("QualityControlImage", "NO"),
        ("QualityControlSubject", "NO"),
        ("SeriesDescription", "Screening"),
        ("SeriesDescription", "L CC View"),
        ("SeriesDescription", "L CC-View"),
        ("SeriesDescription", "Diagnostic Views"),
        ("SeriesDescription", "Both Breasts View"),
        ("ImageType", ["DERIVED", "PRIMARY"]),
        ("NumberOfFrames", 1),
    ],
)
def test_an_image_that_says_it_is_ordinary_is_scored(keyword: str, value: object) -> None:
    assert not select_views(with_element(keyword, value)).exclusions


def with_flag(image: Dataset) -> Dataset:
    image.BreastImplantPresent = "YES"
    return image


def displaced(image: Dataset) -> Dataset:
    image.ViewCodeSequence = DicomSequence([code("399162004", modifiers=[code("399209000", "implant displaced")])])
    return image


def displaced_by_word(image: Dataset) -> Dataset:
    image.ViewPosition = "CCID"
    return image


@pytest.mark.parametrize("says_it", [with_flag, displaced, displaced_by_word])
def test_an_implant_on_one_image_makes_all_of_that_breast_implant_images(
    says_it: Callable[[Dataset], Dataset],
) -> None:
    images = exam()
    for image in images:
        image.BreastImplantPresent = "NO"
    selection = select_views([says_it(mammogram("L CC")), *images])
    left_out = {e.image_uid: e for e in selection.left_out if e.image_uid in {i.SOPInstanceUID for i in images}}
    assert {e.reason for e in left_out.values()} == {ExclusionReason.IMPLANT}
    assert list(left_out) == [image.SOPInstanceUID for image in images if image.ImageLaterality == "L"]
    assert all(e.sentence.startswith("Another image of this breast") for e in left_out.values())
    assert [e.sentence for e in selection.refusals] == ["No usable L CC view.", "No usable L MLO view."]


def test_an_image_that_says_itself_that_there_is_an_implant_is_told_so_once() -> None:
    warned = select_views_for_research(with_element("BreastImplantPresent", "YES")).warnings
    assert [warning.partition(": ")[0] for warning in warned] == ["gate off, L CC", "gate off, L MLO"]


def test_an_implant_in_an_image_of_another_study_says_nothing_of_this_one() -> None:
    former = with_flag(mammogram("L CC", study_uid="1.2.4"))
    assert not select_views([former, *exam()]).refusals


@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # pydicom's word on the file; we go on
def test_a_number_of_frames_that_is_no_number_does_not_stop_the_selection() -> None:
    images = exam()
    tag = Tag("NumberOfFrames")
    images[0][tag] = RawDataElement(tag, "IS", 2, b"1A", 0, False, True)
    assert not select_views(images).exclusions


def test_objects_that_are_no_mammograms_are_left_out_beside_a_complete_exam() -> None:
    selection = select_views([cad_report("1.2.3"), tomosynthesis("1.2.3"), *exam()])
    assert not selection.refusals
    assert [e.reason for e in selection.left_out] == [ExclusionReason.NOT_MAMMOGRAPHY, ExclusionReason.TOMOSYNTHESIS]


def test_an_image_without_its_pixels_is_left_out() -> None:
    images = exam()
    del images[0].PixelData
    assert ExclusionReason.UNREADABLE_PIXELS in reasons(images)


def test_images_of_two_patients_are_not_scored_together() -> None:
    assert reasons(with_element("PatientID", "MRN-2")) == [ExclusionReason.MIXED_PATIENTS]


def test_a_duplicate_of_another_patient_stops_the_exam_even_where_it_would_not_be_chosen() -> None:
    assert ExclusionReason.MIXED_PATIENTS in reasons([mammogram("L CC", patient_id="MRN-2"), *exam()])


@pytest.mark.parametrize("keyword", ["SeriesDescription", "SOPClassUID"])
def test_an_image_of_another_patient_stops_the_exam_even_where_it_is_left_out(keyword: str) -> None:
    stranger = mammogram("L CC", patient_id="MRN-2")
    setattr(stranger, keyword, {"SeriesDescription": "C-View", "SOPClassUID": SecondaryCaptureImageStorage}[keyword])
    assert ExclusionReason.MIXED_PATIENTS in reasons([stranger, *exam()])


def test_what_is_left_out_of_another_study_may_be_another_patients() -> None:
    stranger = with_flag(mammogram("L CC", study_uid="1.2.4", patient_id="MRN-2"))
    assert not select_views([stranger, *exam()]).refusals


def test_what_is_left_out_need_not_name_the_patient() -> None:
    nameless = cad_report("1.2.3")
    nameless.PatientID = ""
    assert not select_views([nameless, *exam()]).refusals


def test_a_scored_image_without_a_patient_id_beside_others_with_one_stops_the_exam() -> None:
    assert reasons(with_element("PatientID", "")) == [ExclusionReason.MIXED_PATIENTS]


def written(keyword: str, *values: str) -> Exam:
    """An exam whose images have these values of an element, in turn."""
    images = exam()
    for image, value in zip(images, values, strict=True):
        setattr(image, keyword, value)
    return images


def without_patient_ids(images: Exam) -> Exam:
    for image in images:
        image.PatientID = ""
    return images


@pytest.mark.parametrize(
    ("keyword", "value", "other", "named"),
    [
        ("IssuerOfPatientID", "NORTH", "SOUTH", "issuers of the patient ID"),
        ("PatientBirthDate", "19600101", "19500101", "birth dates"),
    ],
)
def test_one_patient_id_with_two_issuers_or_birth_dates_is_two_patients(
    keyword: str, value: str, other: str, named: str
) -> None:
    (exclusion,) = select_views(written(keyword, value, value, other, value)).exclusions
    assert exclusion.reason is ExclusionReason.MIXED_PATIENTS
    assert f"different {named};" in exclusion.sentence


@pytest.mark.parametrize(
    ("keyword", "value", "nothing"),
    [
        ("IssuerOfPatientID", "NORTH", ""),
        ("PatientBirthDate", "19600101", ""),
        ("PatientBirthDate", "19600101", "00000000"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # pydicom's word on what the test writes
def test_an_issuer_or_birth_date_that_is_not_written_contradicts_none(keyword: str, value: str, nothing: str) -> None:
    assert not select_views(written(keyword, value, nothing, value, nothing)).exclusions


def test_two_names_under_one_patient_id_are_a_marriage_or_a_spelling() -> None:
    assert not select_views(with_element("PatientName", "Lovelace^Ada")).exclusions


def test_without_patient_ids_two_names_are_two_patients() -> None:
    (exclusion,) = select_views(without_patient_ids(with_element("PatientName", "Other^Ada"))).exclusions
    assert exclusion.reason is ExclusionReason.MIXED_PATIENTS
    assert "different names;" in exclusion.sentence


def test_a_name_may_be_written_in_several_ways() -> None:
    names = ("Test^Ada", "TEST^ADA^^^", "Test ^Ada^Maria^Dr", "Test^Ada=山田^エイダ")
    images = written("PatientName", *names)
    for image in images:
        image.SpecificCharacterSet = "ISO_IR 192"
    assert not select_views(without_patient_ids(images)).exclusions


def test_all_that_the_images_differ_in_is_told_in_one_sentence() -> None:
    images = written("PatientBirthDate", "19600101", "19600101", "19600101", "19500101")
    images[3].PatientID = "MRN-2"
    (exclusion,) = select_views(images).exclusions
    assert "different patient IDs and birth dates;" in exclusion.sentence


def test_images_of_two_studies_are_not_scored_together() -> None:
    assert reasons(with_element("StudyInstanceUID", "1.2.4")) == [ExclusionReason.MIXED_STUDIES]


def test_the_refusal_of_mixed_patients_names_nobody() -> None:
    images = with_element("PatientID", "MRN-SECRET")
    assert not any("SECRET" in exclusion.sentence for exclusion in select_views(images).exclusions)


def test_an_exam_without_images_says_so() -> None:
    assert reasons([]) == [ExclusionReason.NO_IMAGES]


def test_every_missing_view_is_named() -> None:
    sentences = [exclusion.sentence for exclusion in select_views([mammogram("R MLO")]).refusals]
    assert [view for view in ("L CC", "R CC", "L MLO", "R MLO") for s in sentences if f" {view} " in s] == [
        "L CC",
        "R CC",
        "L MLO",
    ]


ACQUISITIONS: list[tuple[str, str, int | None]] = [
    ("20260105", "093000", 1),
    ("20260105", "093000", 2),
    ("20260105", "093001", 1),
    ("20260106", "080000", None),
    ("", "", 9),
    ("", "", None),
]


@settings(max_examples=40)
@given(data=st.data())
def test_of_duplicates_the_latest_is_scored_whatever_their_order(data: st.DataObject) -> None:
    duplicates = []
    for number, (day, time, instance) in enumerate(ACQUISITIONS):
        image = mammogram("L CC", rows=2, columns=2)
        image.SOPInstanceUID = f"1.2.3.{number}"
        image.AcquisitionDate, image.AcquisitionTime, image.InstanceNumber = day, time, instance
        duplicates.append(image)
    some = data.draw(st.lists(st.sampled_from(range(len(duplicates))), unique=True, min_size=1))
    images: Exam = data.draw(st.permutations([*(duplicates[i] for i in some), *exam()[1:]]))
    selection = select_views(images)
    latest = max(some, key=lambda i: (*ACQUISITIONS[i][:2], ACQUISITIONS[i][2] or 0, i))
    assert selection.images[STANDARD_VIEWS[0]].SOPInstanceUID == f"1.2.3.{latest}"
    assert {e.image_uid for e in selection.left_out} == {f"1.2.3.{i}" for i in some if i != latest}


def test_the_moment_of_acquisition_may_stand_in_one_element() -> None:
    earlier, later = mammogram("L CC"), mammogram("L CC")
    earlier.AcquisitionDateTime, later.AcquisitionDateTime = "20260105093000.5", "20260105093001"
    assert chosen_uids([later, earlier])[STANDARD_VIEWS[0]] == later.SOPInstanceUID


TAKEN: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"AcquisitionDate": "20260105", "AcquisitionTime": "093000"}, {"AcquisitionTime": "110000"}),
    ({"AcquisitionTime": "093000"}, {"AcquisitionDate": "20260105", "AcquisitionTime": "110000"}),
    ({"AcquisitionTime": "093000"}, {"AcquisitionDateTime": "20260105110000.5+0100"}),
    ({"AcquisitionDateTime": "20260105093000"}, {"AcquisitionTime": "110000"}),
    ({"AcquisitionDateTime": "20260105080000"}, {"AcquisitionTime": "09:30:00"}),
    ({"AcquisitionTime": "09:30:00"}, {"AcquisitionTime": "09:45:00"}),
    ({"AcquisitionDate": "20260105", "AcquisitionTime": "235900"}, {"AcquisitionDateTime": "20260106000100"}),
    ({"ContentTime": "093000"}, {"ContentTime": "110000"}),
    ({"ContentDate": "20260105", "ContentTime": "235900"}, {"ContentDate": "20260106", "ContentTime": "000100"}),
    ({"AcquisitionTime": "0930"}, {"ContentDate": "20260105", "ContentTime": "110000"}),
    (
        {"AcquisitionTime": "093000", "ContentDate": "20260105", "ContentTime": "120000"},
        {"AcquisitionTime": "110000", "ContentDate": "20260105", "ContentTime": "113000"},
    ),
    ({"AcquisitionDate": "20260105"}, {"AcquisitionDate": "20260106"}),
    ({"AcquisitionDate": "20260105"}, {"ContentTime": "080000"}),
    ({"AcquisitionTime": "unknown"}, {"AcquisitionTime": "080000"}),
    ({}, {"AcquisitionTime": "080000"}),
]
"""Of an exam of 5 January: what an earlier and a later image say of when they were taken."""


@pytest.mark.parametrize(("earlier", "later"), TAKEN)
@pytest.mark.filterwarnings("ignore:Invalid value for VR:UserWarning")  # pydicom's word on what the test writes
def test_the_later_of_two_images_is_found_by_whatever_says_when_it_was_taken(
    earlier: dict[str, str], later: dict[str, str]
) -> None:
    first, second = mammogram("L CC"), mammogram("L CC")
    first.InstanceNumber = 9
    for image, elements in ((first, earlier), (second, later)):
        for keyword, value in elements.items():
            setattr(image, keyword, value)
    for images in ([first, second], [second, first]):
        assert chosen_uids(images)[STANDARD_VIEWS[0]] == second.SOPInstanceUID


def test_lossy_compression_is_pointed_out_and_scored() -> None:
    selection = select_views(with_element("LossyImageCompression", "01"))
    assert not selection.exclusions
    assert "with loss" in selection.warnings[0]


def test_one_synthetic_picture_makes_an_exam_synthetic() -> None:
    assert image_type(exam()) is ImageType.FFDM
    assert image_type(with_element("SeriesDescription", "C-View")) is ImageType.SYNTHETIC_2D


def film(view: str, study: str) -> pydicom.FileDataset:
    """A digitised film: the projection in PatientOrientation, the side in Laterality, a study of its own."""
    laterality, position = view.split()
    image = mammogram(study_uid=study, patient_id=f"FILM-{study}")
    image.SOPClassUID = SecondaryCaptureImageStorage
    del image.ViewPosition, image.ImageLaterality, image.PresentationIntentType
    image.Laterality, image.PatientOrientation = laterality, position
    return image


def film_exam() -> Exam:
    return [film(str(view), f"1.2.{number}") for number, view in enumerate(STANDARD_VIEWS)]


def test_film_is_refused_by_the_gate() -> None:
    selection = select_views(film_exam())
    assert not selection.images
    assert [e.reason for e in selection.refusals] == [ExclusionReason.NOT_MAMMOGRAPHY]
    assert selection.refusals[0].sentence.startswith("No usable image: Not a digital mammogram")
    assert [e.reason for e in selection.left_out] == [ExclusionReason.NOT_MAMMOGRAPHY] * 4


def test_film_is_selected_in_research_with_every_objection_as_a_warning() -> None:
    selection = select_views_for_research(film_exam())
    assert list(selection.images) == list(STANDARD_VIEWS)
    assert not selection.exclusions
    assert "gate off: The images belong to different studies." in selection.warnings
    assert any("patient IDs" in warning for warning in selection.warnings)
    assert any(warning.startswith("gate off, R MLO: Not a digital mammogram") for warning in selection.warnings)


def test_research_prefers_the_image_that_the_gate_would_take() -> None:
    synthetic = mammogram("L CC")
    synthetic.SeriesDescription, synthetic.AcquisitionDateTime = "C-View", "20270101000000"
    images = [*exam(), synthetic]
    selection = select_views_for_research(images)
    assert selection.images[STANDARD_VIEWS[0]] is images[0]
    assert selection.warnings == ()


def test_research_misses_views_too() -> None:
    assert [e.reason for e in select_views_for_research(film_exam()[:3]).refusals] == [ExclusionReason.MISSING_VIEW]


@pytest.mark.integration
@pytest.mark.parametrize("case", FILM_CASES)
def test_real_film_exams_are_refused_by_the_gate_and_selected_in_research(case: str) -> None:
    images = real_film_exam(case)
    assert set(reasons(images)) == {ExclusionReason.NOT_MAMMOGRAPHY}
    selection = select_views_for_research(images)
    assert list(selection.images) == list(STANDARD_VIEWS)
    assert not selection.exclusions
    assert selection.warnings
