"""Breast cancer and mastectomy on record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.code_sets import code_sets
from fhir_mappings.codes import CPT, HCPCS, ICD_9_CM, ICD_10, ICD_10_CM, ICD_10_PCS, SNOMED
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.histories import BreastHistory, read_history
from tests.fhir_mappings.fhir_json import PATIENT, Json, bundle, concept, condition, outcome, procedure

CLEAN = BreastHistory(breast_cancer=False, bilateral_mastectomy=False)
LEFT, RIGHT = concept(SNOMED, "80248007"), concept(SNOMED, "73056007")
BREAST = concept(SNOMED, "76752008")


def history(*conditions: Json, procedures: tuple[Json, ...] = ()) -> BreastHistory:
    """What these conditions and procedures of the tests' patient say."""
    return read_history(bundle(*conditions), bundle(*procedures), PATIENT, code_sets())


def with_modifier(system: str, code: str) -> Json:
    """A mastectomy by CPT, with a modifier beside its code."""
    coding = [{"system": CPT, "code": "19303"}, {"system": system, "code": code}]
    return procedure(CPT, "19303") | {"code": {"coding": coding}}


def test_nothing_on_record_is_a_clean_history() -> None:
    assert history() == CLEAN


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (ICD_10_CM, "C50.911"),
        (ICD_10_CM, "C50911"),
        (ICD_10, "C50"),
        (ICD_10_CM, "D05.10"),
        (ICD_10_CM, "Z85.3"),
        (ICD_10_CM, "Z853"),
        (ICD_10_CM, "Z86.000"),
        (SNOMED, "254837009"),
        ("urn:oid:2.16.840.1.113883.6.96", "429087003"),
        ("http://snomed.info/sct/731000124108", "254837009"),
        (SNOMED, "408643008"),
        (SNOMED, "278054005"),
        (SNOMED, "353431000119107"),
        (SNOMED, "109888004"),
        (ICD_10_CM, "c50.911"),
        (ICD_9_CM, "174.9"),
        (ICD_9_CM, "1749"),
        (ICD_9_CM, "175.0"),
        (ICD_9_CM, "233.0"),
        (ICD_9_CM, "V10.3"),
    ],
)
def test_breast_cancer_and_dcis_past_or_present_are_recognised(system: str, code: str) -> None:
    assert history(condition(SNOMED, "38341003"), condition(system, code)).breast_cancer


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (ICD_10_CM, "C51.0"),
        (ICD_10_CM, "Z80.3"),
        (ICD_10_CM, "D24.1"),
        (ICD_9_CM, "217"),
        (ICD_9_CM, "V16.3"),
        (ICD_9_CM, "C50.911"),
        (ICD_10_CM, "174.9"),
        (SNOMED, "429740004"),
        (CPT, "C50.911"),
        ("", "C50.911"),
    ],
)
def test_other_conditions_are_not_breast_cancer(system: str, code: str) -> None:
    assert history(condition(system, code)) == CLEAN


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (concept("x", "refuted"), False),
        (concept("x", "entered-in-error"), False),
        ("entered-in-error", False),
        (concept("x", "unconfirmed"), True),
        (None, True),
    ],
)
def test_refuted_and_mistaken_conditions_are_ignored_and_doubtful_ones_count(status: object, counts: bool) -> None:
    assert history(condition(ICD_10_CM, "C50.911", verificationStatus=status)).breast_cancer is counts


def test_a_resolved_cancer_is_still_history() -> None:
    assert history(condition(ICD_10_CM, "C50.911", clinicalStatus=concept("x", "resolved"))).breast_cancer


@pytest.mark.parametrize(
    "given",
    [
        {"conditions": [condition(ICD_10_CM, "Z90.13")]},
        {"conditions": [condition(ICD_10_CM, "Z90.11"), condition(ICD_10_CM, "Z90.12")]},
        {"procedures": [procedure(SNOMED, "27865001")]},
        {"procedures": [procedure(ICD_10_PCS, "0HTV0ZZ")]},
        {"procedures": [procedure(ICD_10_PCS, "0HTU0ZZ"), procedure(ICD_10_PCS, "0HTT0ZZ")]},
        {"procedures": [procedure(SNOMED, "428571003")], "conditions": [condition(ICD_10_CM, "Z90.11")]},
        {"procedures": [procedure(CPT, "19303", bodySite=[LEFT]), procedure(CPT, "19307", bodySite=[RIGHT])]},
        {"procedures": [procedure(CPT, "19303", bodySite=[LEFT, RIGHT])]},
        {"procedures": [with_modifier(HCPCS, "LT"), with_modifier(HCPCS, "RT")]},
        {"procedures": [with_modifier(CPT, "50")]},
        {"procedures": [with_modifier(HCPCS, "LT")], "conditions": [condition(SNOMED, "248802009", bodySite=[RIGHT])]},
    ],
)
def test_both_breasts_removed_is_a_bilateral_mastectomy(given: dict[str, list[Json]]) -> None:
    read = read_history(given.get("conditions", []), given.get("procedures", []), PATIENT, code_sets())
    assert read == BreastHistory(breast_cancer=False, bilateral_mastectomy=True)


