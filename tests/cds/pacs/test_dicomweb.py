"""Studies over real HTTP from the embedded archive, and from archives that misbehave."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, redirect, request
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless
from requests.auth import AuthBase, HTTPBasicAuth

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.errors import (
    PacsError,
    PacsRefused,
    PacsUnreachable,
    ReportRejected,
    StudyIncomplete,
    StudyNotFound,
    UntrustedServer,
)
from cds.origins import BearerToken
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from tests.builders import cad_report, file_bytes, mammogram, screening_exam, tomosynthesis
from tests.cds.builders import Clock

STUDY = "1.2.3"
BOUNDARY = "b0undary"


@pytest.fixture
def folder(tmp_path: Path) -> DicomFolder:
    return DicomFolder(tmp_path / "images")


def retrieve(url: str, study_uid: str = STUDY, auth: AuthBase | None = None, **settings: Any) -> list[Dataset]:
    """The study's images; whatever goes wrong, its words do not name the study: they are logged."""
    root = ArchiveRoot(url, auth, **{"retries": 0, "read_timeout_s": 5.0, **settings})
    try:
        return DicomWebArchive(root).retrieve_study(study_uid)
    except PacsError as problem:
        assert not study_uid or study_uid not in str(problem)  # noqa: PT017 # for every test of an error at once
        raise


def stored(folder: DicomFolder, images: list[FileDataset]) -> list[FileDataset]:
    for image in images:
        folder.add(image)
    return images


def by_uid(images: list[Any]) -> dict[str, bytes]:
    return {str(image.SOPInstanceUID): image.PixelData for image in images}


def test_a_study_arrives_as_it_was_stored(folder: DicomFolder) -> None:
    images = stored(folder, screening_exam(STUDY))
    with serve(dicomweb_app(folder)) as url:
        assert by_uid(retrieve(url)) == by_uid(images)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_a_compressed_study_arrives_compressed(folder: DicomFolder, syntax: str) -> None:
    images = stored(folder, screening_exam(STUDY, transfer_syntax=syntax))
    with serve(dicomweb_app(folder)) as url:
        received = retrieve(url)
    assert {image.file_meta.TransferSyntaxUID for image in received} == {syntax}
    assert by_uid(received) == by_uid(images)


def test_only_the_asked_study_is_sent(folder: DicomFolder) -> None:
    images = stored(folder, screening_exam(STUDY))
    stored(folder, screening_exam("1.2.4"))
    with serve(dicomweb_app(folder)) as url:
        assert by_uid(retrieve(url)) == by_uid(images)


def test_a_report_among_the_images_is_left_out_and_the_study_is_whole(folder: DicomFolder) -> None:
    images = stored(folder, screening_exam(STUDY))
    stored(folder, [cad_report(STUDY)])
    with serve(dicomweb_app(folder)) as url:
        assert by_uid(retrieve(url)) == by_uid(images)


def test_tomosynthesis_comes_as_its_header_alone(folder: DicomFolder) -> None:
    images = stored(folder, screening_exam(STUDY))
    volume = stored(folder, [tomosynthesis(STUDY)])[0]
    with serve(dicomweb_app(folder)) as url:
        received = retrieve(url)
    header = received[-1]
    assert by_uid(received[:-1]) == by_uid(images)
    assert (header.SOPInstanceUID, header.NumberOfFrames) == (volume.SOPInstanceUID, 3)
    assert "PixelData" not in header


def test_how_many_mammograms_come_is_told_before_their_pixels_are_asked_for(folder: DicomFolder) -> None:
    stored(folder, [*screening_exam(STUDY), tomosynthesis(STUDY), cad_report(STUDY)])
    asked, told = list[str](), list[tuple[int, str]]()
    app = dicomweb_app(folder)
    app.before_request(lambda: asked.append(request.path))
    with serve(app) as url:
        DicomWebArchive(ArchiveRoot(url)).retrieve_study(STUDY, lambda images: told.append((images, asked[-1])))

    assert told == [(4, f"/studies/{STUDY}/instances")]
    assert len(asked) > 1


