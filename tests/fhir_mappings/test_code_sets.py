"""Sets of codes as data: what a site may add, and what is refused."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import pytest

from fhir_mappings.circumstances import Circumstance
from fhir_mappings.code_sets import (
    CHART,
    MODALITIES,
    ORDERS,
    CodeSetError,
    CodeSets,
    code_sets,
    modality_code_sets,
    order_code_sets,
)
from fhir_mappings.codes import CPT, HCPCS, ICD_9_CM, ICD_10, ICD_10_CM, SNOMED, usual_code

OWN = """
[[pregnancy]]
system = "urn:site"
codes = ["PREG"]
source = "our catalogue"
"""


def shipped(file: str) -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(files("fhir_mappings.code_sets").joinpath(file).read_text(encoding="utf-8"))


def test_every_circumstance_has_its_set() -> None:
    history = {"breast-cancer", "bilateral-mastectomy", "mastectomy", "absent-right-breast", "absent-left-breast"}
    places = {"left-breast", "right-breast", "both-breasts", "breast"}
    assert set(code_sets()) == {*Circumstance, "closed-assessment", "not-pregnant", *history, *places}


def test_every_shipped_set_but_two_holds_codes() -> None:
    empty = {name for name, codes in code_sets().items() if not codes}
    assert empty == {Circumstance.LIFETIME_RISK, Circumstance.CHEST_IRRADIATION}
    assert all(order_code_sets().values())


@pytest.mark.parametrize("file", [*CHART, ORDERS, MODALITIES])
def test_every_shipped_code_tells_its_source_and_whether_it_was_verified_and_no_words_of_cpt(file: str) -> None:
    blocks = [block for blocks in shipped(file).values() for block in blocks]
    assert all(block["source"] and isinstance(block["verified"], bool) for block in blocks)
    assert [block["codes"] for block in blocks if ("display" in block) is (block["system"] in (CPT, HCPCS))] == []


@pytest.mark.parametrize("sets", [order_code_sets(), modality_code_sets()])
def test_no_code_is_in_two_sets_of_orders_or_of_modalities(sets: CodeSets) -> None:
    held = [code for codes in sets.values() for code in codes.codes]
    assert len(held) == len(set(held))


@pytest.mark.parametrize(
    "apart",
    [
        ("pregnancy", "not-pregnant"),
        ("open-assessment", "closed-assessment"),
        ("absent-left-breast", "absent-right-breast", "bilateral-mastectomy", "mastectomy"),
        ("left-breast", "right-breast", "both-breasts", "breast"),
    ],
)
def test_no_code_means_a_thing_and_its_contrary(apart: tuple[str, ...]) -> None:
    held = [code for name in apart for code in code_sets()[name].codes]
    assert len(held) == len(set(held))


def test_a_prefix_holds_every_icd_10_code_that_starts_so_and_no_other() -> None:
    pregnancy = code_sets()["pregnancy"]
    assert pregnancy.holds_any([(ICD_10_CM, "O09.513")])
    assert not pregnancy.holds_any([(SNOMED, "O09.513")])
    assert not pregnancy.holds_any([(ICD_9_CM, "O09.513")])
    assert not pregnancy.holds_any([(ICD_10_CM, "O80")])


ICD_10_BLOCKS = [
    pytest.param(name, code, id=f"{name} {code}")
    for file in (*CHART, ORDERS)
    for name, blocks in shipped(file).items()
    for block in blocks
    if block["system"] in (ICD_10, ICD_10_CM)
    for code in (*block.get("codes", ()), *block.get("prefixes", ()))
]


@pytest.mark.parametrize("system", [ICD_10, ICD_10_CM])
@pytest.mark.parametrize(("name", "code"), ICD_10_BLOCKS)
def test_a_code_of_icd_10_is_known_under_both_of_its_systems(name: str, code: str, system: str) -> None:
    assert {**code_sets(), **order_code_sets()}[name].holds_any([usual_code(system, code)])


@pytest.mark.parametrize("system", [ICD_10, ICD_10_CM])
def test_a_sites_own_code_of_icd_10_counts_under_both_of_its_systems_and_no_longer_one_does(system: str) -> None:
    own = f'[[lifetime-risk]]\nsystem = "{system}"\ncodes = ["Z80.3"]\nsource = "x"'
    lifetime_risk = code_sets((("own.toml", own),))["lifetime-risk"]
    assert all(lifetime_risk.holds_any([(one, "Z80.3")]) for one in (ICD_10, ICD_10_CM))
    assert not lifetime_risk.holds_any([(ICD_10, "Z80.31"), (ICD_9_CM, "Z80.3")])


@pytest.mark.parametrize(("name", "code"), [("mastectomy", "Z90.1"), ("pregnancy", "Z33"), ("breast-cancer", "Z85.3")])
def test_what_icd_10_writes_without_the_digits_of_icd_10_cm_is_known(name: str, code: str) -> None:
    assert code_sets()[name].holds_any([(ICD_10, code)])


@pytest.mark.parametrize("code", ["O24.410", "O26.899", "O48.0", "O99.012", "Z3A.20", "Z33.3", "Z36.3"])
def test_a_pregnancy_with_a_complication_is_one_too(code: str) -> None:
    assert code_sets()["pregnancy"].holds_any([(ICD_10_CM, code)])


@pytest.mark.parametrize("code", ["O00.1", "O03.9", "O60.1", "O80", "O86.4", "Z33.2", "Z37.0", "Z39.0"])
def test_birth_and_what_comes_after_it_or_in_place_of_it_is_no_pregnancy(code: str) -> None:
    assert not code_sets()["pregnancy"].holds_any([(ICD_10_CM, code)])


@pytest.mark.parametrize("written", ["N18.4", "N184"])
@pytest.mark.parametrize("kept", ["N18.4", "N184"])
@pytest.mark.parametrize("how", ["codes", "prefixes"])
def test_an_icd_10_code_is_the_same_without_its_dot(written: str, kept: str, how: str) -> None:
    own = f'[[pregnancy]]\nsystem = "urn:oid:2.16.840.1.113883.6.90"\n{how} = ["{kept}"]\nsource = "x"'
    pregnancy = code_sets((("own.toml", own),))["pregnancy"]
    assert pregnancy.holds_any([usual_code(ICD_10_CM, written)])
    assert not pregnancy.holds_any([usual_code(ICD_10_CM, "N18"), usual_code(SNOMED, written)])


@pytest.mark.parametrize("how", ["codes", "prefixes"])
def test_a_site_writes_its_codes_as_its_ehr_does(how: str) -> None:
    own = f'[[breast-cancer]]\nsystem = "http://hl7.org/fhir/sid/icd-10-cm"\n{how} = ["c7981"]\nsource = "x"'
    assert code_sets((("own.toml", own),))["breast-cancer"].holds_any([(ICD_10_CM, "C79.81")])


def test_a_site_adds_its_own_codes() -> None:
    pregnancy = code_sets((("own.toml", OWN),))["pregnancy"]
    assert pregnancy.holds_any([("urn:site", "PREG")])
    assert pregnancy.holds_any([(SNOMED, "77386006")])
    assert not code_sets()["pregnancy"].holds_any([("urn:site", "PREG")])


@pytest.mark.parametrize("name", sorted(order_code_sets()))
def test_codes_of_orders_are_given_in_the_settings_of_orders_and_not_here(name: str) -> None:
    with pytest.raises(CodeSetError, match=f"there is no set '{name}'"):
        code_sets((("own.toml", OWN.replace("pregnancy", name)),))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (OWN.replace("pregnancy", "pregnant"), "there is no set 'pregnant'"),
        (OWN.replace('system = "urn:site"', ""), "needs a system"),
        (OWN.replace('["PREG"]', "[7]"), "needs a system"),
        (OWN.replace("codes", "prefixes"), "of ICD-10 only"),
        (OWN.replace("source", "sauce"), "and their source"),
        ("pregnancy = 7", "needs a system"),
        ("[[", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(written: str, said: str) -> None:
    with pytest.raises(CodeSetError, match=said) as refusal:
        code_sets((("own.toml", written),))
    assert "own.toml" in str(refusal.value)
