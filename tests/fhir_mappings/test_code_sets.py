"""Sets of codes as data: what a site may add, and what is refused."""

from __future__ import annotations

import pytest

from fhir_mappings.circumstances import Circumstance
from fhir_mappings.code_sets import CodeSetError, code_sets
from fhir_mappings.codes import ICD_10_CM, SNOMED

OWN = """
[[pregnancy]]
system = "urn:site"
codes = ["PREG"]
source = "our catalogue"
"""


def test_every_circumstance_has_its_set() -> None:
    assert {*Circumstance, "closed-assessment"} == set(code_sets())


def test_a_prefix_holds_every_icd_10_code_that_starts_so_and_no_other() -> None:
    pregnancy = code_sets()["pregnancy"]
    assert pregnancy.holds((ICD_10_CM, "O09.513"))
    assert not pregnancy.holds((SNOMED, "O09.513"))
    assert not pregnancy.holds((ICD_10_CM, "O10"))


def test_a_site_adds_its_own_codes() -> None:
    pregnancy = code_sets((("own.toml", OWN),))["pregnancy"]
    assert pregnancy.holds(("urn:site", "PREG"))
    assert pregnancy.holds((SNOMED, "77386006"))
    assert not code_sets()["pregnancy"].holds(("urn:site", "PREG"))


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
