"""Several archives as one: whose study it is, who was asked, and what the silence of one of them means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import FileDataset
from requests.auth import HTTPBasicAuth

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.errors import (
    PacsError,
    PacsRefused,
    PacsUnreachable,
    PatientUnclear,
    StudyAmbiguous,
    StudyIncomplete,
    StudyNotFound,
    UntrustedServer,
)
from cds.pacs.archive import FoundStudy, ImageArchive
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.pacs.listings import MAX_PAGES, STUDIES_A_PAGE, is_askable
from tests.builders import cad_report, screening_exam
from tests.cds.pacs.archives import listing, refusing, study_row

NOWHERE = "http://127.0.0.1:9"
STUDY = "1.2.3"
HERS = ["MRN-1"]
DAY = date(2026, 1, 5)


@pytest.fixture
def started() -> Iterator[Callable[[Flask], str]]:
    """Starts an archive and gives its root."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(serve(app))


def archives(*urls: str) -> Archives:
    return Archives([DicomWebArchive(ArchiveRoot(url, retries=0, read_timeout_s=5.0)) for url in urls])


def of(folder: Path, images: Sequence[FileDataset]) -> Flask:
    """An honest archive of these images."""
    kept = DicomFolder(folder)
    for image in images:
        kept.add(image)
    return dicomweb_app(kept)


def test_a_study_is_found_in_the_first_archive_that_has_it(started: Callable[[Flask], str], tmp_path: Path) -> None:
    empty = started(of(tmp_path / "empty", []))
    whole = started(of(tmp_path / "whole", screening_exam(STUDY)))
    half = started(of(tmp_path / "half", screening_exam(STUDY)[:2]))

    both: ImageArchive = archives(empty, whole, half)

    assert len(both.retrieve_study(STUDY)) == len(both.headers(STUDY)) == len(both.image_uids(STUDY)) == 4
    assert len(both.retrieve_study(STUDY, f"{half}/")) == 2


def test_a_named_archive_alone_is_asked(started: Callable[[Flask], str], tmp_path: Path) -> None:
    empty = started(of(tmp_path / "empty", []))
    whole = started(of(tmp_path / "whole", screening_exam(STUDY)))

    with pytest.raises(StudyNotFound):
        archives(empty, whole).retrieve_study(STUDY, empty)


def test_a_study_that_one_archive_has_is_had_although_another_is_down(
    started: Callable[[Flask], str], tmp_path: Path
) -> None:
    whole = started(of(tmp_path / "whole", screening_exam(STUDY)))

    assert len(archives(NOWHERE, whole).retrieve_study(STUDY)) == 4


@pytest.mark.parametrize("first", [True, False])
def test_a_study_is_not_called_missing_while_an_archive_is_down(
    started: Callable[[Flask], str], tmp_path: Path, first: bool
) -> None:
    empty = started(of(tmp_path / "empty", []))
    roots = (NOWHERE, empty) if first else (empty, NOWHERE)

    with pytest.raises(PacsUnreachable):
        archives(*roots).retrieve_study(STUDY)
    with pytest.raises(PacsUnreachable):
        archives(*roots).image_uids(STUDY)


def test_a_study_that_no_archive_has_is_not_found(started: Callable[[Flask], str], tmp_path: Path) -> None:
    with pytest.raises(StudyNotFound):
        archives(started(of(tmp_path / "a", [])), started(of(tmp_path / "b", []))).headers(STUDY)


def test_a_study_that_is_said_to_be_where_the_site_has_no_archive_may_be_in_one_that_it_has(
    started: Callable[[Flask], str], tmp_path: Path
) -> None:
    moved = archives(started(of(tmp_path / "moved", screening_exam(STUDY))))

    assert len(moved.retrieve_study(STUDY, "https://old-pacs.example/dicom-web")) == 4


