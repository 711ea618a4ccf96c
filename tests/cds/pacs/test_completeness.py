"""What counts as a whole answer and as whole pixels, at every boundary."""

from __future__ import annotations

from copy import deepcopy
from io import BytesIO

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from urllib3 import HTTPResponse

from cds.errors import PacsError, StudyIncomplete
from cds.pacs.completeness import MOST_BYTES, check_end, check_study
from tests.builders import mammogram

BODY = b"\r\n--xyz\r\n\r\npixels\r\n--xyz\r\n\r\nmore --xyz-- pixels\r\n--xyz--"


def answer(
    body: bytes, kind: str = "multipart/related; boundary=xyz", most_bytes: int = MOST_BYTES
) -> requests.Response:
    response = requests.Response()
    response.status_code = 200
    response.headers["Content-Type"] = kind
    response.raw = HTTPResponse(BytesIO(body), preload_content=False)
    check_end(response, most_bytes=most_bytes)
    return response


@given(st.integers(1, len(BODY) + 10), st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]))
def test_a_whole_answer_is_taken_however_it_is_cut_into_chunks(chunk: int, epilogue: bytes) -> None:
    assert b"".join(answer(BODY + epilogue).iter_content(chunk)) == BODY + epilogue


@given(st.integers(0, len(BODY) - 1), st.integers(1, len(BODY) + 10))
def test_an_answer_that_ends_anywhere_earlier_is_incomplete(end: int, chunk: int) -> None:
    with pytest.raises(StudyIncomplete):
        list(answer(BODY[:end]).iter_content(chunk))


def test_an_answer_that_is_larger_than_any_study_is_an_error_before_it_is_all_here() -> None:
    assert b"".join(answer(BODY, most_bytes=len(BODY)).iter_content(7)) == BODY
    with pytest.raises(PacsError, match="larger than 20 bytes"):
        list(answer(BODY, most_bytes=20).iter_content(7))


@pytest.mark.parametrize("kind", ["application/dicom+json", "application/json", "application/dicom"])
def test_so_is_a_list_or_a_file_that_does_not_end(kind: str) -> None:
    assert b"".join(answer(BODY, kind, most_bytes=len(BODY)).iter_content(7)) == BODY
    with pytest.raises(PacsError, match="larger than 20 bytes"):
        list(answer(BODY, kind, most_bytes=20).iter_content(7))


def test_two_objects_of_one_uid_are_one_only_where_they_are_the_same() -> None:
    one = mammogram()
    same, other = deepcopy(one), deepcopy(one)
    other.PatientID = "SOMEBODY-ELSE"
    study, uids = str(one.StudyInstanceUID), {str(one.SOPInstanceUID)}

    check_study([one, same], study, uids)
    for both in ([one, other], [other, one]):
        with pytest.raises(StudyIncomplete, match="two different objects under one SOP Instance UID"):
            check_study(both, study, uids)


@pytest.mark.parametrize("kind", ["multipart/related", "text/html", "", "image/jpeg; boundary=xyz"])
def test_an_answer_that_holds_no_dicom_parts_is_an_error(kind: str) -> None:
    with pytest.raises(PacsError, match="DICOMweb root"):
        answer(BODY, kind)


EMPTY_ITEM = b"\xfe\xff\x00\xe0" + bytes(4)
WHOLE = encapsulate([b"\x01" * 100])


@pytest.mark.parametrize(
    "pixels",
    [WHOLE[:-1], WHOLE[:-50], WHOLE[:20], WHOLE[:8], b"", EMPTY_ITEM * 2, b"\x01" * 100, WHOLE[:-100] + b"\x00"],
)
def test_fragments_that_are_cut_empty_or_none_are_not_whole(pixels: bytes) -> None:
    image = mammogram(transfer_syntax=RLELossless)
    image.PixelData = pixels
    with pytest.raises(StudyIncomplete, match="without all its pixels"):
        check_study([image], "1.2.3", {image.SOPInstanceUID})


def test_whole_fragments_pass_even_where_the_header_names_a_native_syntax() -> None:
    image = mammogram()
    image.PixelData = WHOLE
    image["PixelData"].is_undefined_length = True
    check_study([image], "1.2.3", {image.SOPInstanceUID})
