from __future__ import annotations

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.errors import ReleaseRefused
from model.release.torch_files import MAGIC, PROTOCOL, Storage, TensorView, TorchFile, read_torch_file

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]


def saved(obj: Any, zipped: bool = False) -> bytes:
    """As torch.save writes it."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(obj, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


both_formats = pytest.mark.parametrize("zipped", [False, True], ids=["legacy", "zip"])


@both_formats
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_come_back_bit_for_bit(dtype: torch.dtype, zipped: bool) -> None:
    original = (torch.arange(24).reshape(2, 3, 4) % 5).to(dtype)
    file = read_torch_file(saved({"a": original, "b": original}, zipped))
    for name in "ab":
        read = file.tensor(file.root[name])
        assert read.dtype is dtype
        assert torch.equal(read, original)


@both_formats
@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.T,
        lambda t: t[1:, 1:],
        lambda t: t[:, ::2],
        lambda t: t[1, 2],
        lambda t: t[:0],
        lambda t: torch.nn.Parameter(t),
        lambda t: t.unflatten(1, (2, 2)).contiguous(memory_format=torch.contiguous_format),
    ],
)
def test_views_of_tensors_come_back_as_they_were(view: Callable[[Tensor], Tensor], zipped: bool) -> None:
    original = view(torch.arange(12.0).reshape(3, 4))
    file = read_torch_file(saved([original], zipped))
    assert torch.equal(file.tensor(file.root[0]), original)


def test_a_plain_pickle_is_only_its_data() -> None:
    assert read_torch_file(pickle.dumps({"year": 1})).root == {"year": 1}


def test_a_wrong_magic_number_is_refused() -> None:
    with pytest.raises(ReleaseRefused, match="magic number"):
        read_torch_file(pickle.dumps(MAGIC + 1, 2) + saved([torch.zeros(3)])[10:])


def legacy(*pickled: Any, data: bytes = b"") -> bytes:
    """A legacy file of these pickles."""
    return b"".join(pickle.dumps(obj, 2) for obj in (MAGIC, *pickled)) + data


LITTLE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}


@pytest.mark.parametrize(
    "data",
    [
        legacy(),
        legacy(1000, LITTLE, [], []),
        legacy(PROTOCOL, {**LITTLE, "little_endian": False}, [], []),
        legacy(PROTOCOL, {}, [], []),
        legacy(PROTOCOL, LITTLE, []),
        legacy(PROTOCOL, LITTLE, [], ["1"]),
        legacy(PROTOCOL, LITTLE, [], {"1": 2}),
        legacy(PROTOCOL, LITTLE, [], [1]),
        b"PK\x03\x04 and nothing of a zip archive",
        b"",
        b"\x80\x02",
    ],
    ids=range(11),
)
def test_a_file_that_torch_did_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(ReleaseRefused):
        read_torch_file(data)


def test_a_legacy_file_cut_short_anywhere_is_refused() -> None:
    data = saved([torch.arange(10.0), torch.arange(3)])
    assert read_torch_file(data)
    for end in range(0, len(data), 7):
        with pytest.raises(ReleaseRefused):
            read_torch_file(data[:end])


def test_a_zip_file_cut_short_is_refused() -> None:
    data = saved([torch.arange(1000.0)], zipped=True)
    for end in range(4, len(data), 97):
        with pytest.raises(ReleaseRefused):
            read_torch_file(data[:end])


@both_formats
@given(st.data())
@settings(max_examples=100)
def test_a_file_with_altered_bytes_is_refused_or_read_without_harm(zipped: bool, data: st.DataObject) -> None:
    altered = bytearray(_SMALL[zipped])
    for _ in range(3):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    try:
        file = read_torch_file(bytes(altered))
        views = [view for view in file.root if isinstance(view, TensorView)] if isinstance(file.root, list) else []
        assert all(file.tensor(view).numel() <= 100 for view in views)
    except ReleaseRefused:
        pass


_SMALL = {zipped: saved([torch.arange(10.0), torch.ones(2, 3)], zipped) for zipped in (False, True)}


def in_memory(count: int = 12, kind: str = "Float") -> tuple[TorchFile, Storage]:
    """A file with one storage of that many numbers."""
    storage = Storage("1", kind, count)
    return TorchFile(None, lambda _: memoryview(bytes(count * storage.item_size))), storage


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (13,), (1,)),
        (1, (12,), (1,)),
        (12, (1,), (1,)),
        (0, (3, 4), (5, 1)),
        (0, (10**12,), (0,)),
        (0, (10**6, 10**6), (0, 0)),
        (0, (2**40, 0, 2**40 + 2**50), (1, 1, 1)),
        (0, (3,), (2**47,)),
        (-1, (3,), (1,)),
        (0, (-3,), (1,)),
        (0, (3,), (-1,)),
        (0, (3, 4), (1,)),
        (0, (1,) * 9, (1,) * 9),
        (0.0, (3,), (1,)),
        (0, (True,), (1,)),
        (0, [3], [1]),
        (0, ("3",), (1,)),
        (None, None, None),
    ],
)
def test_a_tensor_that_reaches_outside_its_numbers_is_refused(offset: Any, size: Any, stride: Any) -> None:
    file, storage = in_memory()
    with pytest.raises(ReleaseRefused):
        file.tensor(TensorView(storage, offset, size, stride))


@given(
    st.integers(0, 14),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 13)), max_size=3),
)
def test_whatever_a_view_says_it_stays_within_its_numbers_or_is_refused(
    offset: int, dims: list[tuple[int, int]]
) -> None:
    file, storage = in_memory()
    size, stride = tuple(n for n, _ in dims), tuple(step for _, step in dims)
    whole = torch.arange(12.0)
    file = TorchFile(None, lambda _: memoryview(whole.numpy().tobytes()))
    try:
        read = file.tensor(TensorView(storage, offset, size, stride))
    except ReleaseRefused:
        return
    if read.numel():
        assert torch.equal(read, whole.as_strided(size, stride, offset))
    assert tuple(read.shape) == size


def test_numbers_of_a_kind_that_no_release_needs_are_refused() -> None:
    file, storage = in_memory(kind="ComplexDouble")
    with pytest.raises(ReleaseRefused, match="ComplexDouble"):
        file.tensor(TensorView(storage, 0, (3,), (1,)))


# Persistent ids, by a pickler that writes any.


class Tuples(pickle.Pickler):
    """Writes each `Id` as a persistent id."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, Id) else None


