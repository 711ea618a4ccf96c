from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from model.headers import element, frames, items, text, values, words

# pydicom warns of every illegal value; what these tests are about is what we make of them.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


NESTED = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x54\x00\x20\x02\xff\xff\xff\xff"
"""An item, and a sequence in it, both without an end."""


def written(tag: int, vr: str, content: bytes) -> Dataset:
    """A dataset with one element as it lies in a file, not yet converted."""
    dataset = Dataset()
    dataset[Tag(tag)] = RawDataElement(Tag(tag), vr, len(content), content, 0, False, True)
    return dataset


@pytest.mark.parametrize(
    ("tag", "vr", "content", "keyword"),
    [
        (0x00280008, "IS", b"1A", "NumberOfFrames"),
        (0x00200013, "IS", b"one", "InstanceNumber"),
        (0x00280010, "US", b"\x01\x02\x03", "Rows"),
        (0x00281053, "DS", b"1,5 ", "RescaleSlope"),
        (0x00080060, "QQ", b"MG", "Modality"),
    ],
)
def test_an_element_that_cannot_be_converted_is_absent_or_text_and_never_a_crash(
    tag: int, vr: str, content: bytes, keyword: str
) -> None:
    value = element(written(tag, vr, content), keyword)
    assert value is None or value == content.decode().strip()
    assert text(written(tag, vr, content), keyword) == (value or "")


@pytest.mark.parametrize(
    ("content", "read"), [(b"HOLOGIC\0", "HOLOGIC"), (b"HOLO\0GIC ", "HOLO\ufffdGIC"), (b"\0\0", "")]
)
def test_a_text_is_read_as_databases_keep_it(content: bytes, read: str) -> None:
    assert text(written(0x00080070, "LO", content), "Manufacturer") == read


@pytest.mark.parametrize("content", [b"nan ", NESTED * 4000], ids=["junk", "deep"])
@pytest.mark.parametrize("keyword", ["ViewCodeSequence", "ModalityLUTSequence"])
def test_a_sequence_that_cannot_be_read_has_no_items(keyword: str, content: bytes) -> None:
    image = written(tag_for_keyword(keyword) or 0, "UN", content)
    assert items(image, keyword) == []
    assert text(image, keyword) == ""


def test_a_sequence_in_the_place_of_a_text_is_no_text_where_its_items_cannot_be_read() -> None:
    item = b"\xfe\xff\x00\xe0\x0a\x00\x00\x00" + b"\x20\x00\x10\x00FL\x02\x00\x00\x00"
    image = written(0x00200060, "SQ", item)
    assert text(image, "Laterality") == ""
    assert values(image, "Laterality") == [""]


def test_what_is_absent_or_empty_is_empty_text() -> None:
    dataset = Dataset()
    dataset.PatientID = ""
    dataset.ViewPosition = None
    assert [text(dataset, keyword) for keyword in ("PatientID", "ViewPosition", "Manufacturer")] == ["", "", ""]


def test_values_are_trimmed_and_words_compared_in_capitals() -> None:
    dataset = Dataset()
    dataset.ImageType = ["derived", "PRIMARY "]
    dataset.SoftwareVersions = "1.0"
    assert words(dataset, "ImageType") == ["DERIVED", "PRIMARY"]
    assert values(dataset, "SoftwareVersions") == ["1.0"]
    assert values(dataset, "Manufacturer") == []


def test_a_sequence_that_is_text_has_no_items() -> None:
    dataset = Dataset()
    dataset.add_new(0x00540220, "LO", "CC")
    assert items(dataset, "ViewCodeSequence") == []
    dataset.add_new(0x00540220, "SQ", Sequence([Dataset()]))
    assert len(items(dataset, "ViewCodeSequence")) == 1


@pytest.mark.parametrize(("content", "expected"), [(b"1A", 1), (b"", 1), (b"60", 60), (b"1 ", 1), (b"9" * 5000, 1)])
def test_frames_that_are_no_number_count_as_one(content: bytes, expected: int) -> None:
    assert frames(written(0x00280008, "IS", content)) == expected
