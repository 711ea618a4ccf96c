"""Files that torch.save wrote, legacy and zip, read as data: inert objects, and tensors out of checked raw bytes.

Sources: torch/serialization.py (both formats) and torch/_utils.py (`_rebuild_tensor_v2`) of PyTorch 2.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import Any, Final

import torch
from torch import Tensor

from model.errors import ReleaseRefused
from model.release.inert_pickle import Budget, Inert, Maker, Name, read_pickle

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001

ZIP_FAULTS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What zipfile raises on an archive that is damaged, encrypted or of a method it does not know."""

_ITEM_SIZES: Final = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1,
    "Bool": 1, "Untyped": 1, "ComplexFloat": 8, "ComplexDouble": 16,
}  # fmt: skip
_STORAGE_KINDS: Final = {
    f"torch.{place}{kind}Storage": kind for place in ("", "cuda.", "storage.") for kind in _ITEM_SIZES
}
_DTYPES: Final = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Bool": torch.uint8,
}
"""The kinds of storage that tensors are made from; others may lie in the file and are passed over."""


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file, as its pickle declares it. `start` is where a view of another storage begins."""

    key: str
    kind: str
    count: int
    start: int = 0

    @property
    def item_size(self) -> int:
        """Bytes of one number."""
        return _ITEM_SIZES[self.kind]


@dataclass(frozen=True)
class TensorView:
    """A tensor as the pickle describes it: nothing of it is checked before `TorchFile.tensor`."""

    storage: Any
    offset: Any
    size: Any
    stride: Any


@dataclass(frozen=True)
class TorchFile:
    """What a file holds: its object as data, and where the numbers of its tensors lie."""

    root: Any
    _data_of: Callable[[Storage], memoryview]

    def tensor(self, view: TensorView) -> Tensor:
        """The numbers of one tensor, copied out of the file; raises ReleaseRefused where they lie outside it."""
        storage, offset, end = _checked(view)
        dtype = _DTYPES.get(storage.kind)
        if dtype is None:
            raise ReleaseRefused(f"a tensor is of kind {storage.kind}, which no release of Mirai needs")
        if end == offset:
            return torch.empty(view.size, dtype=dtype)
        first, last = (storage.start + offset) * storage.item_size, (storage.start + end) * storage.item_size
        data = self._data_of(storage)[first:last]
        if len(data) != last - first:
            raise ReleaseRefused("the numbers of a tensor are cut short")
        tensor = torch.frombuffer(bytearray(data), dtype=dtype).as_strided(view.size, view.stride).clone()
        return tensor != 0 if storage.kind == "Bool" else tensor


def _checked(view: TensorView) -> tuple[Storage, int, int]:
    """The storage and the range of its numbers that a view covers."""
    storage, offset, size, stride = view.storage, view.offset, view.size, view.stride
    shaped = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= 8
    if not isinstance(storage, Storage) or not shaped or not all(map(_is_count, (offset, *size, *stride))):
        raise ReleaseRefused("a tensor is not described as torch describes one")
    # Torch multiplies the sizes even where one of them is 0, and fails where that overflows.
    if not _is_count(prod(n or 1 for n in size)):
        raise ReleaseRefused("a tensor is larger than any")
    if 0 in size:
        return storage, offset, offset
    end = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    # A stride of 0 would make a large tensor of few numbers.
    if end > storage.count or prod(size) > storage.count:
        raise ReleaseRefused("a tensor reaches beyond the numbers that it is a view of")
    return storage, offset, end


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def read_torch_file(data: bytes, budget: Budget | None = None) -> TorchFile:
    """The content of a file of either format, or of a plain pickle; raises ReleaseRefused.

    Its pickles have the `budget` of instructions together; without one, one of their own.
    """
    budget = budget or Budget()
    if data.startswith(b"PK"):
        return _read_zip(data, budget)
    stream = BytesIO(data)
    first = read_pickle(stream, MAKERS, None, budget)
    if not isinstance(first, int):
        return TorchFile(first, _no_numbers)
    if first != MAGIC:
        raise ReleaseRefused("the file does not begin with torch's magic number")
    return _read_legacy(stream, budget)


def _no_numbers(_: Storage) -> memoryview:
    return memoryview(b"")


def _read_legacy(stream: BytesIO, budget: Budget) -> TorchFile:
    """After the magic number: protocol, system, object and storage keys as pickles, then count and data of each key."""
    if read_pickle(stream, budget=budget) != PROTOCOL:
        raise ReleaseRefused(f"the file is not of torch's protocol {PROTOCOL}")
    system = read_pickle(stream, budget=budget)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ReleaseRefused("the file does not say that its numbers are little-endian")
    ids = _PersistentIds()
    root = read_pickle(stream, MAKERS, ids.legacy, budget)
    keys = read_pickle(stream, budget=budget)
    places = _places(stream, keys, ids.storages)
    data = stream.getbuffer()
    return TorchFile(root, lambda storage: data[slice(*places[storage.key])])


def _places(stream: BytesIO, keys: Any, storages: dict[str, Storage]) -> dict[str, tuple[int, int]]:
    """Where the bytes of every storage begin and end; the file must list the declared ones, once each, and whole."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ReleaseRefused("the file's list of storages is not a list of keys")
    if len(set(keys)) < len(keys) or set(keys) != set(storages):
        raise ReleaseRefused("the file's list of storages is not that of its tensors")
    places = {}
    at, size = stream.tell(), stream.getbuffer().nbytes
    for key in keys:
        storage = storages[key]
        header = stream.getbuffer()[at : at + 8]
        end = at + 8 + storage.count * storage.item_size
        if end > size or struct.unpack("<q", header)[0] != storage.count:
            raise ReleaseRefused("the numbers of the file are cut short, or not as many as it says")
        places[key] = (at + 8, end)
        at = end
    return places


