"""Tolerant readings of elements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.codes import CPT, HCPCS, ICD_10_CM, SNOMED, Coding
from fhir_mappings.elements import codes_of, codings, counted, storable, text


@pytest.mark.parametrize(
    "element",
    [
        {"system": CPT, "code": "77067"},
        {"coding": [{"system": CPT, "code": "77067"}]},
        {"coding": {"system": CPT, "code": 77067}},
        {"concept": {"coding": [{"system": CPT, "code": "77067"}]}},
        [{"coding": [None, "x", {}, {"code": "1"}, {"system": CPT}, {"system": CPT, "code": "77067"}]}],
    ],
)
def test_codings_are_read_in_every_shape_they_come_in(element: object) -> None:
    assert codings(element) == (Coding(CPT, "77067"),)


@pytest.mark.parametrize("element", [None, "77067", 1, [], {}, {"coding": "x"}, {"text": "x"}, {"concept": "x"}])
def test_an_element_without_codings_has_none(element: object) -> None:
    assert codings(element) == ()


def test_other_names_of_a_code_system_are_recognised() -> None:
    assert codings({"system": "urn:oid:2.16.840.1.113883.6.96", "code": "1"}) == (Coding(SNOMED, "1"),)
    cms = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
    assert codings({"system": cms, "code": "C8908"}) == (Coding(HCPCS, "C8908"),)
    assert codings({"system": f" {SNOMED}/731000124108 ", "code": "1"}) == (Coding(SNOMED, "1"),)


def test_codes_are_read_in_their_usual_form() -> None:
    assert codings({"system": ICD_10_CM, "code": " c50911"}) == (Coding(ICD_10_CM, "C50.911"),)


def test_bare_codes_are_read_from_strings_and_codings() -> None:
    assert codes_of("refuted") == {"refuted"}
    assert codes_of([{"code": "MG"}, {"coding": [{"code": "SR"}]}, "DX", 7, None]) == {"MG", "SR", "DX"}
    assert codes_of(None) == frozenset()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (" A1\n", "A1"),
        ("A1\0", "A1"),
        (" A1 \0\0", "A1"),
        ("A\0001", ""),
        ("A\ud800", ""),
        ("\udc00\ud800", ""),
        ("\N{MICROSCOPE}", "\N{MICROSCOPE}"),
        ("A\tB", "A\tB"),
        (7, ""),
        (None, ""),
    ],
)
def test_text_is_read_without_padding_and_not_at_all_where_it_cannot_be_kept(written: object, read: str) -> None:
    assert text(written) == read


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_text_is_read_can_be_written_in_utf_8_and_holds_no_nul(written: str) -> None:
    assert b"\0" not in text(written).encode()


@given(st.text(st.characters(exclude_categories=())))
def test_of_a_text_that_is_kept_all_the_same_only_what_cannot_be_is_replaced(written: str) -> None:
    kept = storable(written)

    assert b"\0" not in kept.encode()
    assert len(kept) == len(written)
    assert all(now in (before, "\ufffd") for now, before in zip(kept, written, strict=True))


def test_a_comment_that_was_cut_in_the_middle_of_a_character_keeps_its_words() -> None:
    assert storable("see note \ud83d") == "see note \ufffd"
    assert storable("see note \N{MICROSCOPE}\0") == "see note \N{MICROSCOPE}\ufffd"


def test_a_count_agrees_with_its_noun() -> None:
    assert [counted(n, "order", "orders") for n in (0, 1, 2)] == ["0 orders", "1 order", "2 orders"]