def test_waiting_until_there_is_room_for_a_study_is_not_the_archives_time(folder: DicomFolder) -> None:
    stored(folder, screening_exam(STUDY))
    clock = Clock()
    with serve(dicomweb_app(folder)) as url:
        archive = DicomWebArchive(ArchiveRoot(url, whole_timeout_s=600), clock.monotonic_s)
        assert len(archive.retrieve_study(STUDY, lambda _: clock.sleep(900))) == 4


def test_a_study_that_the_archive_does_not_have_is_not_found(folder: DicomFolder) -> None:
    with serve(dicomweb_app(folder)) as url, pytest.raises(StudyNotFound, match="lists no objects"):
        retrieve(url, "1.2.9")


@pytest.mark.parametrize("status", ["204 No Content", "404 Not Found"])
def test_a_listing_without_content_means_not_found(status: str) -> None:
    with serve(lambda environ, start: _empty(start, status)) as url, pytest.raises(StudyNotFound):
        retrieve(url)


def test_an_archive_that_takes_too_long_is_unreachable() -> None:
    asked = threading.Event()

    def slow(environ: Any, start: Callable[..., Any]) -> list[bytes]:
        asked.wait(2)
        return _empty(start, "204 No Content")

    with serve(slow) as url:
        with pytest.raises(PacsUnreachable):
            retrieve(url, read_timeout_s=0.1)
        asked.set()


@pytest.mark.parametrize("uid", ["", "../studies", "1.2.3?limit=1", "1." * 40 + "1", "1.2.3\n"])
def test_what_is_no_study_uid_is_not_asked_for(uid: str) -> None:
    with pytest.raises(StudyNotFound, match="not a DICOM UID"):
        retrieve("http://127.0.0.1:9", uid)


def test_wrong_credentials_are_refused_and_not_shown(folder: DicomFolder) -> None:
    stored(folder, screening_exam(STUDY))
    with serve(dicomweb_app(folder, "cds", "right-secret")) as url:
        with pytest.raises(PacsRefused, match="401") as refusal:
            retrieve(url, auth=HTTPBasicAuth("cds", "wrong-secret"))
        assert len(retrieve(url, auth=HTTPBasicAuth("cds", "right-secret"))) == 4
    assert "secret" not in str(refusal.value)


def test_a_bearer_token_is_sent_with_every_request(folder: DicomFolder) -> None:
    stored(folder, screening_exam(STUDY))
    app = dicomweb_app(folder)
    seen: list[str | None] = []
    app.before_request(lambda: seen.append(request.headers.get("Authorization")))
    with serve(app) as url:
        retrieve(url, auth=BearerToken("t0ken"))
    assert set(seen) == {"Bearer t0ken"}


def test_an_archive_that_does_not_run_is_unreachable() -> None:
    with pytest.raises(PacsUnreachable, match=r"http://127\.0\.0\.1:9 "):
        retrieve("http://127.0.0.1:9")


def test_a_busy_archive_is_asked_again(folder: DicomFolder) -> None:
    stored(folder, screening_exam(STUDY))
    app = dicomweb_app(folder)
    refusals = iter([503, 429, 502, 504])

    @app.before_request
    def busy() -> Response | None:
        status = next(refusals, None)
        return None if status is None else Response(status=status)

    with serve(app) as url:
        assert len(retrieve(url, retries=4, backoff_s=0.01)) == 4


def test_an_archive_that_stays_busy_is_unreachable() -> None:
    with serve(lambda environ, start: _plain(start, "503 Busy")) as url, pytest.raises(PacsUnreachable, match="503"):
        retrieve(url, retries=1, backoff_s=0.01)


def test_a_redirect_to_another_server_is_not_followed(folder: DicomFolder) -> None:
    stored(folder, screening_exam(STUDY))
    elsewhere = dicomweb_app(folder)
    seen: list[str] = []
    elsewhere.before_request(lambda: seen.append(request.path))
    with serve(elsewhere) as other_url:
        app = Flask("redirecting")
        app.add_url_rule("/<path:path>", view_func=lambda path: redirect(f"{other_url}/{path}"))
        with serve(app) as url, pytest.raises(UntrustedServer):
            retrieve(url)
    assert seen == []