class _PersistentIds:
    """What a pickle refers to outside itself: classes, by name only, and storages."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}

    def legacy(self, pid: Any) -> Name | Storage:
        """('module', class, file, source) or ('storage', type, key, location, count, view)."""
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module" and isinstance(pid[1], Name):
            return pid[1]
        if not isinstance(pid, tuple) or len(pid) != 6:
            raise ReleaseRefused("a pickle refers to something that is neither a class nor numbers")
        storage, view = self.zipped(pid[:5]), pid[5]
        return storage if view is None else _view_of(storage, view)

    def zipped(self, pid: Any) -> Storage:
        """('storage', type, key, location, count)."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
            raise ReleaseRefused("a pickle refers to something that is no storage of numbers")
        _, cls, key, _, count = pid
        kind = _STORAGE_KINDS.get(cls.name) if isinstance(cls, Name) else None
        if kind is None or not isinstance(key, str) or len(key) > 100 or not _is_count(count):
            raise ReleaseRefused("a storage of numbers is not described as torch describes one")
        storage = Storage(key, kind, count)
        if self.storages.setdefault(key, storage) != storage:
            raise ReleaseRefused("one storage of numbers is described in two ways")
        return storage


def _view_of(storage: Storage, view: Any) -> Storage:
    """Torch before 0.4 saved a storage that is a part of another: (key, start, count)."""
    if not isinstance(view, tuple) or len(view) != 3 or not all(map(_is_count, view[1:])):
        raise ReleaseRefused("a part of a storage is not described as torch describes one")
    _, start, count = view
    if start + count > storage.count:
        raise ReleaseRefused("a part of a storage reaches beyond it")
    return Storage(storage.key, storage.kind, count, start)


def _read_zip(data: bytes, budget: Budget) -> TorchFile:
    """FOLDER/data.pkl with the numbers of each storage in FOLDER/data/KEY, uncompressed."""
    try:
        archive = zipfile.ZipFile(BytesIO(data))
        entries = {entry.filename: entry for entry in archive.infolist()}
        folder = _folder(archive.infolist())
        for entry in entries.values():
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data):
                raise ReleaseRefused("a torch file holds its entries uncompressed; this one does not")
        if f"{folder}/byteorder" in entries and archive.read(f"{folder}/byteorder") != b"little":
            raise ReleaseRefused("the file's numbers are not little-endian")
        pickled = archive.read(f"{folder}/data.pkl")
    except ZIP_FAULTS as e:
        raise ReleaseRefused(f"the file is a damaged zip archive ({type(e).__name__})") from e
    ids = _PersistentIds()
    root = read_pickle(BytesIO(pickled), MAKERS, ids.zipped, budget)

    def data_of(storage: Storage) -> memoryview:
        name = f"{folder}/data/{storage.key}"
        if name not in entries or entries[name].file_size != storage.count * storage.item_size:
            raise ReleaseRefused("the numbers of a tensor are not in the archive, or not as many as it says")
        try:
            return memoryview(archive.read(name))
        except ZIP_FAULTS as e:
            raise ReleaseRefused(f"the numbers of a tensor cannot be read ({type(e).__name__})") from e

    return TorchFile(root, data_of)


def _folder(entries: list[zipfile.ZipInfo]) -> str:
    """The one folder of the archive; a pickle or code anywhere else is not what torch.save writes."""
    names = [entry.filename for entry in entries]
    pickles = [name for name in names if name.endswith((".pkl", ".py"))]
    folder, _, rest = pickles[0].partition("/") if len(pickles) == 1 else ("", "", "")
    within = all(name.startswith(f"{folder}/") for name in names)
    if rest != "data.pkl" or not folder or not within or len(set(names)) < len(names):
        raise ReleaseRefused("the archive is not one that torch.save wrote: data.pkl is not its only pickle")
    return folder


def _rebuilt_tensor(arguments: tuple[Any, ...]) -> Any:
    return TensorView(*arguments[:4]) if len(arguments) >= 4 else Inert("tensor")


def _parameter(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if arguments else Inert("parameter")


def _ordered(arguments: tuple[Any, ...]) -> Any:
    """Its entries follow as items. Copying a given list here would let a short file ask for it many times over."""
    return Inert("collections.OrderedDict", arguments) if arguments else {}


def _encoded(arguments: tuple[Any, ...]) -> Any:
    """Protocol 2 writes bytes as text to be encoded; only those of a single number are wanted."""
    if len(arguments) == 2 and isinstance(arguments[0], str) and len(arguments[0]) <= 16 and arguments[1] == "latin1":
        try:
            return arguments[0].encode("latin1")
        except UnicodeEncodeError as e:
            raise ReleaseRefused("bytes are written as a text that is none") from e
    return Inert("_codecs.encode")


MAKERS: Final[dict[str, Maker]] = {
    "collections.OrderedDict": _ordered,
    "_codecs.encode": _encoded,
    "torch._utils._rebuild_tensor": _rebuilt_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuilt_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
"""The short list. What they make is data of our own; nothing of torch, numpy or the release is imported for it."""
