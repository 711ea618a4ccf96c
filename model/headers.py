"""Header elements as real files have them: absent, empty, of the wrong type or illegal; reading one never fails."""

from __future__ import annotations

import re
import struct
from typing import Any, Final

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

FAULTS: Final = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    OSError,
    EOFError,
    RecursionError,
    struct.error,
    BytesLengthException,
)
"""What pydicom raises on elements that are not as the standard has them: it converts a value when it is first read."""


_NOT_STORABLE: Final = re.compile(r"[\x00\ud800-\udfff]")


def element(dataset: Dataset, keyword: str) -> Any:
    """The value of an element; None where it is absent, empty or cannot be read."""
    try:
        return dataset.get(keyword)
    except FAULTS:
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """The value of an element as one trimmed string, empty where there is none."""
    value = element(dataset, keyword)
    return "" if value is None else _written(value)


def values(dataset: Dataset, keyword: str) -> list[str]:
    """Each value of an element as a trimmed string."""
    value = element(dataset, keyword)
    several = [] if value is None else list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return [_written(one) for one in several]


def words(dataset: Dataset, keyword: str) -> list[str]:
    """Each value of an element in capitals, as code strings are compared."""
    return [value.upper() for value in values(dataset, keyword)]


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where the element is something else."""
    value = element(dataset, keyword)
    return list(value) if isinstance(value, Sequence) else []


def frames(image: Dataset) -> int:
    """NumberOfFrames; it is met as `1A`, so what is not a number of twelve digits at most (PS3.5 6.2) counts as one."""
    number = text(image, "NumberOfFrames")
    return int(number) if number.isdecimal() and len(number) <= 12 else 1


def _written(value: Any) -> str:
    """Trimmed; empty where it cannot be written: a sequence in the place of a text reads its items only then.

    NUL may pad a text (PS3.5 section 6.2). One inside, and half a surrogate pair, which databases refuse, are U+FFFD.
    """
    try:
        written = str(value)
    except FAULTS:
        return ""
    return _NOT_STORABLE.sub("\ufffd", written.strip().strip("\0").strip())