def test_an_archive_that_answers_a_web_page_is_an_error_in_words() -> None:
    with serve(lambda environ, start: _plain(start, "200 OK")) as url, pytest.raises(PacsError, match="'text/html'"):
        retrieve(url)


def test_an_archive_may_be_asked_from_several_threads(folder: DicomFolder) -> None:
    exams = {f"1.2.{number}": stored(folder, screening_exam(f"1.2.{number}")) for number in range(1, 9)}
    with serve(dicomweb_app(folder)) as url, ThreadPoolExecutor(4) as threads:
        archive = DicomWebArchive(ArchiveRoot(url))
        for received, images in zip(threads.map(archive.retrieve_study, exams), exams.values(), strict=True):
            assert by_uid(received) == by_uid(images)


def test_an_image_whose_class_and_modality_are_not_listed_is_no_mammogram(folder: DicomFolder) -> None:
    with serve(lying_archive([mammogram(), cad_report(STUDY)], b"")) as url:
        listed = DicomWebArchive(ArchiveRoot(url)).image_uids(STUDY)
    assert len(listed) == 1


# Storing


def answering(status: int, outcome: object) -> Flask:
    """An archive that answers what it is given with this status and these words of what it did."""
    app = Flask("answering")
    app.add_url_rule("/studies", view_func=lambda: Response(*_json(outcome, status)), methods=["POST"])
    return app


def _json(outcome: object, status: int) -> tuple[str, int, dict[str, str]]:
    text = outcome if isinstance(outcome, str) else json.dumps(outcome)
    return text, status, {"Content-Type": "application/dicom+json"}


def outcome(sequence: str, sop_uid: str, reason: int | None = None) -> dict[str, object]:
    """The answer to STOW-RS in which this object is in the list of those stored or of those that failed."""
    item: dict[str, object] = {"00081155": {"vr": "UI", "Value": [sop_uid]}}
    if reason is not None:
        item["00081197"] = {"vr": "US", "Value": [reason]}
    return {sequence: {"vr": "SQ", "Value": [item]}}


STORED, FAILED = "00081199", "00081198"


def store(report: Dataset, status: int, said: object) -> None:
    with serve(answering(status, said)) as url:
        DicomWebArchive(ArchiveRoot(url, retries=0)).store(report)


def test_a_report_is_stored_once_however_often_it_is_sent(folder: DicomFolder) -> None:
    stored(folder, screening_exam(STUDY))
    report = cad_report(STUDY)
    with serve(dicomweb_app(folder, "cds", "secret")) as url:
        archive = DicomWebArchive(ArchiveRoot(url, HTTPBasicAuth("cds", "secret")))
        archive.store(report)
        archive.store(report)
        assert len(archive.headers(STUDY)) == 5


@pytest.mark.parametrize("status", [200, 202])
def test_a_report_that_the_archive_names_as_stored_is_stored(status: int) -> None:
    report = cad_report(STUDY)
    store(report, status, outcome(STORED, report.SOPInstanceUID))


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_a_report_that_the_archive_has_already_is_stored(status: int) -> None:
    report = cad_report(STUDY)
    store(report, status, outcome(FAILED, report.SOPInstanceUID, 0x0111))


@pytest.mark.parametrize("status", [200, 202, 400, 409])
def test_a_report_that_the_archive_does_not_accept_is_rejected_for_good(status: int) -> None:
    report = cad_report(STUDY)
    with pytest.raises(ReportRejected, match="reason C000") as rejection:
        store(report, status, outcome(FAILED, report.SOPInstanceUID, 0xC000))
    assert not rejection.value.may_pass
    assert report.SOPInstanceUID not in str(rejection.value)


