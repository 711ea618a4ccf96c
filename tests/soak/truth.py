"""Whether an answer tells only of the woman that the call was about: every date, number and name in it is hers."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import date

from fhir_mappings.dates import years_after
from model.card import DEMO_MODEL, read_card
from tests.cds.builders import Json
from tests.soak.women import Exam, Woman

_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b(?!T)")
_UID = re.compile(r"\b\d+(?:\.\d+){6,}\b")
_SCORE_OF = re.compile(r"(?:\| |exam of )(\d{4}-\d{2}-\d{2})(?: \||:) \**([\d.]+) %")
"""A row of the table of exams, or the line of the judged one."""
_SCORE = re.compile(r"score ([\d.]+) %")
_AGE = re.compile(r"Age (\d+) on the day of this call")
_DEVICE = re.compile(r"Aurora H\d{2}")
_USER = re.compile(r"Practitioner/[\w-]+")
_MODEL = read_card(DEMO_MODEL).version.key
PERCENT_SHOWN = 0.0501
"""How far a percentage with one decimal may be from the number."""


def strange(cards: Iterable[Json], woman: Woman, user: str) -> list[str]:
    """Every sentence on what these cards say that is not true of the woman, or not of her alone."""
    return [problem for card in cards for problem in (*_foreign(card, woman, user), *_wrong_scores(card, woman))]


def _foreign(card: Json, woman: Woman, user: str) -> Iterator[str]:
    written = json.dumps(card)
    hers = {exam.study_uid for exam in woman.exams}
    yield from _not_among("date", _DATE.findall(written), _dates(woman))
    yield from _not_among("UID", _UID.findall(written), hers)
    yield from _not_among("age", _AGE.findall(written), {str(woman.age)})
    yield from _not_among("device", _DEVICE.findall(written), {woman.device})
    yield from _not_among("user", _USER.findall(written), {user})


def _dates(woman: Woman) -> set[str]:
    """Her exams' days with those of which a risk is told, and the day of her MRI order."""
    days = {years_after(exam.day, years) for exam in woman.exams for years in range(6)}
    ordered = {woman.mri_ordered_on} if woman.mri_ordered_on else set()
    return {day.isoformat() for day in days | ordered}


def _not_among(what: str, found: Iterable[str], allowed: set[str]) -> Iterator[str]:
    return (f"the {what} {one} is not hers" for one in dict.fromkeys(found) if one not in allowed)


def _wrong_scores(card: Json, woman: Woman) -> Iterator[str]:
    by_day = {exam.day.isoformat(): exam for exam in woman.exams}
    for day, shown in _SCORE_OF.findall(card.get("detail", "")):
        if day in by_day and not _is_shown(by_day[day], shown):
            yield f"{shown} % is not the score of {day}"
    for shown in _SCORE.findall(card["summary"]):
        if not any(_is_shown(exam, shown) for exam in woman.exams):
            yield f"{shown} % in the summary is none of her scores"
    for suggestion in card.get("suggestions", []):
        for action in suggestion["actions"]:
            yield from strange_resource(action["resource"], woman)


def _is_shown(exam: Exam, shown: str) -> bool:
    return abs(100 * exam.risks[-1] - float(shown)) <= PERCENT_SHOWN


def strange_resource(resource: Json, woman: Woman) -> Iterator[str]:
    """What a RiskAssessment or an order says that is not true of the woman."""
    if resource["subject"]["reference"] != f"Patient/{woman.id}":
        yield f"the {resource['resourceType']} is about somebody else"
    if resource["resourceType"] == "RiskAssessment":
        yield from _strange_assessment(resource, woman)


def _strange_assessment(resource: Json, woman: Woman) -> Iterator[str]:
    begins = {prediction["whenPeriod"]["start"] for prediction in resource["prediction"]}
    exam = next((one for one in woman.exams if begins == {one.day.isoformat()}), None)
    if exam is None:
        yield "the RiskAssessment is of no exam of hers"
        return
    told = [prediction["probabilityDecimal"] for prediction in resource["prediction"]]
    if not all(math.isclose(float(one), 100 * risk, rel_tol=1e-4) for one, risk in zip(told, exam.risks, strict=True)):
        yield f"the RiskAssessment of {exam.day} has other risks"
    if resource["identifier"][0]["value"] != _identifier(exam, woman):
        yield f"the RiskAssessment of {exam.day} has another identifier"
    named = {reference["reference"] for reference in resource.get("basis", []) if "ImagingStudy" in str(reference)}
    if not named <= {exam.resource}:
        yield f"the RiskAssessment of {exam.day} is based on another study"


def _identifier(exam: Exam, woman: Woman) -> str:
    return hashlib.sha256(f"{exam.study_uid}\n{_MODEL}\n{woman.id}".encode()).hexdigest()


def lacking(cards: list[Json], woman: Woman) -> Iterator[str]:
    """What an answer to a call that brought everything does not say and should."""
    newest: date = max(exam.day for exam in woman.exams)
    if len(cards) != 1 or newest.isoformat() not in f"{cards[0]['summary']}{cards[0].get('detail')}":
        yield "there is no card that names her newest exam"
    offered = [suggestion["label"] for card in cards for suggestion in card.get("suggestions", [])]
    if woman.mri_ordered_on and any("breast MRI order" in label for label in offered):
        yield "an MRI is suggested although one is ordered"
