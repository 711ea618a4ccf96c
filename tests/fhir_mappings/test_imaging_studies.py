"""The list of a patient's mammography exams."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mappings.codes import CPT, Coding
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.imaging_studies import ImagingHistory, newest_exams, read_imaging_studies
from tests.fhir_mappings.fhir_json import PATIENT, UID, bundle, concept, endpoint, outcome, patient, study

ACSN = {"type": {"coding": [{"code": "ACSN"}]}, "value": "A1"}
MG = {"code": "MG"}


def dates(history: ImagingHistory) -> list[date | None]:
    return [exam.performed_on for exam in history.exams]


def test_an_exam_is_read_with_all_that_finds_its_images() -> None:
    found = study(
        started="2026-05-03T23:30:00-05:00",
        endpoint=[{"reference": "#e1"}],
        contained=[endpoint("https://pacs.example/dicom-web")],
    )
    found["identifier"].append(ACSN)
    (exam,) = read_imaging_studies(bundle(found), PATIENT).exams
    assert (exam.patient_id, exam.study_uid, exam.accession_number) == (PATIENT, UID, "A1")
    assert (exam.performed_on, exam.resource) == (date(2026, 5, 3), "ImagingStudy/s1")
    assert exam.dicomweb_root == "https://pacs.example/dicom-web"


@pytest.mark.parametrize(
    ("most", "kept", "problems"),
    [
        (3, [2026, 2025, 2024], ()),
        (2, [2026, 2025], ("only the newest 2 exams were looked at; left out 1 older one",)),
        (1, [2026], ("only the newest 1 exams were looked at; left out 2 older ones",)),
    ],
)
def test_of_too_many_exams_the_newest_are_kept_and_the_rest_is_counted(
    most: int, kept: list[int], problems: tuple[str, ...]
) -> None:
    studies = [study(f"1.2.{year}", started=f"{year}-05-03", id=f"s{year}") for year in (2025, 2024, 2026)]
    history = newest_exams(read_imaging_studies(bundle(*studies), PATIENT), most)
    assert [day.year for day in dates(history) if day] == kept
    assert history.problems == problems


def test_an_exam_of_which_only_the_patient_is_known_is_kept() -> None:
    bare = {"resourceType": "ImagingStudy", "subject": {"reference": f"Patient/{PATIENT}"}}
    (exam,) = read_imaging_studies([bare], PATIENT).exams
    assert (exam.study_uid, exam.accession_number, exam.performed_on) == (None, None, None)
    assert (exam.dicomweb_root, exam.resource) == (None, None)


def test_exams_come_newest_first_and_those_without_an_exact_date_last() -> None:
    written = ["2024-05-03", None, "2026-01-01", "2025", "2025-06-01"]
    studies = [study(f"1.2.{index}", started=started) for index, started in enumerate(written)]
    expected = [date(2026, 1, 1), date(2025, 6, 1), date(2024, 5, 3), None, None]
    assert dates(read_imaging_studies(bundle(*studies), PATIENT)) == expected


def test_no_studies_at_all_is_an_empty_history_without_problems() -> None:
    assert read_imaging_studies(bundle(), PATIENT) == ImagingHistory((), ())


@pytest.mark.parametrize("answer", [None, "x", patient(), outcome(), bundle(outcome())])
def test_a_list_that_could_not_be_had_is_not_an_empty_one(answer: object) -> None:
    with pytest.raises(ResourceProblem):
        read_imaging_studies(answer, PATIENT)


@pytest.mark.parametrize(
    ("said", "is_kept"),
    [
        ({"modality": [MG]}, True),
        ({"modality": [{"coding": [MG]}]}, True),
        ({"modality": [{"code": "mg"}]}, True),
        ({"modality": [{"coding": [{"text": "local"}, {"code": "LOCAL-9"}, {"code": "Mg"}]}]}, True),
        ({"modality": [{"code": "71651007"}]}, True),
        ({"modality": [{"code": "LOCAL-9"}], "series": [{"modality": MG}]}, True),
        ({"modality": {"text": "Mammography"}}, True),
        ({"modality": None}, True),
        ({"modality": None, "series": [{"modality": MG}]}, True),
        ({"modality": [{"code": "SR"}], "series": [{"modality": {"code": "SR"}}, {"modality": MG}]}, True),
        ({"modality": [{"code": "US"}]}, False),
        ({"modality": None, "series": [{"modality": {"code": "DX"}}]}, False),
        ({"modality": None, "modalityList": [{"code": "CT"}]}, False),
        ({"modality": None, "modalityList": [{"code": "SR"}, MG]}, True),
        ({"status": "entered-in-error"}, False),
        ({"status": "cancelled"}, False),
        ({"modality": [{"code": "us"}, {"coding": [{"code": "LOCAL-9"}, {"code": "SR"}]}]}, False),
        ({"status": None}, True),
    ],
)
def test_only_mammography_that_stands_is_kept_and_silence_on_the_modality_is_no_reason_to_lose_an_exam(
    said: dict[str, Any], is_kept: bool
) -> None:
    found = read_imaging_studies(bundle(study(**said)), PATIENT)
    assert (bool(found.exams), found.problems) == (is_kept, ())


@pytest.mark.parametrize(
    "said",
    [
        {"modality": [{"code": "LOCAL-9"}]},
        {"modality": ["MAMMO"]},
        {"modality": [{"code": "SR"}, {"code": "LOCAL-9"}]},
        {"modality": [{"code": "SR"}], "series": [{"modality": {"coding": [{"code": "LOCAL-9"}]}}]},
    ],
)
def test_a_study_whose_modality_code_is_not_known_is_left_out_and_never_in_silence(said: dict[str, Any]) -> None:
    found = read_imaging_studies(bundle(study(**said), study("1.2.9", **said)), PATIENT)
    assert found == ImagingHistory((), ("left out 2 imaging studies with a modality code that is not known",))


def test_a_series_of_mammograms_is_known_by_its_code_in_any_letters() -> None:
    series = [{"uid": "1.2.1", "numberOfInstances": count, "modality": {"code": "mg"}} for count in (4, 5)]
    four, five = (read_imaging_studies(bundle(study(series=[each])), PATIENT).exams[0].images for each in series)
    assert four != five


def test_what_the_ehr_lists_only_as_withdrawn_is_told_by_its_keys() -> None:
    wrong, cancelled = study("1.2.1", status="entered-in-error"), study("1.2.2", status="cancelled")
    nameless = study(identifier=[], status="cancelled")
    filed_again = [study("1.2.3", status="entered-in-error"), study("1.2.3", id="s2")]
    found = read_imaging_studies(bundle(wrong, cancelled, nameless, *filed_again, study("1.2.4")), PATIENT)
    assert found.withdrawn == {"1.2.1", "1.2.2"}
    assert newest_exams(found, 1).withdrawn == found.withdrawn


def test_another_patients_withdrawn_study_says_nothing_of_hers() -> None:
    assert read_imaging_studies(bundle(study("1.2.1", "p2", status="cancelled")), PATIENT).withdrawn == frozenset()


def test_another_patients_study_is_left_out_and_said_so_without_naming_anyone() -> None:
    history = read_imaging_studies(bundle(study("1.2.1"), study("1.2.2", "p2"), study("1.2.3", "p2")), PATIENT)
    assert [exam.study_uid for exam in history.exams] == ["1.2.1"]
    assert history.problems == ("left out 2 imaging studies of another patient",)


@pytest.mark.parametrize("subject", [None, {}, "x", {"reference": "urn:uuid:1"}, {"reference": "Group/p1"}])
def test_a_study_that_does_not_say_whose_it_is_is_left_out_and_said_so(subject: object) -> None:
    history = read_imaging_studies(bundle(study(subject=subject)), PATIENT)
    assert history == ImagingHistory((), ("left out 1 imaging study that named no patient",))


def test_a_study_sent_twice_is_one_exam_and_the_fuller_of_the_two() -> None:
    poor, rich = study(id="a"), study(id="b", started="2026-01-01")
    for order in ([poor, rich], [rich, poor]):
        (exam,) = read_imaging_studies(order, PATIENT).exams
        assert exam.resource == "ImagingStudy/b"


@pytest.mark.parametrize(
    "said",
    [
        {"procedureCode": [concept(CPT, "77066")]},
        {"procedure": [{"concept": concept(CPT, "77066")}, {"reference": {"reference": "Procedure/p1"}}]},
    ],
    ids=["STU3 and R4", "R5"],
)
def test_an_exam_says_which_examination_it_was(said: dict[str, Any]) -> None:
    read = [read_imaging_studies(order, PATIENT) for order in ([study(), study(**said)], [study(**said), study()])]
    assert read[0] == read[1]
    assert read[0].exams[0].procedures == (Coding(CPT, "77066"),)


def test_references_to_procedures_before_r4_name_no_examination() -> None:
    found = study(procedure=[{"reference": "Procedure/p1"}], procedureCode=[{"text": "mammography"}])
    assert read_imaging_studies([found], PATIENT).exams[0].procedures == ()


def test_a_resource_without_uid_sent_twice_is_one_exam() -> None:
    nameless = study(identifier=[ACSN])
    assert len(read_imaging_studies([nameless, nameless], PATIENT).exams) == 1


def test_studies_of_different_days_under_one_accession_number_are_counted_as_left_out() -> None:
    days = ("2024-05-03", "2025-05-03", "2026-05-03", "2026-05-03", None)
    found = [study(identifier=[ACSN], id=f"s{number}", started=day) for number, day in enumerate(days)]
    for order in (found, found[::-1]):
        history = read_imaging_studies(order, PATIENT)
        assert dates(history) == [date(2026, 5, 3)]
        assert history.problems == ("left out 2 imaging studies of another day, same accession number",)


def test_studies_of_one_accession_number_that_have_their_uids_are_all_kept() -> None:
    found = [study(f"1.2.{year}", id=f"s{year}", started=f"{year}-05-03") for year in (2025, 2026)]
    for one in found:
        one["identifier"].append(ACSN)
    history = read_imaging_studies(found, PATIENT)
    assert (len(history.exams), history.problems) == (2, ())


def test_a_series_endpoint_overrides_the_studys() -> None:
    series = [{"modality": MG, "endpoint": [{"reference": "Endpoint/e2"}]}, {"modality": {"code": "SR"}}]
    found = study(endpoint=[{"reference": "Endpoint/e1"}], series=series)
    one, other = endpoint("https://one.example"), endpoint("https://two.example", id="e2")
    assert read_imaging_studies(bundle(found, one, other), PATIENT).exams[0].dicomweb_root == "https://two.example"


def test_an_exam_spread_over_several_servers_names_none_of_them() -> None:
    series = [{"modality": MG, "endpoint": [{"reference": f"Endpoint/e{n}"}]} for n in (1, 2)]
    one, other = endpoint("https://one.example"), endpoint("https://two.example", id="e2")
    assert read_imaging_studies(bundle(study(series=series), one, other), PATIENT).exams[0].dicomweb_root is None


STUDIES = st.builds(
    lambda arc, started, resource_id: study(f"1.2.{arc}", started=started, id=resource_id),
    st.integers(0, 3),
    st.sampled_from([None, "2025", "2025-01-01", "2026-02-02"]),
    st.sampled_from(["a", "b", "c"]),
)


@given(st.lists(STUDIES, max_size=8), st.randoms())
@settings(deadline=None)  # a busy machine is slow, not wrong
def test_neither_the_order_of_studies_nor_repeats_change_the_history(studies: list[Any], random: Any) -> None:
    shuffled = studies + studies[:3]
    random.shuffle(shuffled)
    assert read_imaging_studies(shuffled, PATIENT) == read_imaging_studies(studies, PATIENT)