def test_a_site_adds_codes_of_its_own_to_a_history() -> None:
    own = '[[breast-cancer]]\nsystem = "urn:site"\ncodes = ["BC"]\nsource = "our catalogue"'
    hers = bundle(condition("urn:site", "BC"))
    assert read_history(hers, [], PATIENT, code_sets((("own.toml", own),))).breast_cancer
    assert not read_history(hers, [], PATIENT, code_sets()).breast_cancer


@pytest.mark.parametrize(
    "removed",
    [
        (condition(ICD_10_CM, "Z90.11"), condition(ICD_10_CM, "Z90.11")),
        (procedure(CPT, "19303", bodySite=[LEFT]), procedure(CPT, "19307", bodySite=[LEFT])),
        (procedure(CPT, "19303"), procedure(CPT, "19307")),
        (procedure(CPT, "19303", bodySite=[LEFT]), procedure(CPT, "19303")),
        (procedure(CPT, "19303", bodySite=[LEFT]), procedure(CPT, "19303", bodySite=[BREAST])),
        (procedure(CPT, "19303", bodySite=[LEFT]), procedure(CPT, "19301", bodySite=[RIGHT])),
        (procedure(CPT, "19303", bodySite=[LEFT]), procedure(CPT, "19303", bodySite=[RIGHT]) | {"status": "not-done"}),
        (procedure(SNOMED, "1279986002"),),
    ],
)
def test_one_breast_removed_is_not_a_bilateral_mastectomy(removed: tuple[Json, ...]) -> None:
    conditions = [one for one in removed if one["resourceType"] == "Condition"]
    procedures = [one for one in removed if one["resourceType"] == "Procedure"]
    assert read_history(conditions, procedures, PATIENT, code_sets()) == CLEAN


OF_A_SIDE = {
    "left": [procedure(CPT, "19303", bodySite=[LEFT]), with_modifier(HCPCS, "LT"), procedure(ICD_10_PCS, "0HTU0ZZ")],
    "right": [procedure(CPT, "19307", bodySite=[RIGHT]), with_modifier(HCPCS, "RT"), procedure(SNOMED, "429400009")],
    None: [procedure(CPT, "19303"), procedure(CPT, "19303", bodySite=[BREAST])],
}


@given(st.lists(st.sampled_from([(side, one) for side, ones in OF_A_SIDE.items() for one in ones])))
def test_mastectomies_make_a_bilateral_one_where_each_side_is_among_them(done: list[tuple[str | None, Json]]) -> None:
    read = history(procedures=tuple(one for _, one in done))
    assert read.bilateral_mastectomy is ({"left", "right"} <= {side for side, _ in done})


@pytest.mark.parametrize(
    ("status", "counts"),
    [("not-done", False), ("entered-in-error", False), ("preparation", False), ("unknown", True), (None, True)],
)
def test_a_mastectomy_that_was_not_done_is_ignored(status: str | None, counts: bool) -> None:
    done = {**procedure(SNOMED, "27865001"), "status": status}
    assert history(procedures=(done,)).bilateral_mastectomy is counts


def test_another_patients_history_is_left_out_and_said_so() -> None:
    read = history(condition(ICD_10_CM, "C50.911", "p2"), procedures=(procedure(SNOMED, "27865001", "p2"),))
    assert (read.breast_cancer, read.bilateral_mastectomy) == (False, False)
    assert read.problems == ("left out 1 condition of another patient", "left out 1 procedure of another patient")


@pytest.mark.parametrize(("conditions", "procedures"), [(outcome(), []), ([], outcome()), (None, []), ([], "x")])
def test_a_history_that_could_not_be_looked_up_is_not_a_clean_one(conditions: Any, procedures: Any) -> None:
    with pytest.raises(ResourceProblem):
        read_history(conditions, procedures, PATIENT, code_sets())


@pytest.mark.parametrize(("said", "counts"), [({}, True), ({"notDone": True}, False), ({"notPerformed": True}, False)])
def test_a_procedure_before_r4_says_in_a_flag_that_it_was_not_done(said: dict[str, Any], counts: bool) -> None:
    assert history(procedures=(procedure(SNOMED, "27865001", **said),)).bilateral_mastectomy is counts