@pytest.mark.parametrize("reason", [0x0110, 0xA700, 0xA7FF])
def test_an_archive_without_room_may_take_the_report_later(reason: int) -> None:
    report = cad_report(STUDY)
    with pytest.raises(PacsError, match="sent again") as problem:
        store(report, 409, outcome(FAILED, report.SOPInstanceUID, reason))
    assert problem.value.may_pass


@pytest.mark.parametrize("said", [{}, [], "", "nonsense", outcome(STORED, "9.9.9"), outcome(FAILED, "9.9.9", 0xC000)])
@pytest.mark.parametrize("status", [200, 409])
def test_an_archive_that_does_not_say_what_became_of_the_report_may_be_sent_it_again(status: int, said: object) -> None:
    with pytest.raises(PacsError) as problem:
        store(cad_report(STUDY), status, said)
    assert problem.value.may_pass


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, PacsRefused, "401"),
        (404, PacsError, "takes no objects"),
        (405, PacsError, "takes no objects"),
        (415, PacsError, "415"),
        (503, PacsUnreachable, "503"),
    ],
)
def test_an_archive_that_refuses_to_be_given_reports_is_an_error_in_words(
    status: int, error: type[PacsError], said: str
) -> None:
    with pytest.raises(error, match=said):
        store(cad_report(STUDY), status, {})


def test_a_report_is_sent_once_even_if_its_answer_is_lost() -> None:
    sent: list[str] = []
    app = Flask("busy")

    @app.post("/studies")
    def busy() -> Response:
        sent.append(request.path)
        return Response(status=503)

    with serve(app) as url, pytest.raises(PacsUnreachable):
        DicomWebArchive(ArchiveRoot(url, retries=3, backoff_s=0.01)).store(cad_report(STUDY))
    assert len(sent) == 1


# What follows are archives that list a whole study and send something else.


def _plain(start: Callable[..., Any], status: str) -> list[bytes]:
    start(status, [("Content-Type", "text/html")])
    return [b"<html>hello</html>"]


def _empty(start: Callable[..., Any], status: str) -> list[bytes]:
    start(status, [])
    return []


def lying_archive(listed: list[FileDataset], body: bytes) -> Flask:
    """An archive that lists these images and answers every retrieval with these bytes, as Orthanc without a length."""
    app = Flask("lying")
    rows = [
        {
            "00080018": {"vr": "UI", "Value": [image.SOPInstanceUID]},
            "00080016": {"vr": "UI", "Value": [image.SOPClassUID]},
        }
        for image in listed
    ]

    def retrieve(study_uid: str) -> Response:
        kind = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
        return Response(iter([body]), content_type=kind)

    app.add_url_rule("/studies/<study_uid>/instances", view_func=lambda study_uid: rows)
    app.add_url_rule("/studies/<study_uid>", view_func=retrieve)
    return app


def multipart(files: list[bytes]) -> bytes:
    parts = [f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file for file in files]
    return b"".join(parts) + f"\r\n--{BOUNDARY}--\r\n".encode()


def retrieved(listed: list[FileDataset], body: bytes) -> list[Dataset]:
    with serve(lying_archive(listed, body)) as url:
        return retrieve(url)


@pytest.fixture
def exam() -> list[FileDataset]:
    return screening_exam(STUDY)


def test_a_whole_answer_without_any_length_is_taken(exam: list[FileDataset]) -> None:
    assert by_uid(retrieved(exam, multipart([file_bytes(image) for image in exam]))) == by_uid(exam)


def test_a_file_that_would_inflate_to_gigabytes_is_not_read(exam: list[FileDataset]) -> None:
    exam[0].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = file_bytes(exam[0])
    start = 144 + int.from_bytes(file[140:144], "little")
    files = [file[:start] + _gigabyte_of_zeros(), *(file_bytes(image) for image in exam[1:])]
    with pytest.raises(PacsError, match="LargerThanAnyImage"):
        retrieved(exam, multipart(files))


def _gigabyte_of_zeros() -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"".join([*(packer.compress(bytes(1 << 24)) for _ in range(64)), packer.flush()])


