"""Codes as they are compared, whatever form they were written in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.codes import CPT, ICD_9_CM, ICD_10, ICD_10_CM, LOINC, SNOMED, SYSTEM_ALIASES, usual_code


@pytest.mark.parametrize(
    "system",
    [
        SNOMED,
        "urn:oid:2.16.840.1.113883.6.96",
        "http://snomed.info/sct/731000124108",
        "http://snomed.info/sct/731000124108/version/20230901",
        "http://snomed.info/sct|http://snomed.info/sct/900000000000207008",
        "http://snomed.info/sct/",
    ],
)
def test_snomed_is_one_system_in_every_edition_and_version(system: str) -> None:
    assert usual_code(system, "254837009") == (SNOMED, "254837009")


@pytest.mark.parametrize("system", ["http://snomed.info/sctx", "http://snomed.info/id/1", f"{LOINC}/1", ""])
def test_a_system_that_only_begins_alike_is_another(system: str) -> None:
    assert usual_code(system, "254837009") == (system, "254837009")


@pytest.mark.parametrize(
    ("system", "written", "usual"),
    [
        (ICD_10_CM, "c50.911", "C50.911"),
        (ICD_10_CM, "c50911", "C50.911"),
        ("urn:oid:2.16.840.1.113883.6.90", "C50911", "C50.911"),
        (ICD_10, "c50", "C50"),
        (ICD_9_CM, "1749", "174.9"),
        (ICD_9_CM, "v103", "V10.3"),
        (ICD_9_CM, "E8500", "E850.0"),
        (ICD_10_CM, "E119", "E11.9"),
        ("urn:oid:2.16.840.1.113883.6.103", "174.9", "174.9"),
    ],
)
def test_icd_is_read_in_capitals_and_with_its_dot(system: str, written: str, usual: str) -> None:
    assert usual_code(system, written)[1] == usual


@pytest.mark.parametrize("system", [CPT, LOINC, "urn:site"])
def test_the_codes_of_other_systems_stay_as_they_are_written(system: str) -> None:
    assert usual_code(system, "c50911") == (system, "c50911")


SYSTEMS = st.sampled_from([*SYSTEM_ALIASES, ICD_10, ICD_10_CM, ICD_9_CM, SNOMED, f"{SNOMED}/1"]) | st.text()


@given(system=SYSTEMS, code=st.text())
def test_what_is_usual_already_stays_so(system: str, code: str) -> None:
    usual = usual_code(system, code)
    assert usual_code(*usual) == usual
