"""Whether all of a study arrived: archives and the wires to them lose images without a word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message
from http import HTTPStatus
from typing import Any, Final

import pydicom
import requests
from pydicom.encaps import parse_fragments
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID

from cds.errors import PacsError, StudyIncomplete
from model.headers import FAULTS

# QIDO-RS and metadata, and the single file that some archives send unwrapped.
_WITHOUT_PARTS = frozenset({"application/dicom+json", "application/json", "application/dicom"})


MOST_BYTES: Final = 4 << 30
"""Of an answer: more than seventy uncompressed pictures of the largest detector."""
MOST_LISTED_BYTES: Final = 256 << 20
"""Of a list or of headers, which are JSON: a page of five hundred studies takes less than one million."""


class _Bounded:
    """A response body that ends in an error where it is longer than anything that was asked for, unpacked."""

    def __init__(self, body: Any, most_bytes: int) -> None:
        self._body, self._most_bytes = body, most_bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
        taken = 0
        for chunk in self._body.stream(*arguments, **options):
            taken += len(chunk)
            if taken > self._most_bytes:
                raise PacsError(
                    f"the archive's answer is larger than {self._most_bytes} bytes; no study of mammograms is"
                )
            yield chunk


class _EndChecked(_Bounded):
    """One that ends in an error, too, unless it ends with its multipart's closing boundary (RFC 2046, 5.1.1)."""

    def __init__(self, body: Any, boundary: str, most_bytes: int) -> None:
        super().__init__(body, most_bytes)
        self._closing = f"\r\n--{boundary}--".encode()

    def stream(self, *arguments: Any, **options: Any) -> Iterator[bytes]:
        kept = len(self._closing) + 64  # an epilogue of a line break or two is legal
        tail = b""
        for chunk in super().stream(*arguments, **options):
            tail = (tail + chunk[-kept:])[-kept:]
            yield chunk
        if self._closing not in tail:
            raise StudyIncomplete("the archive's answer broke off before its end; the study is fetched again later")


def check_end(response: requests.Response, *_: Any, most_bytes: int = MOST_BYTES, **__: Any) -> None:
    """Response hook: have a multipart answer fail where it breaks off, which requests takes for its end, or grows on.

    A study response has neither a length nor chunks (Orthanc), so the connection's end is all that requests sees.
    """
    if not response.ok or response.is_redirect or response.status_code == HTTPStatus.NO_CONTENT:
        return
    header = Message()
    header["Content-Type"] = response.headers.get("Content-Type", "")
    boundary, kind = header.get_param("boundary"), header.get_content_type()
    if header.get_content_maintype() == "multipart" and isinstance(boundary, str):
        response.raw = _EndChecked(response.raw, boundary, most_bytes)
    elif kind in _WITHOUT_PARTS:
        response.raw = _Bounded(response.raw, min(most_bytes, MOST_LISTED_BYTES) if "json" in kind else most_bytes)
    else:
        response.close()
        raise PacsError(f"the archive answered {kind[:64]!r}; check its DICOMweb root")


def check_study(received: Iterable[pydicom.Dataset], study_uid: str, expected: set[str]) -> None:
    """Raise StudyIncomplete unless exactly the `expected` SOP instances are there, of this study, with all pixels."""
    found: dict[str, pydicom.Dataset] = {}
    for image in received:
        # Of a file cut within its compressed pixels pydicom hands over a dataset without any element.
        if "SOPInstanceUID" in image and found.setdefault(str(image.SOPInstanceUID), image) != image:
            raise StudyIncomplete("the archive sent two different objects under one SOP Instance UID; correct it there")
    if any(str(image.get("StudyInstanceUID", "")) != study_uid for image in found.values()):
        raise StudyIncomplete("the archive sent an image of another study; nothing of it is used")
    if found.keys() != expected:
        missing, surplus = len(expected - found.keys()), len(found.keys() - expected)
        raise StudyIncomplete(
            f"of the study {len(expected)} objects are listed, {missing} of them did not arrive "
            f"and {surplus} not listed did; it is fetched again later"
        )
    if any(is_image(image) and not _pixels_are_whole(image) for image in found.values()):
        raise StudyIncomplete("an image arrived without all its pixels; the study is fetched again later")


def is_image(dataset: pydicom.Dataset) -> bool:
    """Whether a dataset is an image, not a report, a presentation state or another document."""
    # PS3.4 B.5: the standard's image classes, and only they, are named "... Image Storage"; private ones have no name.
    return "Image Storage" in UID(str(dataset.get("SOPClassUID", ""))).name or "PixelData" in dataset


def _pixels_are_whole(image: pydicom.Dataset) -> bool:
    pixels = image.get("PixelData")
    if not pixels:
        return False
    # Some files name a native transfer syntax and carry encapsulated pixels; the element's own length tells.
    if image["PixelData"].is_undefined_length:
        return _fragments_are_whole(pixels)
    try:
        expected = get_expected_length(image)
    except FAULTS:
        return True  # a header that states no size is not a lost pixel: the gate names what is wrong with it
    return len(pixels) >= expected


def _fragments_are_whole(pixels: bytes) -> bool:
    """Whether the last fragment ends where it says, and any after the offset table has content (PS3.5 A.4)."""
    try:
        count, starts = parse_fragments(pixels)
    except ValueError:
        return False
    if count < 2:
        return False
    lengths = [int.from_bytes(pixels[start + 4 : start + 8], "little") for start in starts]
    return all(lengths[1:]) and starts[-1] + 8 + lengths[-1] <= len(pixels)
