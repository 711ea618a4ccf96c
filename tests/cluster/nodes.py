"""What nodes need: an archive, a model, a settings file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from cds.demo.dicom_folder import DicomFolder
from model.phantom import PhantomExam, dicom_images
from tests.cds.scoring.test_site_scorer import install_checked_model


def phantoms(first: int, count: int) -> list[PhantomExam]:
    """Small exams of so many women, numbered from the first."""
    return [PhantomExam(first + n, date(2024, 1, 1 + n), 0.05 * n, rows=256, columns=208) for n in range(count)]


def archived(exams: Sequence[PhantomExam], folder: Path) -> DicomFolder:
    """The images of all of them."""
    images = DicomFolder(folder)
    for exam in exams:
        for image in dicom_images(exam):
            images.add(image)
    return images


def node_settings(folder: Path, root: str, *, model: str = "tiny") -> Path:
    """The settings file of a node with this archive and the model `tiny`, or another."""
    if not (folder / "models" / "tiny").exists():
        install_checked_model(folder / "models" / "tiny")
    file = folder / f"{model}.toml"
    file.write_text(
        f'model = "{model}"\nmodels_folder = "{folder / "models"}"\n[[pacs]]\nname = "main"\n'
        f'dicomweb_root = "{root}"\n[imaging]\ncheck_patient_id = false\n[scoring]\ndevice = "cpu"\n'
    )
    return file