class Id:
    def __init__(self, *pid: Any) -> None:
        self.pid: Any = pid if len(pid) != 1 else pid[0]


def with_ids(obj: Any, keys: list[str], data: bytes) -> bytes:
    buffer = io.BytesIO()
    Tuples(buffer, 2).dump(obj)
    head = b"".join(pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, LITTLE))
    return head + buffer.getvalue() + pickle.dumps(keys, 2) + data


FLOATS = torch.FloatStorage
FOUR = struct.pack("<q4f", 4, 1, 2, 3, 4)


def test_a_storage_that_is_part_of_another_is_read_where_it_begins() -> None:
    file = read_torch_file(with_ids(Id("storage", FLOATS, "7", "cpu", 4, ("8", 1, 3)), ["7"], FOUR))
    assert file.tensor(TensorView(file.root, 1, (2,), (1,))).tolist() == [3.0, 4.0]
    with pytest.raises(ReleaseRefused):
        file.tensor(TensorView(file.root, 0, (4,), (1,)))


@pytest.mark.parametrize("size", [(0, 2**47, 2**47), (2**47, 0, *[2**47] * 5)])
def test_an_empty_tensor_of_absurd_sizes_is_refused_in_words(size: tuple[int, ...]) -> None:
    file = read_torch_file(with_ids(Id("storage", FLOATS, "7", "cpu", 4, None), ["7"], FOUR))
    assert file.tensor(TensorView(file.root, 0, (0, 2**47), (1, 1))).shape == (0, 2**47)
    with pytest.raises(ReleaseRefused, match="larger than any"):
        file.tensor(TensorView(file.root, 0, size, (1,) * len(size)))


