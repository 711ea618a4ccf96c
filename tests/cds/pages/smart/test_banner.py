"""Whose page it is: as the chart has it, or that it could not be read, and never somebody else."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import date
from typing import Any

import pytest

from cds.errors import EhrRefused, EhrUnreachable, MammoTrendError
from cds.pages.smart.banner import Banner, read_banner
from tests.cds.builders import PATIENT, fhir_patient
from tests.fakes import FakeEhr

EXAM = date(2026, 5, 3)


def banner(answer: Any) -> Banner:
    return read_banner(nullcontext(FakeEhr({f"Patient/{PATIENT}": answer})), PATIENT)


def test_it_has_name_and_birth_date() -> None:
    read = banner(fhir_patient(name=[{"given": ["Ada", "Mary"], "family": "Example"}]))

    assert read == Banner(True, "Ada Mary Example", "1974-02-01")


@pytest.mark.parametrize("error", [EhrRefused("no"), EhrUnreachable("later")])
def test_what_could_not_be_read_is_told_apart_from_what_is_not_in_the_chart(error: MammoTrendError) -> None:
    assert banner(error) == Banner()
    assert banner(fhir_patient(birthDate="soon")) == Banner(True, "", "")


@pytest.mark.parametrize("answer", [fhir_patient("p2", name=[{"text": "Berta"}]), {"resourceType": "Person"}, {}])
def test_another_patient_or_no_patient_is_not_taken_for_her(answer: Any) -> None:
    assert banner(answer) == Banner()


@pytest.mark.parametrize(
    ("birth_date", "age"),
    [
        ("1974-05-03", "52"),
        ("1974-05-04", "51"),
        ("1974", "about 51 to 52"),
        ("1974-05", "about 51 to 52"),
        ("1974-06", "51"),
        ("2026-05-03", "0"),
        ("2026-05-04", ""),
        ("2026", ""),
        ("", ""),
    ],
)
def test_the_age_at_an_exam_is_as_exact_as_the_birth_date(birth_date: str, age: str) -> None:
    assert Banner(True, "Ada", birth_date).age_at(EXAM) == age


def test_it_does_not_show_itself() -> None:
    assert "Ada" not in repr(Banner(True, "Ada", "1974-02-01"))
    assert "1974" not in repr(Banner(True, "Ada", "1974-02-01"))
