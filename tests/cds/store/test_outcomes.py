"""Scores of models that are not in use: found where they stand, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine, event, update
from sqlmodel import col

from cds.store.outcomes import DAMAGED_SCORE
from cds.store.store import Store
from cds.store.tables import Score
from model.domain import ModelVersion, PendingExam, ScoredExam
from tests.cds.builders import EHR, FORMER, MODEL, NOW, PATIENT, claimed, new_exam, refused, scored_by

OLDEST = replace(MODEL, weights="f" * 64)


def score(store: Store, model: ModelVersion, study_uid: str, patient_id: str = PATIENT, ehr: str = EHR) -> ScoredExam:
    store.register([new_exam(study_uid, patient_id, ehr)], model.key, NOW)
    exam = scored_by(model, study_uid)
    store.save_score(claimed(store, model=model), exam)
    return exam


def others(store: Store, patient_id: str = PATIENT, ehr: str = EHR) -> list[ScoredExam]:
    return store.scores_of_other_models(ehr, patient_id, MODEL.key)


def test_every_other_models_score_of_an_exam_is_found_and_that_of_the_model_in_use_is_not(store: Store) -> None:
    former, oldest = score(store, FORMER, "1.2.1"), score(store, OLDEST, "1.2.1")
    score(store, MODEL, "1.2.1")
    score(store, MODEL, "1.2.2")

    found = others(store)

    assert sorted(found, key=repr) == sorted([former, oldest], key=repr)


def test_the_scores_of_another_patient_and_of_another_ehrs_patient_with_the_same_id_are_not_hers(store: Store) -> None:
    mine = score(store, FORMER, "1.2.1")
    score(store, FORMER, "1.2.2", "p2")
    score(store, FORMER, "1.2.3", ehr="ehr-2")

    assert others(store) == [mine]


def test_a_score_of_a_study_that_two_ehrs_know_is_each_ones_only_where_its_own_errand_is_done(store: Store) -> None:
    mine = score(store, FORMER, "1.2.1")
    store.register([new_exam("1.2.1", "p9", "ehr-2")], FORMER.key, NOW)

    assert others(store) == [mine]
    assert others(store, "p9", "ehr-2") == []


def test_what_another_model_refused_or_has_not_scored_is_no_score(store: Store) -> None:
    store.register([new_exam("1.2.1")], FORMER.key, NOW)
    store.save_refusal(claimed(store, model=FORMER), refused("1.2.1"), NOW)
    store.register([new_exam("1.2.2")], FORMER.key, NOW)

    assert others(store) == []


def test_an_exam_that_is_listed_no_more_has_none_until_it_is_hers_again(store: Store) -> None:
    mine = score(store, FORMER, "1.2.1")

    store.unlist(EHR, PATIENT, [], NOW)
    assert others(store) == []

    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    assert others(store) == [mine]


def test_a_study_that_moved_to_another_woman_shows_for_neither(store: Store) -> None:
    score(store, FORMER, "1.2.1")
    store.unlist(EHR, PATIENT, [], NOW)
    store.register([new_exam("1.2.1", "p2")], MODEL.key, NOW)

    assert others(store) == []
    assert others(store, "p2") == []


def test_a_study_whose_images_were_replaced_has_none_of_the_old_images(store: Store) -> None:
    score(store, FORMER, "1.2.1")

    store.reopen_study("1.2.1", NOW)

    assert others(store) == []


@pytest.mark.parametrize("exams", [1, 20])
def test_however_many_exams_she_has_it_is_one_question_to_the_database(
    store: Store, engine: Engine, exams: int
) -> None:
    for number in range(exams):
        score(store, FORMER, f"1.2.{number}")
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    found = others(store)

    assert len(found) == exams
    assert len(asked) == 1


def test_a_score_comes_back_as_it_was_saved(store: Store) -> None:
    store.register([new_exam("1.2.1", imaging_study="ImagingStudy/s1")], FORMER.key, NOW)
    exam = scored_by(FORMER, "1.2.1", 0.0170000000000000012, date(2024, 5, 3))
    store.save_score(claimed(store, model=FORMER), exam)

    assert others(store) == [replace(exam, imaging_study="ImagingStudy/s1")]


@pytest.mark.parametrize(
    "damaged",
    [
        {"calibrated": [0.05, 0.04, 0.03, 0.02, 0.01]},
        {"calibrated": [0.01, 0.02, 0.03, 0.04, 2]},
        {"calibrated": [0.01, 0.02, 0.03, 0.04, -1]},
        {"raw": ["a"] * 5},
        {"raw": 7},
        {"image_type": "x-ray"},
        {"images": [{}]},
    ],
)
def test_a_damaged_score_is_a_problem_of_its_exam_and_not_of_the_patients_other_ones(
    store: Store, engine: Engine, damaged: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    score(store, MODEL, "1.2.1")
    whole = score(store, MODEL, "1.2.2")
    with engine.begin() as connection:
        connection.execute(update(Score).where(col(Score.study_uid) == "1.2.1").values(**damaged))

    found = store.outcomes(EHR, PATIENT, ["1.2.1", "1.2.2"], MODEL.key)

    assert found["1.2.1"] == PendingExam("1.2.1", None, DAMAGED_SCORE)
    assert found["1.2.2"] == whole
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "1.2.1" not in caplog.text
