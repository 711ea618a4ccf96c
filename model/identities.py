"""Whose images these are, by their headers: in what they name several patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from pydicom import Dataset

from model.exam_days import day_of
from model.headers import text


def patients_at_odds(images: Sequence[Dataset], scored: Sequence[Dataset]) -> Iterable[str]:
    """By what the images name several patients. What one leaves out tells nothing, but those scored share their ID."""
    ids = {text(image, "PatientID") for image in images}
    if len(ids - {""}) > 1 or len({text(image, "PatientID") for image in scored}) > 1:
        yield "patient IDs"
    marks: dict[str, Callable[[Dataset], object]] = {"issuers of the patient ID": _issuer, "birth dates": _birth_date}
    if "" in ids:
        # Two names under one ID are a marriage or a spelling; without an ID the name is all there is.
        marks["names"] = _name
    for what, mark in marks.items():
        if len(set(filter(None, map(mark, images)))) > 1:
            yield what


def _issuer(image: Dataset) -> str:
    return text(image, "IssuerOfPatientID")


def _birth_date(image: Dataset) -> date | None:
    return day_of(text(image, "PatientBirthDate"))


def _name(image: Dataset) -> str:
    """Family and given name, in letters as they are spoken (PS3.5 6.2.1); titles and middle names come and go."""
    alphabetic = text(image, "PatientName").partition("=")[0]
    return " ".join(" ".join(alphabetic.split("^")[:2]).casefold().split())
