"""The exams without a score, with every reason, on every database."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import Engine

from cds.store.store import Store
from cds.store.unscored import UnscoredExam, unscored_exams
from model.domain import Exclusion, ExclusionReason, RefusedExam
from tests.cds.builders import EHR, MODEL, NOW, PATIENT, claimed, new_exam, refused, scored

DAY = date(2026, 5, 3)
IMPLANT = Exclusion(ExclusionReason.IMPLANT, "The breast has an implant; the model never saw one.", "1.2.3.4")


def test_what_is_refused_is_listed_with_each_reason_once_and_what_is_held_with_its_problem(
    engine: Engine, store: Store
) -> None:
    store.register([new_exam(f"1.2.{number}", performed_on=DAY) for number in range(1, 5)], MODEL.key, NOW)
    whole = Exclusion(ExclusionReason.IMPLANT, "No usable image.")
    store.save_refusal(claimed(store), RefusedExam("1.2.1", DAY, (whole, IMPLANT, IMPLANT)), NOW)
    store.save_failure(claimed(store), "the archive does not answer", NOW)
    store.save_score(claimed(store), scored("1.2.3"))

    assert list(unscored_exams(engine, MODEL.key)) == [
        UnscoredExam(EHR, PATIENT, DAY, "1.2.1", None, "refused", (whole.sentence, IMPLANT.sentence)),
        UnscoredExam(EHR, PATIENT, DAY, "1.2.2", None, "held", ("the archive does not answer",)),
    ]
    assert list(unscored_exams(engine, "another model")) == []


def test_an_exam_that_its_ehr_no_longer_lists_is_nobodys_concern(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    for _ in range(2):
        store.save_refusal(claimed(store), refused(), NOW)
    store.unlist(EHR, PATIENT, ["1.2.2"], NOW + timedelta(hours=1))

    assert [exam.study_uid for exam in unscored_exams(engine, MODEL.key)] == ["1.2.2"]


def test_more_than_are_read_at_a_time_are_all_there_once(engine: Engine, store: Store) -> None:
    count = 10
    store.register([new_exam(f"1.2.{number}") for number in range(count)], MODEL.key, NOW)
    for _ in range(count):
        store.save_refusal(claimed(store), refused(), NOW)

    found = [exam.study_uid for exam in unscored_exams(engine, MODEL.key, at_a_time=count // 3)]

    assert found == [f"1.2.{number}" for number in range(count)]
