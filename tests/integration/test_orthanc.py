"""Studies from Orthanc with its DICOMweb plugin, and reports for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from flask import Flask, Response, request
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from requests.auth import HTTPBasicAuth

from cds.demo.loopback import serve
from cds.errors import (
    PacsRefused,
    PatientUnclear,
    ReportRejected,
    StudyAmbiguous,
    StudyIncomplete,
    StudyNotFound,
)
from cds.pacs.archive import FoundStudy
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.pacs.score_report import ReportName, score_report
from tests.builders import cad_report, file_bytes, new_uid, screening_exam, tomosynthesis
from tests.cds.pacs.reports import measurement_groups, scored_from
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


def test_a_study_is_found_by_accession_number_by_patient_and_by_day(orthanc_server: OrthancServer) -> None:
    study_uid, number, patient = new_uid(), new_uid()[-16:], new_uid()[-12:]
    store(orthanc_server, screening_exam(study_uid, accession_number=number, patient_id=patient))
    own = archives(orthanc_server)

    found = own.find_by_accession(number, [patient])

    assert found == FoundStudy(study_uid, orthanc_server.dicomweb, patient, number, date(2026, 1, 5), 4)
    assert own.find_by_patient([patient]) == [found]
    assert found in list(own.find_since(date(2026, 1, 5)))
    assert found not in list(own.find_since(date(2026, 1, 6)))
    with pytest.raises(PatientUnclear):
        own.find_by_accession(number, [f"{patient}0"])
    with pytest.raises(StudyNotFound):
        own.find_by_accession(number[:-1], [patient])


def test_two_studies_with_one_accession_number_are_ambiguous(orthanc_server: OrthancServer) -> None:
    number, patient = new_uid()[-16:], new_uid()[-12:]
    for _ in range(2):
        store(orthanc_server, screening_exam(new_uid(), accession_number=number, patient_id=patient))

    with pytest.raises(StudyAmbiguous):
        archives(orthanc_server).find_by_accession(number, [patient])


def test_a_score_report_joins_its_study_once_and_leaves_the_images_as_they_are(orthanc_server: OrthancServer) -> None:
    study_uid, own = new_uid(), archives(orthanc_server)
    exam = screening_exam(study_uid)
    store(orthanc_server, exam)
    images = own.image_uids(study_uid)
    score = scored_from(exam)

    for _ in range(2):
        report = score_report(score, own.headers(study_uid), ReportName("ehr-1/an assessment", 1))
        own.store_report(report, orthanc_server.dicomweb)

    (held,) = [header for header in own.headers(study_uid) if header.Modality == "SR"]
    assert (held.SOPInstanceUID, held.SeriesInstanceUID) == (report.SOPInstanceUID, report.SeriesInstanceUID)
    assert pixels(own.retrieve_study(study_uid)) == pixels(exam)
    assert own.image_uids(study_uid) == images
    assert five_year_percent(orthanc_server, held) == pytest.approx(100 * score.score.five_year)


def five_year_percent(server: OrthancServer, report: Dataset) -> float:
    """The last measurement of the report as the archive holds it."""
    with requests.Session() as session:
        session.auth = (server.username, server.password)
        uids = (report.StudyInstanceUID, report.SeriesInstanceUID, report.SOPInstanceUID)
        held = DICOMwebClient(server.dicomweb, session=session).retrieve_instance(*uids)
    (group,) = measurement_groups(held)
    return float(group.get_measurements()[-1].value)


def test_a_report_without_a_patient_or_study_is_rejected(orthanc_server: OrthancServer) -> None:
    report = cad_report(new_uid())
    del report.PatientID, report.StudyInstanceUID

    with pytest.raises(ReportRejected, match="reason"):
        archives(orthanc_server).store_report(report, orthanc_server.dicomweb)


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
