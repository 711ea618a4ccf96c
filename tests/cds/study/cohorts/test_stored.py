"""Cohorts from the store and a file of outcomes, on every database."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine

from cds.errors import StudyNotPossible
from cds.store.store import Store
from cds.study.cohorts.flow import Step
from cds.study.cohorts.stored import stored_cohort
from model.domain import ImageType, ScoredExam
from tests.cds.builders import EHR, MODEL, NOW, claimed, new_exam, refused, scored

HEADER = "patient,diagnosis_date,last_follow_up"


def put(store: Store, patient_id: str, exam: ScoredExam, ehr: str = EHR) -> None:
    """A scored exam of a patient."""
    store.register([new_exam(exam.study_uid, patient_id, ehr)], MODEL.key, NOW)
    store.save_score(claimed(store), exam)


def outcomes(folder: Path, *lines: str) -> Path:
    file = folder / "outcomes.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_scores_of_the_store_are_joined_with_what_became_of_the_women(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    put(store, "p1", scored("1.1", 0.02, date(2024, 5, 3)))
    put(store, "p1", scored("1.2", 0.03, date(2025, 5, 3)))
    put(store, "p2", scored("1.3", 0.01, date(2025, 5, 3)))
    file = outcomes(
        tmp_path,
        f"{HEADER},diagnosis_type,detection,group,birth_date",
        "p2,,2026-01-01,,,A,1975-05-03",
        "p1,2025-06-01,2026-01-01,DCIS,screen,B,",
    )

    found = stored_cohort(engine, MODEL.key, file)

    assert found.model == MODEL.key
    assert found.exams[["patient", "score", "device"]].to_numpy().tolist() == [
        [0, 0.01, "HOLOGIC Selenia"],
        [1, 0.02, "HOLOGIC Selenia"],
        [1, 0.03, "HOLOGIC Selenia"],
    ]
    assert found.exams["age"][0] == pytest.approx(50, abs=0.01)
    told = found.women[["diagnosis_date", "diagnosis_type", "detection", "group"]].to_numpy()[1].tolist()
    assert told == [pd.Timestamp("2025-06-01"), "DCIS", "screen", "B"]
    assert set(found.women["last_follow_up"]) == {pd.Timestamp("2026-01-01")}
    assert (found.flow.women, found.flow.exams, found.flow.left_out, found.flow.noted) == (2, 3, (), ())


def test_what_is_not_scored_or_not_named_or_of_another_kind_is_left_out_and_counted(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    put(store, "p1", scored("1.1"))
    put(store, "p1", scored("1.2", image_type=ImageType.SYNTHETIC_2D))
    put(store, "p3", scored("1.3"))
    store.register([new_exam("1.4", "p1")], MODEL.key, NOW)
    store.save_refusal(claimed(store), refused("1.4"), NOW)
    store.register([new_exam("1.5", "p1")], MODEL.key, NOW)
    store.register([new_exam("1.6", "p1")], "another model", NOW)

    found = stored_cohort(engine, MODEL.key, outcomes(tmp_path, HEADER, "p1,,", "p9,,"))

    assert found.flow.left_out == (
        Step("of a woman whom the file of outcomes does not name", 1, 1),
        Step("an exam that could not be scored", 0, 1),
        Step("an exam that is not scored yet", 0, 2),
        Step("a score of another kind of image than direct 2D", 0, 1),
    )
    assert found.flow.noted[0] == Step("named by the file of outcomes, without a scored exam in the store", 1, 0)
    assert found.flow.noted[0].of == (0, 0), "they are none of the women who are studied"
    assert (found.flow.exams, len(found.exams)) == (6, 1)


def test_without_a_file_every_woman_is_there_and_of_none_is_it_known_what_became_of_her(
    engine: Engine, store: Store
) -> None:
    put(store, "p1", scored("1.1", 0.01, date(2024, 5, 3)))
    put(store, "p1", scored("1.2", 0.02, date(2025, 5, 3)), ehr="west")

    found = stored_cohort(engine, MODEL.key, None)

    assert found.exams["score"].tolist() == [0.01, 0.02]
    assert not found.is_diagnosed.any()
    assert found.women["last_follow_up"].isna().all()
    assert found.flow.left_out == ()


def test_exams_that_the_ehr_no_longer_lists_are_not_there(engine: Engine, store: Store, tmp_path: Path) -> None:
    put(store, "p1", scored("1.1"))
    put(store, "p1", scored("1.2", 0.09))
    store.unlist(EHR, "p1", ["1.1"], NOW)

    assert stored_cohort(engine, MODEL.key, outcomes(tmp_path, HEADER, "p1,,")).exams["score"].tolist() == [0.021]


def test_of_several_ehrs_each_womans_must_be_named_and_their_patients_are_never_mixed(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    put(store, "p1", scored("1.1", 0.01))
    put(store, "p1", scored("1.2", 0.02), ehr="west")

    with pytest.raises(StudyNotPossible, match="column ehr, row 1: empty, and the store has exams of several EHRs"):
        stored_cohort(engine, MODEL.key, outcomes(tmp_path, HEADER, "p1,,"))
    file = outcomes(tmp_path, f"ehr,{HEADER}", f"{EHR},p1,,", "west,p1,2026-06-01,")
    found = stored_cohort(engine, MODEL.key, file)

    assert found.exams["score"].tolist() == [0.01, 0.02]
    assert found.is_diagnosed.tolist() == [False, True]
    assert found.women["last_follow_up"].isna().all()


def test_an_empty_store_and_one_without_the_women_of_the_file_have_no_cohort(
    engine: Engine, store: Store, tmp_path: Path
) -> None:
    file = outcomes(tmp_path, HEADER, "p9,,")
    with pytest.raises(StudyNotPossible, match="the store has no exam yet"):
        stored_cohort(engine, MODEL.key, file)
    put(store, "p1", scored("1.1"))
    with pytest.raises(StudyNotPossible, match="no exam is left: under 11 left out, of a woman whom the file"):
        stored_cohort(engine, MODEL.key, file)


def test_a_woman_who_is_named_twice_in_two_ways_is_refused_by_row(engine: Engine, store: Store, tmp_path: Path) -> None:
    put(store, "p1", scored("1.1"))
    file = outcomes(tmp_path, HEADER, "p1,2026-06-01,", "p1,2026-06-02,")

    with pytest.raises(StudyNotPossible, match="column diagnosis_date, rows 1, 2: one woman's rows"):
        stored_cohort(engine, MODEL.key, file)
