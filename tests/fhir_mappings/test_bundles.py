"""Bundles, pages and OperationOutcomes."""

from __future__ import annotations

import pytest

from fhir_mappings.bundles import bundle_resources, next_link, outcome_problem, total_found
from fhir_mappings.errors import ResourceProblem
from tests.fhir_mappings.fhir_json import Json, bundle, outcome, patient, study

ERROR = "the EHR answered with an error (error, exception)"


@pytest.mark.parametrize("empty", [bundle(), [], bundle(entry=[]), bundle(entry=None), bundle(total=0)])
def test_an_empty_search_found_nothing_and_has_no_problems(empty: object) -> None:
    listing = bundle_resources(empty, "ImagingStudy")
    assert (listing.resources, listing.problems) == ((), ())


def test_a_bundle_and_a_list_give_the_resources_of_the_asked_type_in_their_order() -> None:
    first, second = study(id="a"), study(id="b")
    for answer in (bundle(first, patient(), second), [first, patient(), second]):
        assert bundle_resources(answer, "ImagingStudy").resources == (first, second)


@pytest.mark.parametrize(
    "answer", [None, "x", 1, {}, patient(), bundle(entry={}), bundle(entry="x"), {"entry": [{"resource": study()}]}]
)
def test_what_is_no_bundle_is_a_problem_and_not_an_empty_answer(answer: object) -> None:
    with pytest.raises(ResourceProblem):
        bundle_resources(answer, "ImagingStudy")


def test_epics_empty_search_with_an_informational_outcome_found_nothing() -> None:
    epic = bundle(outcome("warning", "processing"))
    epic["entry"][0]["search"] = {"mode": "outcome"}
    assert bundle_resources(epic, "ImagingStudy") == bundle_resources(bundle(), "ImagingStudy")
    assert outcome_problem(epic) is None


@pytest.mark.parametrize("severity", ["information", "warning"])
@pytest.mark.parametrize("code", ["incomplete", "timeout", "throttled", "too-costly", "exception"])
def test_that_there_may_be_more_is_a_problem_however_mildly_it_is_said(severity: str, code: str) -> None:
    found = bundle_resources(bundle({"resourceType": "Patient", "id": "p1"}, outcome(severity, code)), "Patient")
    assert found.problems == (f"Patient search: the EHR answered with an error ({severity}, {code})",)


@pytest.mark.parametrize("answer", [outcome(), bundle(outcome()), [outcome()], outcome("information", "x")])
def test_an_answer_of_nothing_but_errors_could_not_look(answer: object) -> None:
    with pytest.raises(ResourceProblem, match="answered with an error"):
        bundle_resources(answer, "ImagingStudy")


def test_an_error_beside_results_is_a_stated_problem() -> None:
    listing = bundle_resources(bundle(study(), outcome()), "ImagingStudy")
    assert (len(listing.resources), listing.problems) == (1, (f"ImagingStudy search: {ERROR}",))


def test_entries_that_cannot_be_read_are_counted() -> None:
    answer = bundle(study(), None, "x", {"id": "without a type"})
    assert bundle_resources(answer, "ImagingStudy").problems == ("ImagingStudy search: 3 entries could not be read",)


def test_an_answer_with_further_pages_is_said_to_be_incomplete() -> None:
    paged = bundle(study(), link=[{"relation": "next", "url": "https://ehr.example?page=2"}])
    assert "not complete" in bundle_resources(paged, "ImagingStudy").problems[0]


def test_one_page_of_several_is_whole_by_itself_and_tells_how_many_there_are_on_all() -> None:
    page = bundle(study(), link=[{"relation": "next", "url": "https://ehr.example?page=2"}], total=9)
    assert bundle_resources(page, "ImagingStudy", whole=False).problems == ()
    assert total_found(page) == 9


@pytest.mark.parametrize(("total", "is_short"), [(3, True), (1, False), (0, False), (True, False), ("9", False)])
def test_an_answer_that_holds_fewer_results_than_it_counts_is_said_to_be_incomplete(
    total: object, is_short: bool
) -> None:
    assert bool(bundle_resources(bundle(study(), total=total), "ImagingStudy").problems) is is_short


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ([{"relation": "self", "url": "a"}, {"relation": "next", "url": "b"}], "b"),
        ({"relation": "next", "url": "b"}, "b"),
        ([{"relation": "self", "url": "a"}], None),
        ([{"relation": "next", "url": ""}, None, "next"], None),
        (None, None),
    ],
)
def test_the_next_page_is_the_link_that_says_so(link: object, url: str | None) -> None:
    assert next_link(bundle(link=link)) == url


@pytest.mark.parametrize("junk", [None, "x", [], {}, patient(), bundle(study())])
def test_what_reports_no_error_has_no_outcome_problem(junk: object) -> None:
    assert outcome_problem(junk) is None


@pytest.mark.parametrize(
    ("reported", "sentence"),
    [
        (outcome(), ERROR),
        (bundle(outcome("fatal", "timeout")), "the EHR answered with an error (fatal, timeout)"),
        ({"resourceType": "OperationOutcome"}, "the EHR answered with an error"),
        (bundle(outcome("", "exception")), "the EHR answered with an error (exception)"),
    ],
)
def test_an_error_is_reported_by_its_codes(reported: Json, sentence: str) -> None:
    assert outcome_problem(reported) == sentence


def test_an_errors_texts_are_not_repeated_since_they_may_name_a_patient() -> None:
    told = outcome("error", "Mrs Jane Doe", diagnostics="Jane Doe, MRN 12345", details={"text": "Jane Doe"})
    assert outcome_problem(told) == "the EHR answered with an error (error)"