def test_an_archive_that_is_not_the_sites_is_not_asked(started: Callable[[Flask], str], tmp_path: Path) -> None:
    asked: list[dict[str, str]] = []
    foreign = started(listing([], asked))
    own = archives(started(of(tmp_path / "own", [])))

    for ask in (own.retrieve_study, own.headers, own.image_uids):
        with pytest.raises(UntrustedServer):
            ask(STUDY, foreign)
    with pytest.raises(UntrustedServer):
        own.store_report(cad_report(STUDY), foreign)
    assert asked == []


def test_each_archive_gets_its_own_credentials_only(started: Callable[[Flask], str], tmp_path: Path) -> None:
    seen: list[str | None] = []
    app = of(tmp_path / "foreign", screening_exam(STUDY)[:2])
    app.before_request(lambda: seen.append(request.headers.get("Authorization")))
    own = DicomFolder(tmp_path / "own")
    first = ArchiveRoot(started(dicomweb_app(own, "cds", "x")), HTTPBasicAuth("cds", "x"))
    both = Archives([DicomWebArchive(first), DicomWebArchive(ArchiveRoot(started(app)))])

    assert len(both.retrieve_study(STUDY)) == 2
    assert set(seen) == {None}


def test_the_mammograms_of_a_study_do_not_change_with_a_report(started: Callable[[Flask], str], tmp_path: Path) -> None:
    exam = screening_exam(STUDY)
    url = started(of(tmp_path, exam))
    own = archives(url)
    before = own.image_uids(STUDY)

    own.store_report(cad_report(STUDY), url)

    assert own.image_uids(STUDY) == before == {str(image.SOPInstanceUID) for image in exam}
    assert len(own.headers(STUDY)) == 5


def test_headers_come_without_pixels(started: Callable[[Flask], str], tmp_path: Path) -> None:
    headers = archives(started(of(tmp_path, screening_exam(STUDY)))).headers(STUDY)

    assert {str(header.StudyInstanceUID) for header in headers} == {STUDY}
    assert not any("PixelData" in header for header in headers)


def test_headers_of_another_study_are_not_used(started: Callable[[Flask], str]) -> None:
    app = Flask("confused")
    app.add_url_rule("/studies/<uid>/metadata", view_func=lambda uid: [{"0020000D": {"vr": "UI", "Value": ["9.9.9"]}}])

    with pytest.raises(StudyIncomplete, match="another study"):
        archives(started(app)).headers(STUDY)


# Accession numbers


def by_accession(*urls: str, number: str = "ACC-1", patient_ids: Sequence[str] = HERS) -> FoundStudy:
    """What is found; whatever goes wrong, its words name neither the patient nor the number."""
    try:
        return archives(*urls).find_by_accession(number, patient_ids)
    except PacsError as problem:
        assert not any(word.strip() and word in str(problem) for word in (number, "MRN-1", "MRN-2"))  # noqa: PT017 # for all
        raise


def test_the_study_with_an_accession_number_is_found_with_its_archive(
    started: Callable[[Flask], str], tmp_path: Path
) -> None:
    empty, whole = started(of(tmp_path / "a", [])), started(of(tmp_path / "b", screening_exam(STUDY)))

    assert by_accession(empty, whole) == FoundStudy(STUDY, whole, "MRN-1", "ACC-1", DAY, 4)


def test_a_list_that_ignores_what_was_asked_is_read_by_our_own_eyes(started: Callable[[Flask], str]) -> None:
    others = [
        study_row("1.2.4", **{"00080050": "ACC-10"}),
        study_row("1.2.5", **{"00080050": None}),
        study_row("1.2.6", **{"00080061": "MR"}),
        study_row("1.2.7", **{"00100020": "MRN-2"}),
        study_row("1.2.8", **{"00100020": None}),
        study_row("1.2.9", **{"00080050": "acc-1"}),
    ]
    asked: list[dict[str, str]] = []

    found = by_accession(started(listing([*others, study_row(STUDY)], asked)))

    assert found.study_uid == STUDY
    assert (asked[0]["AccessionNumber"], asked[0]["ModalitiesInStudy"]) == ("ACC-1", "MG")


def test_nothing_with_the_number_is_not_found(started: Callable[[Flask], str]) -> None:
    with pytest.raises(StudyNotFound):
        by_accession(started(listing([study_row(**{"00080050": "ACC-2"})])))


