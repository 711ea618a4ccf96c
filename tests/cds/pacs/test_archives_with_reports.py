"""Archives that hold reports of studies whose images are in another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.errors import StudyNotFound
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from tests.builders import cad_report, screening_exam

STUDY = "1.2.3"


def holding(folder: Path, objects: list[FileDataset]) -> DicomFolder:
    kept = DicomFolder(folder)
    for one in objects:
        kept.add(one)
    return kept


def test_an_archive_that_has_only_a_report_of_a_study_does_not_hide_its_images(tmp_path: Path) -> None:
    reports = holding(tmp_path / "main", [cad_report(STUDY)])
    images = holding(tmp_path / "old", screening_exam(STUDY))

    with serve(dicomweb_app(reports)) as main, serve(dicomweb_app(images)) as old:
        both = Archives([DicomWebArchive(ArchiveRoot(url, retries=0)) for url in (main, old)])
        assert len(both.retrieve_study(STUDY)) == 4
        assert len(both.headers(STUDY)) == 4
        with pytest.raises(StudyNotFound, match="no image of the study"):
            both.retrieve_study(STUDY, main)
