"""Import the published Mirai release: its pickles are read as data, checked, and written once as safetensors and card.

Yala et al., Sci Transl Med 2021; weights: snapshots.zip of Mirai v0.8.0 (MIT licence), downloaded by the site.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from model.calibration import PUBLISHED_MIRAI, Calibration
from model.card import ModelCard
from model.checkpoint import save_network
from model.devices import MIRAI_DEVICES
from model.errors import ReleaseRefused
from model.network import Mirai
from model.preprocessing import VERSION, PictureFormat
from model.release.calibrator import calibration_of
from model.release.files import MAX_FILE_BYTES, ReleaseFile, find_release
from model.release.inert_pickle import Budget
from model.release.modules import network_from
from model.release.published import CALIBRATOR, NAME, PUBLISHED, ROLES
from model.release.torch_files import TorchFile, read_torch_file
from model.self_check import expected_risks
from model.source_attributes import FILE_NAME

_DESCRIPTION: Final = (
    "Mirai (Yala et al., Sci Transl Med 2021): breast cancer risk within one to five years from the four standard "
    "views of a screening mammogram. Among what it predicts from the images on its way is the patient's race."
)
_ATTRIBUTES: Final = Path(__file__).with_name(FILE_NAME)
"""What is published of this model; of files with another checksum nothing is known."""
_UNVERIFIED: Final = "Model files of unverified origin. Not for clinical use."


def import_release(
    source: Path,
    models_folder: Path,
    *,
    into: Path | None = None,
    accept_checksum: bool = False,
    published: Mapping[str, str] = PUBLISHED,
    form: PictureFormat = PictureFormat(),  # noqa: B008 # frozen: sharing it is safe
) -> tuple[ModelCard, Path]:
    """Convert the release in a folder or zip archive; returns the card and the folder it was written to.

    `into` names that folder, which must not exist yet; otherwise it is named for the model below `models_folder`.
    The card is clinical only where every file has its published checksum. Raises ReleaseRefused.
    """
    files = find_release(source, accept_checksum=accept_checksum, published=published)
    encoder, transformer = files[ROLES[0]], files[ROLES[1]]
    known = encoder.published and transformer.published
    network = network_from(_open(encoder), _open(transformer), extra_weights=known)
    card = _card(files, _calibration(files[CALIBRATOR]), network, form)
    folder = into or models_folder / card.name
    return _install(network, card, folder, _ATTRIBUTES if card.name == NAME else None), folder


def _open(file: ReleaseFile) -> TorchFile:
    if file.content is not None:
        return file.content
    try:
        # A file whose checksum is published is known to end; how many instructions it has is not.
        return read_torch_file(file.read(MAX_FILE_BYTES), Budget(sys.maxsize))
    except ReleaseRefused as e:
        raise ReleaseRefused(f"{file.name!r}: {e}") from e


def _calibration(file: ReleaseFile) -> Calibration:
    if file.published:
        return PUBLISHED_MIRAI
    return calibration_of(_open(file).root, f"mirai-{file.sha256[:12]}")


def _card(files: dict[str, ReleaseFile], calibration: Calibration, network: Mirai, form: PictureFormat) -> ModelCard:
    published = all(file.published for file in files.values())
    return ModelCard(
        name=NAME if published else f"mirai-unverified-{files[ROLES[1]].sha256[:8]}",
        description=_DESCRIPTION,
        intended_use="Women with a screening mammogram of four standard views and without implants.",
        clinical=published,
        banner="" if published else _UNVERIFIED,
        weights_sha256="",
        preprocessing=VERSION,
        network=asdict(network.config),
        picture=asdict(form),
        calibration=calibration,
        training={"source": "Mirai v0.8.0, snapshots.zip" if published else "files of unpublished checksums, accepted"}
        | {"files": {role: _origin(file) for role, file in files.items()}},
        validated_devices=MIRAI_DEVICES,
        self_check=_promised(network, form),
    )


def _promised(network: Mirai, form: PictureFormat) -> tuple[float, ...]:
    """The risks of the built-in exam; raises ReleaseRefused where the network cannot score it."""
    try:
        risks = expected_risks(network, form)
    except (MemoryError, RuntimeError) as e:  # as NumPy and torch report that there is too little memory
        raise ReleaseRefused(f"the network cannot score the built-in exam on this machine ({type(e).__name__})") from e
    if not all(0 <= risk <= 1 for risk in risks):
        raise ReleaseRefused("the network gives risks of the built-in exam that are no risks")
    return risks


def _origin(file: ReleaseFile) -> dict[str, Any]:
    return {"name": file.name, "sha256": file.sha256, "checksum": "published" if file.published else "accepted"}


def _install(network: Mirai, card: ModelCard, folder: Path, attributes: Path | None) -> ModelCard:
    """Written beside its place and then moved there, so that half a model is never found."""
    if folder.exists():
        raise ReleaseRefused(f"{folder.name!r} exists already; remove it first, or import into another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".import-", dir=folder.parent))
    except OSError as e:
        raise ReleaseRefused(f"the folder for {folder.name!r} cannot be made ({type(e).__name__})") from e
    try:
        card = save_network(network, card, unfinished)
        if attributes is not None:
            shutil.copyfile(attributes, unfinished / FILE_NAME)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    except OSError as e:
        raise ReleaseRefused(f"{folder.name!r} cannot be written ({type(e).__name__})") from e
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return card