@pytest.mark.parametrize(
    ("pid", "keys", "data"),
    [
        (("storage", FLOATS, "7", "cpu", 5, None), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 3, None), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 4, None), ["7"], FOUR[:-1]),
        (("storage", FLOATS, "7", "cpu", 4, None), ["7"], b""),
        (("storage", FLOATS, "7", "cpu", 4, None), [], FOUR),
        (("storage", FLOATS, "7", "cpu", 4, None), ["7", "7"], FOUR + FOUR),
        (("storage", FLOATS, "7", "cpu", 4, None), ["8"], FOUR),
        (("storage", FLOATS, "7", "cpu", -4, None), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 2**62, None), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 4.0, None), ["7"], FOUR),
        (("storage", FLOATS, 7, "cpu", 4, None), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 4, ("8", 2, 3)), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 4, ("8", -1, 3)), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 4, "8"), ["7"], FOUR),
        (("storage", eval, "7", "cpu", 4, None), ["7"], FOUR),
        (("storage", "FloatStorage", "7", "cpu", 4, None), ["7"], FOUR),
        (("storage", FLOATS, "7", "cpu", 4), ["7"], FOUR),
        (("module", "not a class", "file", "source"), [], b""),
        (("module", eval), [], b""),
        (("neither", 1, 2, 3), [], b""),
        ((), [], b""),
        ("junk", [], b""),
        (17, [], b""),
    ],
    ids=range(23),
)
def test_a_persistent_id_of_junk_is_refused(pid: Any, keys: list[str], data: bytes) -> None:
    with pytest.raises(ReleaseRefused):
        read_torch_file(with_ids(Id(*pid) if isinstance(pid, tuple) and len(pid) != 1 else Id(pid), keys, data))


def test_one_storage_described_in_two_ways_is_refused() -> None:
    ids = [Id("storage", FLOATS, "7", "cpu", 4, None), Id("storage", torch.LongStorage, "7", "cpu", 4, None)]
    with pytest.raises(ReleaseRefused, match="two ways"):
        read_torch_file(with_ids(ids, ["7"], FOUR))


def test_a_class_is_referred_to_by_name_and_its_source_is_never_looked_at() -> None:
    file = read_torch_file(with_ids([Id("module", eval, "/etc/passwd", "import os; os.abort()")], [], b""))
    assert file.root[0].name.endswith("builtin__.eval")


# Zip archives.


def rezipped(change: Callable[[dict[str, bytes]], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file of the zip format whose entries were changed."""
    with zipfile.ZipFile(BytesIO(saved([torch.arange(4.0)], zipped=True))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read_all(data: bytes) -> list[float]:
    file = read_torch_file(data)
    numbers: list[float] = file.tensor(file.root[0]).tolist()
    return numbers


def test_a_zip_file_written_again_unchanged_is_read() -> None:
    assert read_all(rezipped(lambda _: None)) == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries.update({"archive/constants.pkl": b"N."}),
        lambda entries: entries.update({"archive/code/__torch__.py": b"import os"}),
        lambda entries: entries.update({"other/data.pkl": b"N."}),
        lambda entries: entries.update({"stray": b""}),
        lambda entries: entries.update({"archive/data/0": b"\0" * 15}),
        lambda entries: entries.update({"archive/data/0": b"\0" * 17}),
        lambda entries: entries.pop("archive/data/0"),
        lambda entries: entries.pop("archive/data.pkl"),
        lambda entries: entries.update({"archive/byteorder": b"big"}),
        lambda entries: entries.clear(),
    ],
    ids=range(10),
)
def test_a_zip_file_that_torch_did_not_write_is_refused(change: Callable[[dict[str, bytes]], None]) -> None:
    with pytest.raises(ReleaseRefused):
        read_all(rezipped(change))


def test_a_compressed_entry_is_refused_before_it_expands() -> None:
    with pytest.raises(ReleaseRefused, match="uncompressed"):
        read_torch_file(
            rezipped(lambda entries: entries.update({"archive/data/0": bytes(10**7)}), zipfile.ZIP_DEFLATED)
        )


def test_a_hundred_megabytes_of_other_data_are_passed_over(tmp_path: Path) -> None:
    junk = {"blob": "x" * 90_000_000, "exams": [{"file": f"/exams/{n}.png", "age": n % 90} for n in range(100_000)]}
    data = saved({"weights": torch.arange(3.0), "args": junk})
    assert len(data) > 90_000_000
    file = read_torch_file(data)
    assert file.tensor(file.root["weights"]).tolist() == [0.0, 1.0, 2.0]
