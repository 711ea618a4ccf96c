"""Find the three files of the Mirai release in a folder or zip archive, by checksum, or else by what is in them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from model.errors import ReleaseRefused
from model.release.calibrator import OLD_CALIBRATOR, is_calibrator
from model.release.modules import is_encoder, is_transformer, module_of
from model.release.torch_files import ZIP_FAULTS, read_torch_file

CALIBRATOR: Final = "calibrator"
ROLES: Final = ("image encoder", "transformer", CALIBRATOR)

PUBLISHED: Final = {
    "e66261f434474686462e5c7035de37452f47e4e7cc8831086be19397383e8af3": "image encoder",
    "cb4ef50459d747d38edfb846b3cd29869ccad9b7e291eb5f2fe66559d914e610": "transformer",
    "822092d81272c97883d54a4bde0bc1cdcebadb861dea8467cb93201fedb73efa": CALIBRATOR,
}
"""SHA-256 of the files in snapshots.zip of Mirai v0.8.0."""

MAX_FILE_BYTES: Final = 2**29
MAX_FILES: Final = 100
OLD_CALIBRATOR_BYTES: Final = 2**20

_BEGINNINGS: Final = (b"\x80", b"PK\x03\x04")
"""Of a pickle, and of a zip archive: what torch.save and pickle.dump write."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file that may belong to the release."""

    name: str
    sha256: str
    published: bool
    """Whether it is, byte for byte, a file of the published release."""
    read: Callable[[], bytes]


def find_release(
    source: Path, *, accept_checksum: bool, published: Mapping[str, str] = PUBLISHED
) -> dict[str, ReleaseFile]:
    """The file of each role. Only with `accept_checksum` is a file read whose checksum is not among `published`.

    Raises ReleaseRefused, naming what is missing or not accepted.
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
    return found | _by_content(missing, others)


def _by_content(roles: list[str], files: list[ReleaseFile]) -> dict[str, ReleaseFile]:
    found: dict[str, ReleaseFile] = {}
    unread = []
    for file in files if roles else []:
        try:
            role = _role(file.read())
        except ReleaseRefused as e:
            unread.append(f"{file.name!r}: {e}")
            continue
        if role in found:
            raise ReleaseRefused(f"{found[role].name!r} and {file.name!r} both hold the {role}; leave only one")
        if role in roles:
            found[role] = file
    missing = [role for role in roles if role not in found]
    if missing:
        raise ReleaseRefused(
            f"there is no file of the {' nor of the '.join(missing)}" + "".join(f"; {u}" for u in unread)
        )
    return found


def _role(data: bytes) -> str:
    file = read_torch_file(data)
    module = module_of(file)
    if module is not None:
        return "image encoder" if is_encoder(module) else "transformer" if is_transformer(module) else ""
    return CALIBRATOR if is_calibrator(file.root) else ""


def _is_old_calibrator(file: ReleaseFile) -> bool:
    """By its letters, so that nothing of an unknown file has to be read for the right advice."""
    data = file.read()
    return len(data) <= OLD_CALIBRATOR_BYTES and b"sklearn" in data


Candidate = tuple[str, str, Callable[[], bytes]]
"""Name, SHA-256, and how to read it."""


def _files(source: Path) -> Iterator[Candidate]:
    """What begins as torch files do; raises ReleaseRefused where the source cannot be read."""
    try:
        yield from _in_folder(source) if source.is_dir() else _in_zip(source)
    except ZIP_FAULTS as e:
        raise ReleaseRefused(f"{source.name!r} is not a readable folder or zip archive ({type(e).__name__})") from e


def _in_folder(folder: Path) -> Iterator[Candidate]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    _check_number(len(paths))
    for path in paths:
        if path.stat().st_size <= MAX_FILE_BYTES:
            yield from _candidate(str(path.relative_to(folder)), path.read_bytes)


def _in_zip(file: Path) -> Iterator[Candidate]:
    with zipfile.ZipFile(file) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    _check_number(len(entries))
    for entry in entries:
        if entry.file_size <= MAX_FILE_BYTES:
            yield from _candidate(entry.filename, partial(_entry, file, entry))


def _entry(file: Path, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of one entry: no more than it announces, however far its compressed data would expand."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(entry) as opened:
            return opened.read(entry.file_size)
    except ZIP_FAULTS as e:
        raise ReleaseRefused(f"{entry.filename!r} cannot be read from the archive ({type(e).__name__})") from e


def _candidate(name: str, read: Callable[[], bytes]) -> Iterator[Candidate]:
    data = read()
    if data.startswith(_BEGINNINGS):
        yield name, hashlib.sha256(data).hexdigest(), read


def _check_number(files: int) -> None:
    if files > MAX_FILES:
        raise ReleaseRefused(f"the release is looked for among at most {MAX_FILES} files, and here are {files}")
