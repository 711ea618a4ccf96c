"""Studies from Orthanc with its DICOMweb plugin."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from flask import Flask, Response, request
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from requests.auth import HTTPBasicAuth

from cds.demo.loopback import serve
from cds.errors import PacsRefused, StudyIncomplete, StudyNotFound
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from tests.builders import cad_report, file_bytes, new_uid, screening_exam, tomosynthesis
from tests.servers import OrthancServer

pytestmark = pytest.mark.integration


def store(server: OrthancServer, images: Sequence[FileDataset]) -> None:
    """By STOW-RS, as modalities and other archives do."""
    with requests.Session() as session:
        session.auth = (server.username, server.password)
        DICOMwebClient(server.dicomweb, session=session).store_instances(images)


def retrieve(server: OrthancServer, study_uid: str, password: str | None = None) -> list[Dataset]:
    return archives(server, password).retrieve_study(study_uid)


def archives(server: OrthancServer, password: str | None = None) -> Archives:
    auth = HTTPBasicAuth(server.username, password or server.password)
    return Archives([DicomWebArchive(ArchiveRoot(server.dicomweb, auth))])


def pixels(images: Sequence[Dataset]) -> dict[str, bytes]:
    return {str(image.SOPInstanceUID): image.PixelData for image in images}


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_stored_exam_comes_back_to_the_bit_and_in_its_own_transfer_syntax(
    orthanc_server: OrthancServer, syntax: str
) -> None:
    study_uid = new_uid()
    exam = screening_exam(study_uid, transfer_syntax=syntax)
    store(orthanc_server, exam)
    received = retrieve(orthanc_server, study_uid)
    assert pixels(received) == pixels(exam)
    assert {image.file_meta.TransferSyntaxUID for image in received} == {syntax}


def test_an_exam_stored_file_by_file_comes_back_whole(orthanc_server: OrthancServer) -> None:
    study_uid = new_uid()
    exam = screening_exam(study_uid)
    for image in exam:
        answer = requests.post(
            f"{orthanc_server.url}/instances",
            data=file_bytes(image),
            auth=(orthanc_server.username, orthanc_server.password),
            timeout=10,
        )
        assert answer.ok
    assert pixels(retrieve(orthanc_server, study_uid)) == pixels(exam)


def test_reports_are_left_out_and_tomosynthesis_is_named_by_its_header(orthanc_server: OrthancServer) -> None:
    study_uid = new_uid()
    exam, volume = screening_exam(study_uid), tomosynthesis(study_uid)
    store(orthanc_server, [*exam, volume, cad_report(study_uid)])
    *images, header = retrieve(orthanc_server, study_uid)
    assert pixels(images) == pixels(exam)
    assert (header.SOPInstanceUID, header.SOPClassUID) == (volume.SOPInstanceUID, volume.SOPClassUID)
    assert "PixelData" not in header


def test_an_unknown_study_is_not_found(orthanc_server: OrthancServer) -> None:
    with pytest.raises(StudyNotFound):
        retrieve(orthanc_server, new_uid())


def test_a_wrong_password_is_refused(orthanc_server: OrthancServer) -> None:
    with pytest.raises(PacsRefused, match="401"):
        retrieve(orthanc_server, new_uid(), password="wrong")


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.999])
def test_an_answer_of_orthancs_that_breaks_off_is_incomplete(orthanc_server: OrthancServer, kept: float) -> None:
    study_uid = new_uid()
    store(orthanc_server, screening_exam(study_uid))
    with serve(_cutting_proxy(orthanc_server, kept)) as url:
        broken = OrthancServer(url)
        with pytest.raises(StudyIncomplete, match="broke off"):
            retrieve(broken, study_uid)


def _cutting_proxy(server: OrthancServer, kept: float) -> Flask:
    """Orthanc behind a proxy that passes on listings, and of images only the beginning."""
    app = Flask("cutting")

    @app.get("/<path:path>")
    def pass_on(path: str) -> Response:
        headers = {name: request.headers[name] for name in ("Accept", "Authorization")}
        answer = requests.get(f"{server.url}/{path}", request.args.to_dict(), headers=headers, timeout=10)
        kind = answer.headers["Content-Type"]
        length = int(len(answer.content) * kept) if "multipart" in kind else None
        return Response(iter([answer.content[:length]]), content_type=kind)

    return app
