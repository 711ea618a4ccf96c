"""Find the three files of the Mirai release in a folder or zip archive, by checksum, or else by what is in them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from model.errors import ReleaseRefused
from model.release.calibrator import OLD_CALIBRATOR, is_calibrator
from model.release.inert_pickle import Budget
from model.release.modules import is_encoder, is_transformer, module_of
from model.release.published import CALIBRATOR, PUBLISHED, ROLES
from model.release.torch_files import ZIP_FAULTS, TorchFile, read_torch_file

MAX_FILE_BYTES: Final = 2**29
MAX_BYTES: Final = 2**30
"""Of all files together that may belong to the release: six times what it has."""
MAX_FILES: Final = 30
OLD_CALIBRATOR_BYTES: Final = 2**20

_BEGINNINGS: Final = (b"\x80", b"PK\x03\x04", b"(dp", b"}q")
"""Of a pickle, of a zip archive, and of a dictionary in the oldest pickles: what torch.save and pickle.dump write."""

Read = Callable[[int], bytes]
"""The first bytes of a file, so many at most."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file that may belong to the release."""

    name: str
    sha256: str
    published: bool
    """Whether it is, byte for byte, a file of the published release."""
    read: Read
    content: TorchFile | None = None
    """What is in it, where that told which file it is: a file that nobody vouches for is read once."""


def find_release(
    source: Path,
    *,
    accept_checksum: bool,
    published: Mapping[str, str] = PUBLISHED,
    budget: Budget | None = None,
) -> dict[str, ReleaseFile]:
    """The file of each role. Only with `accept_checksum` is a file read whose checksum is not among `published`.

    The pickles of all such files have the `budget` of instructions together. Raises ReleaseRefused, naming what is
    missing or not accepted.
    """
    files = [ReleaseFile(name, sha256, sha256 in published, read) for name, sha256, read in _files(source)]
    found = {published[file.sha256]: file for file in files if file.published}
    missing = [role for role in ROLES if role not in found]
    others = [file for file in files if not file.published]
    if missing and CALIBRATOR in missing and any(map(_is_old_calibrator, others)):
        raise ReleaseRefused(OLD_CALIBRATOR)
    if missing and others and not accept_checksum:
        told = ", ".join(f"{file.name!r} has SHA-256 {file.sha256[:12]}..." for file in others[:5])
        raise ReleaseRefused(
            f"no file has the published checksum of the {' or the '.join(missing)} ({told}); get snapshots.zip of "
            "Mirai v0.8.0 again, or accept unknown files with --accept-checksum, never for clinical use"
        )
    return found | _by_content(missing, others, budget or Budget())


def _by_content(roles: list[str], files: list[ReleaseFile], budget: Budget) -> dict[str, ReleaseFile]:
    found: dict[str, ReleaseFile] = {}
    left_out = []
    for file in files if roles else []:
        try:
            content = read_torch_file(file.read(MAX_FILE_BYTES), budget)
            role = _role(content)
        except ReleaseRefused as e:
            left_out.append(f"{file.name!r}: {e}")
            continue
        if not role:
            left_out.append(f"{file.name!r}: it holds none of the three")
        if role in found:
            raise ReleaseRefused(f"{found[role].name!r} and {file.name!r} both hold the {role}; leave only one")
        if role in roles:
            found[role] = replace(file, content=content)
    missing = [role for role in roles if role not in found]
    if missing:
        raise ReleaseRefused(
            f"there is no file of the {' nor of the '.join(missing)}" + "".join(f"; {one}" for one in left_out)
        )
    return found


def _role(file: TorchFile) -> str:
    module = module_of(file)
    if module is not None:
        return "image encoder" if is_encoder(module) else "transformer" if is_transformer(module) else ""
    return CALIBRATOR if is_calibrator(file.root) else ""


def _is_old_calibrator(file: ReleaseFile) -> bool:
    """By its letters, so that nothing of an unknown file has to be read for the right advice."""
    data = file.read(OLD_CALIBRATOR_BYTES + 1)
    return len(data) <= OLD_CALIBRATOR_BYTES and b"sklearn" in data


def _files(source: Path) -> list[tuple[str, str, Read]]:
    """Name, SHA-256 and bytes of what begins as torch files do; raises ReleaseRefused where that cannot be read."""
    try:
        entries = list(_in_folder(source) if source.is_dir() else _in_zip(source))
        if len(entries) > MAX_FILES:
            raise ReleaseRefused(f"the release is looked for among at most {MAX_FILES} files, not {len(entries)}")
        found = [one for one in entries if one.size <= MAX_FILE_BYTES and one.read(4).startswith(_BEGINNINGS)]
        if sum(one.size for one in found) > MAX_BYTES:
            raise ReleaseRefused(f"the release is looked for among at most {MAX_BYTES >> 20} MiB of model files")
        return [(one.name, hashlib.sha256(one.read(MAX_FILE_BYTES)).hexdigest(), one.read) for one in found]
    except ZIP_FAULTS as e:
        raise ReleaseRefused(f"{source.name!r} is not a readable folder or zip archive ({type(e).__name__})") from e


class _Entry(NamedTuple):
    """A file of the folder or archive."""

    name: str
    size: int
    read: Read


def _in_folder(folder: Path) -> Iterator[_Entry]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield _Entry(str(path.relative_to(folder)), path.stat().st_size, partial(_of_file, path))


def _of_file(path: Path, limit: int) -> bytes:
    with path.open("rb") as opened:
        return opened.read(limit)


def _in_zip(file: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(file) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    for entry in entries:
        yield _Entry(entry.filename, entry.file_size, partial(_of_entry, file, entry))


def _of_entry(file: Path, entry: zipfile.ZipInfo, limit: int) -> bytes:
    """No more than the entry announces, however far its compressed data would expand."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(entry) as opened:
            return opened.read(min(limit, entry.file_size))
    except ZIP_FAULTS as e:
        raise ReleaseRefused(f"{entry.filename!r} cannot be read from the archive ({type(e).__name__})") from e