@pytest.mark.parametrize(
    ("row", "patient_ids"),
    [({"00100020": "MRN-2"}, HERS), ({"00100020": None}, HERS), ({"00100020": ""}, ["", "MRN-1"]), ({}, [])],
)
def test_a_study_that_is_not_known_to_be_hers_is_never_taken(
    started: Callable[[Flask], str], row: dict[str, Any], patient_ids: list[str]
) -> None:
    with pytest.raises(PatientUnclear, match="correct the PACS or the EHR"):
        by_accession(started(listing([study_row(**row)])), patient_ids=patient_ids)


def test_two_of_her_studies_with_one_number_are_ambiguous(started: Callable[[Flask], str]) -> None:
    here, there = started(listing([study_row(STUDY)])), started(listing([study_row("1.2.4")]))

    with pytest.raises(StudyAmbiguous, match="2 studies"):
        by_accession(here, there)


def test_the_same_study_in_two_archives_is_one_study_of_the_first(started: Callable[[Flask], str]) -> None:
    here, there = started(listing([study_row(STUDY)])), started(listing([study_row(STUDY)]))

    assert by_accession(here, there).root == here


@pytest.mark.parametrize(("status", "error"), [(503, PacsUnreachable), (401, PacsRefused), (400, PacsError)])
def test_while_one_archive_cannot_be_asked_a_number_is_not_resolved(
    started: Callable[[Flask], str], status: int, error: type[PacsError]
) -> None:
    with pytest.raises(error):
        by_accession(started(listing([study_row(STUDY)])), started(refusing(status)))


@pytest.mark.parametrize("number", ["", " ", "*", "ACC*", "AC?-1", "A\\B", "A,B", "A\n"])
def test_a_number_that_would_match_others_is_not_asked_for(started: Callable[[Flask], str], number: str) -> None:
    asked: list[dict[str, str]] = []

    with pytest.raises(StudyNotFound, match="cannot be asked for"):
        by_accession(started(listing([study_row(STUDY)], asked)), number=number)
    assert asked == []


@given(st.text(max_size=12), st.sampled_from("*?\\,\n\x00"), st.integers(0, 12))
def test_a_value_with_a_wildcard_anywhere_is_never_askable(text: str, mark: str, place: int) -> None:
    assert not is_askable(text[:place] + mark + text[place:])


@given(st.permutations([study_row(STUDY), study_row(STUDY), study_row("1.2.7", **{"00100020": "MRN-2"})]))
def test_neither_order_nor_repetition_of_a_list_changes_what_is_found(rows: list[dict[str, object]]) -> None:
    with serve(listing(rows)) as url:
        assert by_accession(url).study_uid == STUDY


# Patients


def test_a_patients_studies_come_from_all_archives_each_once(started: Callable[[Flask], str]) -> None:
    here = started(listing([study_row("1.2.3"), study_row("1.2.4", **{"00100020": "MRN-2"})]))
    there = started(listing([study_row("1.2.3"), study_row("1.2.5"), study_row("1.2.6", **{"00080061": "CT"})]))

    found = archives(here, there).find_by_patient([*HERS, "OLD-7"])

    assert [(study.study_uid, study.root) for study in found] == [("1.2.3", here), ("1.2.5", there)]


