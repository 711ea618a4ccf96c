"""What else in a chart bears on a breast MRI: present, looked and not found, or not looked up."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.circumstances import PREGNANCY_DAYS, Circumstance, Circumstances, read_circumstances
from fhir_mappings.code_sets import CodeSets, code_sets
from fhir_mappings.codes import ICD_10_CM, LOINC, SNOMED
from tests.fhir_mappings.fhir_json import PATIENT, bundle, concept

TODAY = date(2026, 5, 20)
KEYS = ("conditions", "procedures", "allergies", "observations")


def coded(kind: str, system: str, code: str, **elements: Any) -> dict[str, Any]:
    element = "valueCodeableConcept" if kind == "Observation" else "code"
    concept = {"coding": [{"system": system, "code": code}]}
    subject = {"subject": {"reference": f"Patient/{PATIENT}"}, "patient": {"reference": f"Patient/{PATIENT}"}}
    return {"resourceType": kind, **subject, element: concept, **elements}


def read(**given: object) -> Circumstances:
    resources = {key: bundle() for key in KEYS} | given
    return read_circumstances(resources, PATIENT, TODAY, code_sets())


def condition(code: str, **elements: Any) -> dict[str, Any]:
    return coded("Condition", ICD_10_CM, code, **elements)


BIRADS = {"0": "397138000", "1": "397140005", "2": "397141009", "4": "397144001"}
PLACES = {"left": "80248007", "right": "73056007", "both": "63762007", "breast": "76752008", "skin": "39937001"}


def birads(category: str, day: str | None, place: str | None = None, **elements: Any) -> dict[str, Any]:
    dated = {"effectiveDateTime": day} if day else {}
    placed = {"bodySite": concept(SNOMED, PLACES[place])} if place else {}
    return coded("Observation", SNOMED, BIRADS[category], status="final", **dated, **placed, **elements)


def is_open(*assessments: dict[str, Any]) -> bool:
    return Circumstance.OPEN_ASSESSMENT in read(observations=bundle(*assessments)).present


UNKNOWN_TO_US = frozenset({Circumstance.LIFETIME_RISK, Circumstance.CHEST_IRRADIATION})


def test_nothing_on_record_is_nothing_found_of_what_there_are_codes_for() -> None:
    assert read() == Circumstances(not_asked=UNKNOWN_TO_US)


def own_codes(name: str) -> CodeSets:
    written = f'[[{name}]]\nsystem = "urn:site"\ncodes = ["OWN"]\nsource = "our catalogue"'
    return code_sets((("own.toml", written),))


@pytest.mark.parametrize(
    ("asked", "key", "kind"),
    [
        (Circumstance.LIFETIME_RISK, "conditions", "Condition"),
        (Circumstance.LIFETIME_RISK, "observations", "Observation"),
        (Circumstance.CHEST_IRRADIATION, "conditions", "Condition"),
        (Circumstance.CHEST_IRRADIATION, "procedures", "Procedure"),
    ],
)
def test_what_no_code_is_known_for_is_asked_by_the_sites_own(asked: Circumstance, key: str, kind: str) -> None:
    on_record = {name: bundle() for name in KEYS} | {key: bundle(coded(kind, "urn:site", "OWN"))}
    found = read_circumstances(on_record, PATIENT, TODAY, own_codes(asked))
    assert (found.present, found.not_asked) == (frozenset({asked}), UNKNOWN_TO_US - {asked})
    assert read(**on_record).present == frozenset()


def test_the_question_of_an_observation_is_not_its_answer() -> None:
    question = {"code": {"coding": [{"system": "urn:site", "code": "OWN"}]}}
    asked = coded("Observation", SNOMED, "1") | question
    on_record = {name: bundle() for name in KEYS} | {"observations": bundle(asked)}
    assert not read_circumstances(on_record, PATIENT, TODAY, own_codes("lifetime-risk")).present


@pytest.mark.parametrize(
    ("key", "resource", "expected"),
    [
        ("conditions", condition("Z1501"), Circumstance.RAISED_RISK),
        ("conditions", condition("Q85.81"), Circumstance.RAISED_RISK),
        ("conditions", coded("Condition", SNOMED, "428850001"), Circumstance.RAISED_RISK),
        ("conditions", coded("Condition", SNOMED, "58037000"), Circumstance.RAISED_RISK),
        ("conditions", condition("Z92.3"), Circumstance.IRRADIATION),
        ("conditions", condition("Z33.1"), Circumstance.PREGNANCY),
        ("conditions", condition("N18.5"), Circumstance.RENAL_DISEASE),
        ("conditions", condition("Z39.1"), Circumstance.LACTATION),
        ("observations", coded("Observation", SNOMED, "77386006"), Circumstance.PREGNANCY),
        ("observations", birads("0", "2026-05-04"), Circumstance.OPEN_ASSESSMENT),
        ("allergies", coded("AllergyIntolerance", SNOMED, "58281002"), Circumstance.CONTRAST_ALLERGY),
        ("allergies", coded("AllergyIntolerance", SNOMED, "385420005"), Circumstance.CONTRAST_ALLERGY),
        ("allergies", coded("AllergyIntolerance", SNOMED, "407976008"), Circumstance.CONTRAST_ALLERGY),
        ("conditions", coded("Condition", SNOMED, "293637006"), Circumstance.CONTRAST_ALLERGY),
        ("conditions", condition("Z91.041"), Circumstance.CONTRAST_ALLERGY),
    ],
)
def test_what_is_on_record_is_present(key: str, resource: dict[str, Any], expected: Circumstance) -> None:
    assert read(**{key: bundle(resource)}).present == {expected}
    assert read(**{key: bundle(resource, resource)}).present == {expected}
    withdrawn = resource | {"verificationStatus": "entered-in-error", "status": "entered-in-error"}
    assert read(**{key: bundle(withdrawn)}).present == frozenset()


def test_a_substance_that_only_a_reaction_names_counts() -> None:
    substance = {"coding": [{"system": SNOMED, "code": "58281002"}]}
    allergy = coded("AllergyIntolerance", SNOMED, "1", reaction=[{"substance": substance}])
    assert read(allergies=bundle(allergy)).present == {Circumstance.CONTRAST_ALLERGY}


@pytest.mark.parametrize(
    ("elements", "lasts"),
    [
        ({}, True),
        ({"recordedDate": "2026-01-02"}, True),
        ({"recordedDate": "2025"}, True),
        ({"onsetDateTime": "2025-06-01"}, False),
        ({"onsetDateTime": "2026-01-01", "abatementDateTime": "2026-04-01"}, False),
        ({"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
        ({"clinicalStatus": "resolved"}, False),
    ],
)
def test_a_pregnancy_has_an_end(elements: dict[str, Any], lasts: bool) -> None:
    assert (Circumstance.PREGNANCY in read(conditions=bundle(condition("Z34.02", **elements))).present) is lasts


@pytest.mark.parametrize(
    ("assessments", "expected"),
    [
        ([birads("0", "2026-05-04"), birads("1", "2026-05-10")], False),
        ([birads("0", "2026-05-10"), birads("1", "2026-05-04")], True),
        ([birads("4", "2026-05-04"), birads("2", "2026-05-04")], True),
        ([birads("0", None), birads("2", "2026-05-04")], True),
        ([birads("2", "2026-05-04")], False),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_bi_rads_category_counts(assessments: list[dict[str, Any]], expected: bool, order: int) -> None:
    assert is_open(*assessments[::order]) is expected


@pytest.mark.parametrize(
    "closed",
    [
        birads("1", None),
        birads("1", "2026"),
        birads("1", "2026-05"),
        birads("1", None, effectiveInstant="2024-05-12T10:00:00Z"),
        birads("1", None, effectivePeriod={"start": "2026-05", "end": "2026-05-12"}),
        birads("1", None, issued="2026-05-10T23:59:00Z"),
    ],
)
def test_a_closed_category_that_may_be_older_closes_nothing(closed: dict[str, Any]) -> None:
    assert is_open(birads("4", "2026-05-10"), closed)


def test_a_moment_is_read_as_the_day_of_an_observation() -> None:
    closed = birads("1", None, effectiveInstant="2026-05-12T10:00:00Z")
    assert not is_open(birads("4", None, effectiveInstant="2026-05-10T10:00:00.000+02:00"), closed)


@pytest.mark.parametrize(
    ("opened", "closed", "expected"),
    [
        ("left", "right", True),
        ("left", "left", False),
        ("left", None, False),
        ("left", "breast", False),
        ("left", "both", False),
        ("left", "skin", True),
        ("both", "left", True),
        (None, "left", True),
        ("breast", "left", True),
        (None, "both", False),
        ("skin", "right", True),
        ("skin", None, False),
    ],
)
def test_what_is_closed_of_one_breast_stays_open_of_the_other(
    opened: str | None, closed: str | None, expected: bool
) -> None:
    assert is_open(birads("4", "2026-05-10", opened), birads("1", "2026-05-12", closed)) is expected


def test_one_category_of_each_breast_closes_what_was_open_of_both() -> None:
    both, left, right = birads("0", "2026-05-04"), birads("1", "2026-05-10", "left"), birads("2", "2026-05-12", "right")
    assert is_open(both, left)
    assert not is_open(both, left, right)


def test_a_place_in_words_alone_closes_nothing() -> None:
    assert is_open(birads("4", "2026-05-10", "left"), birads("1", "2026-05-12", bodySite={"text": "right"}))


@pytest.mark.parametrize("told", [["4"], ["1", "4"], ["4", "2"]])
def test_a_category_in_a_component_counts(told: list[str]) -> None:
    components = [{"valueCodeableConcept": concept(SNOMED, BIRADS[one])} for one in told]
    parts = birads("1", "2026-05-10", component=components)
    assert is_open(parts)
    del parts["valueCodeableConcept"]
    assert is_open(parts)


CATEGORY_DAYS = st.sampled_from([None, "2025", "2026", "2026-05", "2026-05-04", "2026-05-10", "2026-05-12"])
ASSESSMENTS = st.lists(
    st.builds(birads, st.sampled_from(sorted(BIRADS)), CATEGORY_DAYS, st.sampled_from([None, *PLACES])), max_size=6
)


@given(assessments=ASSESSMENTS, data=st.data())
def test_neither_the_order_of_categories_nor_their_repetition_matters(
    assessments: list[dict[str, Any]], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(assessments))) if assessments else []
    mixed = data.draw(st.permutations([*assessments, *again]))
    assert is_open(*mixed) is is_open(*assessments)


@given(before=ASSESSMENTS, opened=st.sampled_from(["0", "4"]), place=st.sampled_from([None, *PLACES]))
def test_an_open_category_newer_than_all_others_is_never_hidden(
    before: list[dict[str, Any]], opened: str, place: str | None
) -> None:
    assert is_open(*before, birads(opened, "2026-05-13", place))


@given(before=ASSESSMENTS, closed=st.sampled_from(["1", "2"]), day=st.sampled_from([None, "2023", "2024-12-31"]))
def test_a_closed_category_older_than_all_others_changes_nothing(
    before: list[dict[str, Any]], closed: str, day: str | None
) -> None:
    assert is_open(*before, birads(closed, day)) is is_open(*before)


def test_what_could_not_be_read_is_not_absent() -> None:
    unread = read(observations=None, allergies={"resourceType": "OperationOutcome"}).unread
    assert set(unread) == {Circumstance.PREGNANCY, Circumstance.OPEN_ASSESSMENT, Circumstance.CONTRAST_ALLERGY}
    assert unread[Circumstance.OPEN_ASSESSMENT] == "the EHR sent nothing for it"


def test_another_patients_resource_is_left_out_and_said() -> None:
    hers = condition("Z33.1", subject={"reference": "Patient/other"}, patient={"reference": "Patient/other"})
    found = read(conditions=bundle(hers))
    assert found.present == frozenset()
    assert "of another patient" in found.unread[Circumstance.PREGNANCY]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resourceType", "resource", "entry", "code", "coding", "system", "reaction", "status"]),
            parts,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(values=st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)))
def test_whatever_an_ehr_sends_is_read(values: dict[str, object]) -> None:
    assert isinstance(read_circumstances(values, PATIENT, TODAY, code_sets()), Circumstances)


@pytest.mark.parametrize(
    ("status", "counts"),
    [("active", True), ("unconfirmed", True), ("inactive", False), ("resolved", False), ("refuted", False)],
)
def test_an_allergy_before_stu3_has_one_status_for_all(status: str, counts: bool) -> None:
    allergy = coded("AllergyIntolerance", SNOMED, "293637006", status=status)

    assert (Circumstance.CONTRAST_ALLERGY in read(allergies=bundle(allergy)).present) is counts


@pytest.mark.parametrize("day", ["recordedDate", "assertedDate", "dateRecorded"])
def test_the_day_of_a_diagnosis_is_found_under_its_older_names(day: str) -> None:
    assert Circumstance.PREGNANCY in read(conditions=bundle(condition("Z33.1", **{day: "2026-03-01"}))).present
    assert Circumstance.PREGNANCY not in read(conditions=bundle(condition("Z33.1", **{day: "2021-03-01"}))).present


PREGNANT, NOT_PREGNANT = "77386006", "60001007"
DENIED = "2026-05-01"


def asked_whether_pregnant(answer: str, question: str = "82810-3", **elements: Any) -> dict[str, Any]:
    asked = {"code": concept(LOINC, question)} if question else {}
    return coded("Observation", SNOMED, answer, **{"status": "final", **elements}) | asked


def is_pregnant(*answers: dict[str, Any], **given: object) -> bool:
    return Circumstance.PREGNANCY in read(observations=bundle(*answers), **given).present


@pytest.mark.parametrize(
    ("pregnant", "denied", "expected"),
    [
        ({"effectiveDateTime": "2026-04-30"}, {"effectiveDateTime": DENIED}, False),
        ({"effectiveDateTime": "2026-04"}, {"effectiveDateTime": DENIED}, False),
        ({"effectiveDateTime": "2025-12"}, {"effectiveInstant": "2026-01-01T00:00:00Z"}, False),
        ({"effectiveDateTime": DENIED}, {"effectiveDateTime": DENIED}, True),
        ({"effectiveDateTime": "2026-05-02"}, {"effectiveDateTime": DENIED}, True),
        ({"effectiveDateTime": "2026-05"}, {"effectiveDateTime": DENIED}, True),
        ({"effectiveDateTime": "2026-04-30"}, {"effectiveDateTime": "2026"}, True),
        ({"effectiveDateTime": "2026-04-30"}, {}, True),
        ({}, {"effectiveDateTime": DENIED}, True),
        ({"effectiveDateTime": "2026-04-30"}, {"effectiveDateTime": DENIED, "question": "11449-6"}, True),
        ({"effectiveDateTime": "2026-04-30", "question": ""}, {"effectiveDateTime": DENIED, "question": ""}, True),
        ({"effectiveDateTime": "2026-04-30"}, {"effectiveDateTime": DENIED, "status": "entered-in-error"}, True),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_surely_later_no_to_the_same_question_ends_a_pregnancy(
    pregnant: dict[str, Any], denied: dict[str, Any], expected: bool, order: int
) -> None:
    answers = [asked_whether_pregnant(PREGNANT, **pregnant), asked_whether_pregnant(NOT_PREGNANT, **denied)]
    assert is_pregnant(*answers[::order]) is expected


@pytest.mark.parametrize("answer", ["261665006", "102874004", "373067005"])
def test_an_answer_that_does_not_say_not_pregnant_ends_none(answer: str) -> None:
    before = asked_whether_pregnant(PREGNANT, effectiveDateTime="2026-04-01")
    assert is_pregnant(before, asked_whether_pregnant(answer, effectiveDateTime=DENIED))


def test_an_answer_ends_no_diagnosis() -> None:
    diagnosed = bundle(condition("Z34.02", recordedDate="2026-04-01"))
    assert is_pregnant(asked_whether_pregnant(NOT_PREGNANT, effectiveDateTime=DENIED), conditions=diagnosed)


@pytest.mark.parametrize(("days_ago", "lasts"), [(PREGNANCY_DAYS, True), (PREGNANCY_DAYS + 1, False)])
def test_an_answer_is_good_for_a_pregnancy_and_no_longer(days_ago: int, lasts: bool) -> None:
    day = TODAY - timedelta(days=days_ago)
    assert is_pregnant(asked_whether_pregnant(PREGNANT, effectiveDateTime=day.isoformat())) is lasts


@pytest.mark.parametrize(("later", "expected"), [("pregnancy STATUS", False), ("Pregnant at delivery?", True)])
def test_a_question_may_be_asked_in_words(later: str, expected: bool) -> None:
    yes = asked_whether_pregnant(PREGNANT, effectiveDateTime="2026-04-01") | {"code": {"text": "Pregnancy status"}}
    no = asked_whether_pregnant(NOT_PREGNANT, effectiveDateTime=DENIED) | {"code": {"text": later}}
    assert is_pregnant(yes, no) is expected


def test_answers_of_loinc_are_read() -> None:
    yes, no = (
        coded("Observation", LOINC, code, effectiveDateTime=day) | {"code": concept(LOINC, "82810-3")}
        for code, day in (("LA15173-0", "2026-04-01"), ("LA26683-5", DENIED))
    )
    assert is_pregnant(yes)
    assert not is_pregnant(yes, no)


ANSWERS = st.lists(
    st.builds(
        asked_whether_pregnant,
        st.sampled_from([PREGNANT, NOT_PREGNANT, "261665006"]),
        st.sampled_from(["82810-3", "11449-6", ""]),
        effectiveDateTime=st.sampled_from([None, "2024-01-01", "2026", "2026-04", "2026-04-30", DENIED]),
    ),
    max_size=6,
)


@given(answers=ANSWERS, data=st.data())
def test_neither_the_order_of_answers_nor_their_repetition_matters(
    answers: list[dict[str, Any]], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(answers))) if answers else []
    assert is_pregnant(*data.draw(st.permutations([*answers, *again]))) is is_pregnant(*answers)


@given(answers=ANSWERS)
def test_a_no_may_end_a_pregnancy_and_never_begins_one(answers: list[dict[str, Any]]) -> None:
    denied = asked_whether_pregnant(NOT_PREGNANT, effectiveDateTime="2026-05-02")
    assert is_pregnant(*answers) or not is_pregnant(*answers, denied)
