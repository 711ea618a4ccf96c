"""The embedded archive as the stock DICOMweb client meets it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.uid import RLELossless

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from tests.builders import cad_report, mammogram, screening_exam

AS_STORED = (("application/dicom", "*"),)


@pytest.fixture
def folder(tmp_path: Path) -> DicomFolder:
    folder = DicomFolder(tmp_path)
    for image in screening_exam("1.2.3", accession_number="A1", patient_id="P1"):
        folder.add(image)
    for image in screening_exam("1.2.4", accession_number="A2", patient_id="P2", transfer_syntax=RLELossless):
        folder.add(image)
    folder.add(cad_report("1.2.3"))
    return folder


@pytest.fixture
def url(folder: DicomFolder) -> Iterator[str]:
    with serve(dicomweb_app(folder)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[DICOMwebClient]:
    with requests.Session() as session:
        yield DICOMwebClient(url, session=session)


def study_uids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["0020000D"]["Value"][0] for row in rows]


@pytest.mark.parametrize(
    ("filters", "uids"),
    [
        ({}, ["1.2.3", "1.2.4"]),
        ({"AccessionNumber": "A2"}, ["1.2.4"]),
        ({"00080050": "A2"}, ["1.2.4"]),
        ({"PatientID": "P1"}, ["1.2.3"]),
        ({"StudyInstanceUID": "1.2.4,1.2.3"}, ["1.2.3", "1.2.4"]),
        ({"ModalitiesInStudy": "SR"}, ["1.2.3"]),
        ({"ModalitiesInStudy": "MG", "AccessionNumber": "A1"}, ["1.2.3"]),
        ({"ModalitiesInStudy": "CT"}, []),
        ({"PatientName": "Test^*"}, ["1.2.3", "1.2.4"]),
        ({"PatientBirthDate": "19740203"}, []),
    ],
)
def test_studies_are_found_by(client: DICOMwebClient, filters: dict[str, str], uids: list[str]) -> None:
    assert study_uids(client.search_for_studies(search_filters=filters)) == uids


def test_a_study_says_what_is_in_it(client: DICOMwebClient) -> None:
    row = client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.3"})[0]
    assert row["00080061"]["Value"] == ["MG", "SR"]
    assert row["00201208"] == {"vr": "IS", "Value": [5]}


def test_pages_of_instances_hold_each_once(client: DICOMwebClient) -> None:
    pages = [client.search_for_instances("1.2.3", limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert len({row["00080018"]["Value"][0] for page in pages for row in page}) == 5


def test_the_instances_of_an_unknown_study_are_none(client: DICOMwebClient) -> None:
    assert client.search_for_instances("1.2.9") == []


@pytest.mark.parametrize(
    "path", ["/studies/1.2.9", "/studies/1.2.3/series/9", "/studies/1.2.9/metadata", "/studies/%2e%2e"]
)
def test_what_is_not_there_is_not_found(url: str, path: str) -> None:
    assert requests.get(url + path, timeout=5).status_code == 404


def test_a_study_is_retrieved_as_stored(client: DICOMwebClient) -> None:
    images = client.retrieve_study("1.2.4", media_types=AS_STORED)
    assert {image.file_meta.TransferSyntaxUID for image in images} == {RLELossless}
    assert {image.StudyInstanceUID for image in images} == {"1.2.4"}


def test_each_part_states_its_length_and_syntax_and_the_last_boundary_closes(url: str, folder: DicomFolder) -> None:
    answer = requests.get(f"{url}/studies/1.2.4", headers={"Accept": "*/*; transfer-syntax=*"}, timeout=5)
    boundary = answer.headers["Content-Type"].rpartition("boundary=")[2].encode()
    parts = answer.content.split(b"\r\n--" + boundary)
    assert parts[-1] == b"--\r\n"
    sizes = [one.path.stat().st_size for one in folder.instances("1.2.4")]
    for part, size in zip(parts[1:-1], sizes, strict=True):
        head, _, body = part.partition(b"\r\n\r\n")
        assert f"Content-Length: {size}".encode() in head
        assert f"transfer-syntax={RLELossless}".encode() in head
        assert len(body) == size


def test_images_are_not_passed_off_in_another_transfer_syntax(url: str) -> None:
    # Without a wish a client takes Explicit VR Little Endian, in which this study is not stored.
    wish = {"Accept": 'multipart/related; type="application/dicom"'}
    assert requests.get(f"{url}/studies/1.2.4", headers=wish, timeout=5).status_code == 406
    assert requests.get(f"{url}/studies/1.2.3", headers=wish, timeout=5).status_code == 200


def test_one_instance_and_its_header_can_be_retrieved(client: DICOMwebClient, folder: DicomFolder) -> None:
    one = folder.instances("1.2.3")[1]
    uids = ("1.2.3", one.text("SeriesInstanceUID"), one.text("SOPInstanceUID"))
    assert client.retrieve_instance(*uids).SOPInstanceUID == uids[2]
    header = client.retrieve_instance_metadata(*uids)
    assert header["00080018"]["Value"] == [uids[2]]
    assert "7FE00010" not in header


@pytest.mark.parametrize(("user", "status"), [(("cds", "right"), 200), (("cds", "wrong"), 401), (None, 401)])
def test_with_a_user_it_demands_the_password(folder: DicomFolder, user: tuple[str, str] | None, status: int) -> None:
    with serve(dicomweb_app(folder, "cds", "right")) as url:
        assert requests.get(f"{url}/studies", auth=user, timeout=5).status_code == status


def test_images_added_while_it_runs_are_there_at_once(client: DICOMwebClient, folder: DicomFolder) -> None:
    folder.add(mammogram("L CC", "1.2.5"))
    assert len(client.retrieve_study("1.2.5", media_types=AS_STORED)) == 1


def test_the_same_image_again_replaces_the_first(folder: DicomFolder) -> None:
    image = mammogram("L CC", "1.2.5", accession_number="before")
    folder.add(image)
    image.AccessionNumber = "after"
    folder.add(image)
    assert [one.text("AccessionNumber") for one in folder.instances("1.2.5")] == ["after"]


def test_a_folder_opened_again_has_the_same_studies(folder: DicomFolder, tmp_path: Path) -> None:
    again = DicomFolder(tmp_path)
    assert sorted(study_uids(again.studies())) == sorted(study_uids(folder.studies()))
    assert len(again.instances()) == 9


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
def test_an_image_whose_uid_would_leave_the_folder_is_refused(folder: DicomFolder) -> None:
    image = mammogram("L CC", "1.2.5")
    image.SOPInstanceUID = "../../escape"
    with pytest.raises(ValueError, match="not a UID"):
        folder.add(image)


@pytest.mark.parametrize(
    ("days", "found"),
    [("20260105-", 2), ("-20260105", 2), ("20260101-20260131", 2), ("20260106-", 0), ("-20260104", 0), ("20260105", 2)],
)
def test_a_range_of_days_finds_the_studies_within(client: DICOMwebClient, days: str, found: int) -> None:
    assert len(client.search_for_studies(search_filters={"StudyDate": days})) == found


def test_an_object_that_is_stored_is_listed_once_however_often_it_comes(client: DICOMwebClient) -> None:
    report = cad_report("1.2.4")

    for _ in range(2):
        outcome = client.store_instances([report])

    assert outcome.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == report.SOPInstanceUID
    assert len(client.search_for_instances("1.2.4")) == 5


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/dicom", b"", 415),
        ("multipart/related", b"--x\r\n\r\n\r\n--x--", 415),
        ("multipart/related; boundary=x", b"--x\r\nContent-Type: application/dicom\r\n\r\nno file\r\n--x--", 400),
    ],
)
def test_what_is_no_dicom_file_is_not_stored(
    url: str, folder: DicomFolder, kind: str, body: bytes, status: int
) -> None:
    before = len(folder.instances())

    answer = requests.post(f"{url}/studies", data=body, headers={"Content-Type": kind}, timeout=5)

    assert (answer.status_code, len(folder.instances())) == (status, before)