def test_ids_with_wildcards_are_left_out_and_said_to_be(
    started: Callable[[Flask], str], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[dict[str, str]] = []
    url = started(listing([study_row("1.2.4", **{"00100020": "MRN-*"}), study_row(STUDY)], asked))

    with caplog.at_level(logging.WARNING):
        found = archives(url).find_by_patient(["MRN-*", *HERS, ""])

    assert [study.study_uid for study in found] == [STUDY]
    assert {keys["PatientID"] for keys in asked} == {"MRN-1"}
    assert [record.getMessage() for record in caplog.records] == [
        "2 of a patient's IDs cannot be asked for: wildcards, lists or nothing at all"
    ]


@pytest.mark.parametrize("patient_ids", [[], [""], ["*"], ["MRN-?", "A\\B"]])
def test_a_patient_without_an_id_to_ask_for_is_not_one_without_studies(
    started: Callable[[Flask], str], patient_ids: list[str]
) -> None:
    asked: list[dict[str, str]] = []

    with pytest.raises(PatientUnclear, match="correct it in the EHR"):
        archives(started(listing([study_row(STUDY)], asked))).find_by_patient(patient_ids)
    assert asked == []


def test_a_patient_is_not_without_studies_while_an_archive_is_down(started: Callable[[Flask], str]) -> None:
    with pytest.raises(PacsUnreachable):
        archives(started(listing([])), NOWHERE).find_by_patient(HERS)


def test_a_study_whose_modalities_are_not_listed_is_known_by_its_objects(
    started: Callable[[Flask], str], tmp_path: Path
) -> None:
    silent = listing([study_row(STUDY, **{"00080061": None}), study_row("1.2.4", **{"00080061": None})])
    objects = {STUDY: "MG", "1.2.4": "US"}

    @silent.get("/studies/<uid>/instances")
    def instances(uid: str) -> list[object]:
        return [{"00080018": {"Value": [f"{uid}.1"]}, "00080060": {"Value": [objects[uid]]}}]

    assert [study.study_uid for study in archives(started(silent)).find_by_patient(HERS)] == [STUDY]


# What is new


def test_studies_since_a_day_are_those_of_that_day_and_later(started: Callable[[Flask], str]) -> None:
    days = {"1.2.3": "20260104", "1.2.4": "20260105", "1.2.5": "20260106", "1.2.6": None, "1.2.7": "2026"}
    days["../no-uid"] = "20260105"
    asked: list[dict[str, str]] = []
    url = started(listing([study_row(uid, **{"00080020": day}) for uid, day in days.items()], asked))

    found = list(archives(url).find_since(DAY))

    assert [study.study_uid for study in found] == ["1.2.4", "1.2.5"]
    assert asked[0]["StudyDate"] == "20260105-"


def test_studies_between_two_days_are_those_before_the_second_one(started: Callable[[Flask], str]) -> None:
    days = {"1.2.3": "20260104", "1.2.4": "20260105", "1.2.5": "20260106", "1.2.6": "20260107"}
    asked: list[dict[str, str]] = []
    url = started(listing([study_row(uid, **{"00080020": day}) for uid, day in days.items()], asked))

    found = list(archives(url).find_since(DAY, date(2026, 1, 7)))

    assert [study.study_uid for study in found] == ["1.2.4", "1.2.5"]
    assert asked[0]["StudyDate"] == "20260105-20260106"


def test_an_honest_archive_gives_only_what_is_new(started: Callable[[Flask], str], tmp_path: Path) -> None:
    own = archives(started(of(tmp_path, screening_exam(STUDY))))

    assert [study.study_uid for study in own.find_since(DAY)] == [STUDY]
    assert list(own.find_since(date(2026, 1, 6))) == []
    assert [study.study_uid for study in own.find_since(DAY, date(2026, 1, 6))] == [STUDY]
    assert list(own.find_since(date(2026, 1, 4), DAY)) == []


def test_the_new_studies_of_the_others_are_told_before_an_archive_that_is_down(
    started: Callable[[Flask], str],
) -> None:
    studies = archives(NOWHERE, started(listing([study_row(STUDY)]))).find_since(DAY)

    assert next(studies).study_uid == STUDY
    with pytest.raises(PacsUnreachable):
        next(studies)


def test_a_long_list_is_read_page_by_page(started: Callable[[Flask], str]) -> None:
    rows = [study_row(f"1.2.{number}") for number in range(2 * STUDIES_A_PAGE + 1)]

    assert len(list(archives(started(listing(rows))).find_since(DAY))) == len(rows)


def test_a_list_that_repeats_its_first_full_page_is_not_taken_for_all(started: Callable[[Flask], str]) -> None:
    rows = [study_row(f"1.2.{number}") for number in range(STUDIES_A_PAGE)]
    app = Flask("repeating")
    app.add_url_rule("/studies", view_func=lambda: rows)

    with pytest.raises(PacsError, match="again and again"):
        list(archives(started(app)).find_since(DAY))


MORE = '299 https://pacs.example: "There are 2 additional results that can be requested."'
EXCEEDED = '299 pacs "The number of results exceeded the maximum supported by the server."'


def cutting(warning: str, most: int, *, pages: bool) -> Flask:
    """An archive that gives no more than some of its four studies at once, says so, and may go on where it is asked."""
    rows = [study_row(f"1.2.{number}") for number in range(4)]
    app = Flask("cutting")

    @app.get("/studies")
    def studies() -> tuple[list[object], dict[str, str]]:
        offset = request.args.get("offset", 0, int) if pages else 0
        is_cut = offset + most < len(rows)
        return list(rows[offset : offset + most]), {"Warning": warning} if is_cut else {}

    return app


@pytest.mark.parametrize("warning", [MORE, EXCEEDED])
def test_of_a_list_that_is_cut_all_that_is_given_is_taken_and_then_that_there_is_more_is_told(
    started: Callable[[Flask], str], warning: str
) -> None:
    studies = archives(started(cutting(warning, 3, pages=False))).find_since(DAY)

    assert [next(studies).study_uid for _ in range(3)] == ["1.2.0", "1.2.1", "1.2.2"]
    with pytest.raises(PacsError, match="cuts its list"):
        next(studies)


def test_of_a_list_that_ends_short_of_what_there_is_that_is_told(started: Callable[[Flask], str]) -> None:
    app = Flask("ending")

    @app.get("/studies")
    def studies() -> tuple[list[object], dict[str, str]]:
        return ([], {}) if request.args.get("offset") else ([study_row(STUDY)], {"Warning": EXCEEDED})

    url = started(app)
    with pytest.raises(PacsError, match="cuts its list"):
        by_accession(url)
    with pytest.raises(PacsError, match="cuts its list"):
        archives(url).find_by_patient(HERS)


def test_a_list_that_is_cut_is_whole_where_the_archive_gives_the_rest(started: Callable[[Flask], str]) -> None:
    assert len(list(archives(started(cutting(MORE, 3, pages=True))).find_since(DAY))) == 4


def test_another_warning_than_of_a_cut_list_is_none(started: Callable[[Flask], str]) -> None:
    unsupported = '299 pacs "The fuzzymatching parameter is not supported. Only literal matching has been performed."'

    assert len(list(archives(started(cutting(unsupported, 3, pages=False))).find_since(DAY))) == 3


def test_a_list_without_an_end_is_given_up(started: Callable[[Flask], str]) -> None:
    asked: list[str] = []
    app = Flask("endless")

    @app.get("/studies")
    def studies() -> list[object]:
        asked.append("")
        return [study_row(f"1.2.{len(asked)}")]

    with pytest.raises(PacsError, match="does not end"):
        list(archives(started(app)).find_since(DAY))
    assert len(asked) == MAX_PAGES


def test_texts_and_numbers_that_no_database_keeps_are_taken_for_absent(started: Callable[[Flask], str]) -> None:
    changes: dict[str, Any] = {"00100020": "MRN\0-1", "00080050": "A\ud800", "00201208": 10**20}
    odd = study_row(**changes)

    (found,) = archives(started(listing([odd]))).find_since(DAY)

    assert (found.patient_id, found.accession_number, found.instances) == ("", "", None)


@pytest.mark.parametrize("body", ["not json", "[1, 2]", '{"a": 1}', '["x"]', '[{"0020000D": 3}]', "[null]"])
def test_a_list_that_cannot_be_read_is_an_error_or_empty_but_never_a_study(
    started: Callable[[Flask], str], body: str
) -> None:
    app = Flask("garbage")
    app.add_url_rule("/studies", view_func=lambda: Response(body, content_type="application/dicom+json"))

    try:
        assert list(archives(started(app)).find_since(DAY)) == []
    except PacsError as problem:
        assert "unreadable" in str(problem)  # noqa: PT017 # either is an answer