def test_an_answer_larger_than_a_site_allows_is_an_error_in_words(exam: list[FileDataset]) -> None:
    body = multipart([file_bytes(image) for image in exam])
    with serve(lying_archive(exam, body)) as url, pytest.raises(PacsError, match="larger than 10000 bytes"):
        retrieve(url, most_bytes=10_000)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.9995])
def test_an_answer_that_breaks_off_is_incomplete(exam: list[FileDataset], kept: float) -> None:
    body = multipart([file_bytes(image) for image in exam])
    with pytest.raises(StudyIncomplete, match="broke off"):
        retrieved(exam, body[: int(len(body) * kept)])


def test_an_answer_that_breaks_off_between_two_images_is_incomplete(exam: list[FileDataset]) -> None:
    body = multipart([file_bytes(image) for image in exam])
    with pytest.raises(StudyIncomplete, match="broke off"):
        retrieved(exam, body[: body.rindex(f"\r\n--{BOUNDARY}\r\n".encode())])


def test_a_missing_image_makes_the_study_incomplete(exam: list[FileDataset]) -> None:
    with pytest.raises(StudyIncomplete, match="4 objects are listed, 1 of them did not arrive"):
        retrieved(exam, multipart([file_bytes(image) for image in exam[:3]]))


def test_an_image_that_is_not_listed_makes_the_study_incomplete(exam: list[FileDataset]) -> None:
    with pytest.raises(StudyIncomplete, match="1 not listed did"):
        retrieved(exam[:3], multipart([file_bytes(image) for image in exam]))


def test_the_same_image_twice_does_not_stand_for_two(exam: list[FileDataset]) -> None:
    files = [file_bytes(image) for image in exam]
    with pytest.raises(StudyIncomplete, match="1 of them did not arrive"):
        retrieved(exam, multipart([*files[:3], files[0]]))


def test_an_image_of_another_study_is_never_handed_over(exam: list[FileDataset]) -> None:
    foreign = mammogram("R MLO", "9.9.9")
    with pytest.raises(StudyIncomplete, match="another study"):
        retrieved([*exam[:3], foreign], multipart([file_bytes(image) for image in [*exam[:3], foreign]]))


@pytest.mark.parametrize("lost", [1, 2, 4000, 6144])
def test_an_image_that_lost_pixels_makes_the_study_incomplete(exam: list[FileDataset], lost: int) -> None:
    files = [file_bytes(image) for image in exam]
    with pytest.raises(StudyIncomplete, match="without all its pixels"):
        retrieved(exam, multipart([files[0][:-lost], *files[1:]]))


@pytest.mark.filterwarnings(
    "ignore:End of file reached before delimiter:UserWarning"
)  # pydicom's own word on the cut file
@pytest.mark.parametrize("lost", [8, 9, 60])
def test_a_compressed_image_that_lost_its_end_makes_the_study_incomplete(lost: int) -> None:
    exam = screening_exam(STUDY, transfer_syntax=RLELossless)
    files = [file_bytes(image) for image in exam]
    with pytest.raises(StudyIncomplete, match="4 objects are listed, 1 of them did not arrive and 0"):
        retrieved(exam, multipart([files[0][:-lost], *files[1:]]))


def test_an_image_without_pixels_makes_the_study_incomplete(exam: list[FileDataset]) -> None:
    del exam[0].PixelData
    with pytest.raises(StudyIncomplete, match="without all its pixels"):
        retrieved(exam, multipart([file_bytes(image) for image in exam]))


def test_what_is_no_dicom_file_is_an_error_in_words(exam: list[FileDataset]) -> None:
    with pytest.raises(PacsError, match="unreadable"):
        retrieved(exam, multipart([b"GIF89a", *[file_bytes(image) for image in exam[1:]]]))


def test_a_size_that_the_header_does_not_state_is_left_to_the_gate(exam: list[FileDataset]) -> None:
    del exam[0].Rows
    assert len(retrieved(exam, multipart([file_bytes(image) for image in exam]))) == 4
