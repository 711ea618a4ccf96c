"""The way of an exam through preparation, network and books: scored, refused or held, and the next one after it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from pydicom import Dataset

from cds.errors import MammoTrendError, PacsUnreachable, StudyAmbiguous, StudyIncomplete, StudyNotFound
from cds.pacs.archive import FoundStudy, OnListed, unheard
from cds.scoring.books import LEASE
from cds.scoring.preparation import SETTLED
from cds.store.database import open_database
from cds.store.records import NOBODY_TO_COMPARE
from cds.store.stage_times import Spent, sum_times
from cds.store.store import Store
from cds.store.tables import Stage
from model.domain import Exclusion, ExclusionReason, PendingExam, RefusedExam, ScoredExam
from tests.builders import mammogram, screening_exam
from tests.cds.builders import EHR, IDENTIFIER, MODEL, NOW, PATIENT, Clock, claimed, memory_store, new_exam, refused
from tests.cds.scoring.fakes import FakePrepared, FakeScorer
from tests.cds.scoring.parts import Parts
from tests.fakes import FakeArchive

TODAY = NOW.date()
SECRETS = ("MRN-1", "STRANGER", "Ada", "p1", "1.2.")


@pytest.fixture
def store() -> Store:
    store = memory_store()
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)
    return store


def archive(first: Sequence[Dataset] | MammoTrendError | None = None) -> FakeArchive:
    """Two whole studies; `first` replaces the first one."""
    return FakeArchive({"1.2.1": first or screening_exam("1.2.1"), "1.2.2": screening_exam("1.2.2")})


def work(
    store: Store, archive: FakeArchive, scorer: FakeScorer | None = None, *, check_patient_id: bool = True
) -> None:
    """Try all that is due."""
    Parts(store, archive, scorer, check_patient_id=check_patient_id).work()


def outcomes(store: Store) -> list[ScoredExam | RefusedExam | PendingExam]:
    """What is known of the studies."""
    found = store.outcomes(EHR, PATIENT, ["1.2.1", "1.2.2"], MODEL.key)
    return [found[key] for key in sorted(found)]


def test_queued_exams_are_fetched_scored_and_stored_in_turn(store: Store) -> None:
    store.register(
        [new_exam("1.2.3", dicomweb_root="http://other", performed_on=date(2026, 5, 3))], MODEL.key, NOW, urgent=True
    )
    pacs, scorer = archive(), FakeScorer()
    pacs.studies["1.2.3"] = screening_exam("1.2.3")

    work(store, pacs, scorer)

    assert pacs.asked == [("1.2.3", "http://other"), ("1.2.1", None), ("1.2.2", None)]
    assert scorer.asked[0] == ("1.2.3", date(2026, 5, 3))
    assert all(isinstance(exam, ScoredExam) and exam.scored_at == NOW for exam in outcomes(store))


def test_with_nothing_due_there_is_nothing_to_do() -> None:
    assert Parts(memory_store(), FakeArchive({})).books.claim() is None


@pytest.mark.parametrize(
    "problem",
    [
        PacsUnreachable("the archive does not answer"),
        StudyNotFound("the archive does not have it"),
        StudyIncomplete("a part is missing"),
        MammoTrendError("another of ours"),
    ],
)
def test_an_exam_that_cannot_be_fetched_is_held_with_the_reason_and_the_next_is_scored(
    store: Store, problem: MammoTrendError
) -> None:
    work(store, archive(first=problem))

    held, next_one = outcomes(store)
    assert held == PendingExam("1.2.1", None, str(problem))
    assert isinstance(next_one, ScoredExam)


def test_a_held_exam_is_scored_once_it_can_be(store: Store) -> None:
    pacs, clock = archive(first=PacsUnreachable("the archive does not answer")), Clock()
    parts = Parts(store, pacs, now=clock)
    parts.work()
    pacs.studies["1.2.1"] = screening_exam("1.2.1")

    clock.advance(timedelta(minutes=1))
    parts.work()

    assert isinstance(outcomes(store)[0], ScoredExam)


def test_images_of_another_patient_are_held_and_never_scored(store: Store) -> None:
    scorer = FakeScorer()

    work(store, archive(first=screening_exam("1.2.1", patient_id="STRANGER")), scorer)

    held, _ = outcomes(store)
    assert isinstance(held, PendingExam)
    assert held.problem is not None
    assert "patient ID" in held.problem
    assert not any(secret in held.problem for secret in SECRETS)
    assert [study for study, _ in scorer.asked] == ["1.2.2"]


def test_one_image_of_another_patient_among_four_is_enough(store: Store) -> None:
    images = screening_exam("1.2.1")
    images[2].PatientID = "STRANGER"

    work(store, archive(first=images))

    assert isinstance(outcomes(store)[0], PendingExam)


@pytest.mark.parametrize("written", ["MRN-1 ", " MRN-1"])
def test_blanks_around_a_patient_id_do_not_make_another_patient(store: Store, written: str) -> None:
    work(store, archive(first=screening_exam("1.2.1", patient_id=written)))

    assert isinstance(outcomes(store)[0], ScoredExam)


def test_where_the_site_says_so_patient_ids_are_not_compared(store: Store) -> None:
    work(store, archive(first=screening_exam("1.2.1", patient_id="STRANGER")), check_patient_id=False)

    assert isinstance(outcomes(store)[0], ScoredExam)


@pytest.mark.parametrize(("identifiers", "on_images"), [((), "MRN-1"), (("MRN-1",), "")])
def test_where_either_side_names_nobody_there_is_nothing_to_compare(
    identifiers: tuple[str, ...], on_images: str
) -> None:
    store = memory_store()
    store.register([new_exam("1.2.1", patient_identifiers=identifiers)], MODEL.key, NOW)

    work(store, archive(first=screening_exam("1.2.1", patient_id=on_images)))

    assert isinstance(outcomes(store)[0], ScoredExam)


def test_a_score_says_that_its_images_could_not_be_compared_until_they_are() -> None:
    store = memory_store()
    store.register([new_exam("1.2.1", patient_identifiers=())], MODEL.key, NOW)
    work(store, archive())
    (uncompared,) = outcomes(store)

    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    (waiting,) = outcomes(store)
    work(store, archive())
    (compared,) = outcomes(store)

    assert isinstance(uncompared, ScoredExam)
    assert isinstance(compared, ScoredExam)
    assert uncompared.warnings == (*compared.warnings, NOBODY_TO_COMPARE)
    assert waiting == PendingExam("1.2.1", None)


def test_images_of_another_study_are_held(store: Store) -> None:
    images = screening_exam("1.2.1")
    images[3].StudyInstanceUID = "1.2.99"

    work(store, archive(first=images))

    held, _ = outcomes(store)
    assert isinstance(held, PendingExam)
    assert "another study" in str(held.problem)


@pytest.mark.parametrize(
    "fault", [RuntimeError("out of memory, MRN-1"), ValueError("Ada"), MemoryError(), KeyError("MRN-1")]
)
def test_an_unforeseen_fault_holds_one_exam_and_not_the_others(store: Store, fault: Exception) -> None:
    work(store, archive(), FakeScorer(s1_2_1=fault))

    held, next_one = outcomes(store)
    assert held == PendingExam("1.2.1", None, f"an unforeseen fault ({type(fault).__name__})")
    assert isinstance(next_one, ScoredExam)


def test_a_refused_exam_is_kept_with_every_reason(store: Store) -> None:
    work(store, archive(), FakeScorer(s1_2_1=refused("1.2.1")))

    kept, _ = outcomes(store)
    assert isinstance(kept, RefusedExam)
    assert kept.exclusions == refused().exclusions
    assert store.claim(MODEL.key, NOW + timedelta(days=1), LEASE) is None


def half_arrived(reason: ExclusionReason = ExclusionReason.MISSING_VIEW, day: date = TODAY) -> RefusedExam:
    """What the scorer says of an exam without all its views."""
    whole = Exclusion(ExclusionReason.MISSING_VIEW, "No usable R MLO view.")
    return RefusedExam("1.2.1", day, (whole, Exclusion(reason, "A reason.", "1.2.1.7")))


def test_an_exam_of_today_without_one_of_its_views_is_tried_again_until_it_has_settled(store: Store) -> None:
    clock = Clock()
    scorer = FakeScorer(s1_2_1=half_arrived())
    parts = Parts(store, archive(first=screening_exam("1.2.1")[:3]), scorer, clock)
    parts.work()

    held = outcomes(store)[0]
    assert isinstance(held, PendingExam)
    assert held.problem is not None
    assert "not all four standard views" in held.problem
    clock.advance(SETTLED)
    parts.work()
    assert isinstance(outcomes(store)[0], RefusedExam)


@pytest.mark.parametrize("reason", [ExclusionReason.TOMOSYNTHESIS, ExclusionReason.VIEW_MODIFIER])
def test_what_comes_beside_the_standard_views_does_not_stand_for_one_that_is_absent(
    store: Store, reason: ExclusionReason
) -> None:
    images = [*screening_exam("1.2.1")[:3], mammogram("L CC", "1.2.1")]

    work(store, archive(first=images), FakeScorer(s1_2_1=half_arrived(reason)))

    assert isinstance(outcomes(store)[0], PendingExam)


def test_an_exam_of_today_whose_views_are_all_there_is_refused_at_once(store: Store) -> None:
    work(store, archive(), FakeScorer(s1_2_1=half_arrived(ExclusionReason.IMPLANT)))

    assert isinstance(outcomes(store)[0], RefusedExam)


def test_an_exam_of_today_of_pictures_that_name_no_view_is_refused_at_once(store: Store) -> None:
    images = screening_exam("1.2.1")
    for image in images:
        del image.ViewPosition

    work(store, archive(first=images), FakeScorer(s1_2_1=half_arrived(ExclusionReason.NOT_MAMMOGRAPHY)))

    assert isinstance(outcomes(store)[0], RefusedExam)


@pytest.mark.parametrize(("days_ahead", "outcome"), [(-2, RefusedExam), (-1, PendingExam), (1, PendingExam)])
def test_only_about_its_day_may_a_view_still_arrive(store: Store, days_ahead: int, outcome: type) -> None:
    answer = half_arrived(day=TODAY + timedelta(days=days_ahead))

    work(store, archive(first=screening_exam("1.2.1")[:3]), FakeScorer(s1_2_1=answer))

    assert isinstance(outcomes(store)[0], outcome)


@pytest.mark.parametrize("reason", [ExclusionReason.NO_EXAM_DATE, ExclusionReason.MISSING_VIEW])
def test_nothing_is_refused_for_good_while_its_day_is_still_to_come_by_a_clock_that_may_be_behind(
    store: Store, reason: ExclusionReason
) -> None:
    clock = Clock()
    images = screening_exam("1.2.1")
    for image in images:
        image.StudyDate = f"{TODAY + timedelta(days=3):%Y%m%d}"
    parts = Parts(store, archive(first=images), FakeScorer(s1_2_1=half_arrived(reason)), clock)
    parts.work()

    held = outcomes(store)[0]
    assert isinstance(held, PendingExam)
    assert "its date lies in the future by this machine's clock" in (held.problem or "")
    clock.advance(timedelta(days=3))
    parts.work()
    assert isinstance(outcomes(store)[0], RefusedExam)


def test_only_what_was_due_by_a_moment_is_scored_when_asked_so(store: Store) -> None:
    clock = Clock()
    clock.advance(timedelta(hours=1))
    store.register([new_exam("1.2.3")], MODEL.key, clock())
    parts = Parts(store, archive(), now=clock)

    parts.work(NOW)

    assert all(isinstance(exam, ScoredExam) for exam in outcomes(store))
    assert claimed(store, clock()).study_uid == "1.2.3"


def test_nothing_that_names_a_patient_is_logged(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store.register([new_exam(f"1.2.{number}") for number in (3, 4, 5)], MODEL.key, NOW)
    pacs = archive(first=screening_exam("1.2.1", patient_id="STRANGER"))
    pacs.studies |= {"1.2.3": screening_exam("1.2.3"), "1.2.4": screening_exam("1.2.4")}

    work(store, pacs, FakeScorer(s1_2_3=RuntimeError("MRN-1"), s1_2_4=refused("1.2.4")))

    written = [record.getMessage() for record in caplog.records if record.name.startswith("cds")]
    assert len(written) == 4
    assert [line for line in written if "WrongPatient: its images carry a patient ID" in line]
    assert "an exam is held: StudyNotFound: the archive does not have the study" in written
    assert not [line for line in written if any(secret in line for secret in SECRETS)]
    assert all(record.exc_info is None for record in caplog.records)


def test_an_exam_without_a_study_uid_is_found_by_its_accession_number(store: Store) -> None:
    nameless = replace(new_exam("accession:A1"), study_uid=None, accession_number="A1")
    store.register([nameless], MODEL.key, NOW, urgent=True)
    pacs, scorer = archive(), FakeScorer()
    pacs.studies["1.2.7"] = screening_exam("1.2.7")
    pacs.by_accession["A1"] = FoundStudy("1.2.7", "http://other", IDENTIFIER, "A1", None, 4)

    work(store, pacs, scorer)

    assert pacs.asked[0] == ("1.2.7", "http://other")
    kept = store.outcomes(EHR, PATIENT, ["accession:A1"], MODEL.key)["accession:A1"]
    assert isinstance(kept, ScoredExam)
    assert kept.study_uid == "1.2.7"


def test_an_exam_that_is_held_is_looked_for_by_its_accession_number_again(store: Store) -> None:
    store.register([replace(new_exam("accession:A1"), study_uid=None, accession_number="A1")], MODEL.key, NOW)
    pacs = FakeArchive({"1.2.8": screening_exam("1.2.8", rows=8, columns=8)})
    for uid in ("1.2.7", "1.2.8"):  # the first is no more when it is fetched: it was sent again as the second
        pacs.by_accession["A1"] = FoundStudy(uid, "http://pacs", IDENTIFIER, "A1", None, 4)
        store.make_due(MODEL.key, NOW)
        work(store, pacs)

    kept = store.outcomes(EHR, PATIENT, ["accession:A1"], MODEL.key)["accession:A1"]
    assert isinstance(kept, ScoredExam)
    assert kept.study_uid == "1.2.8"


@pytest.mark.parametrize(
    "problem", [StudyNotFound("the archive does not have it"), StudyAmbiguous("two studies have the number")]
)
def test_an_accession_number_of_no_or_of_several_studies_is_held_and_nothing_is_guessed(
    store: Store, problem: MammoTrendError
) -> None:
    nameless = replace(new_exam("accession:A1"), study_uid=None, accession_number="A1")
    store.register([nameless], MODEL.key, NOW)
    pacs, scorer = archive(), FakeScorer()
    pacs.by_accession["A1"] = problem

    work(store, pacs, scorer)

    assert store.outcomes(EHR, PATIENT, ["accession:A1"], MODEL.key)["accession:A1"] == PendingExam(
        None, None, str(problem)
    )
    assert sorted(study for study, _ in scorer.asked) == ["1.2.1", "1.2.2"]


class TimedArchive(FakeArchive):
    """An archive in which every study takes two seconds, also one that it does not give out."""

    def __init__(self, studies: FakeArchive, clock: Clock) -> None:
        super().__init__(studies.studies)
        self.clock = clock

    def retrieve_study(self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard) -> list[Dataset]:
        self.clock.sleep(2)
        return super().retrieve_study(study_uid, root, on_listed)


class TimedScorer(FakeScorer):
    """A scorer that takes three seconds to prepare an exam and five for the network, for however many."""

    clock: Clock

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> FakePrepared | RefusedExam:
        self.clock.sleep(3)
        return super().prepare(images, at=at, performed_on=performed_on, gate=gate)

    def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
        self.clock.sleep(5)
        return super().score(exams)


def times(pacs: FakeArchive, scorer: TimedScorer) -> dict[Stage, Spent]:
    """What is written down after three exams were scored together."""
    clock, engine = Clock(), open_database("sqlite://")
    store, scorer.clock = Store(engine), clock
    store.register([new_exam(f"1.2.{number}") for number in (1, 2, 3)], MODEL.key, NOW)
    pacs.studies["1.2.3"] = screening_exam("1.2.3")
    parts = Parts(store, TimedArchive(pacs, clock), scorer, clock, clock_s=clock.monotonic_s)
    parts.finish(*(parts.claimed() for _ in range(3)))
    parts.books.note_times()
    return sum_times(engine, MODEL.key)


def test_how_long_each_stage_takes_is_written_down() -> None:
    assert times(archive(), TimedScorer()) == {
        Stage.FETCH: Spent(6, 3),
        Stage.PREPARE: Spent(9, 3),
        Stage.SCORE: Spent(5, 3),
        Stage.STORE: Spent(0, 3),
    }


def test_a_stage_in_which_an_exam_fails_is_left_out_and_those_before_it_count() -> None:
    found = times(archive(first=PacsUnreachable("no answer")), TimedScorer(s1_2_2=RuntimeError("a fault")))

    assert found == {
        Stage.FETCH: Spent(4, 2),
        Stage.PREPARE: Spent(3, 1),
        Stage.SCORE: Spent(5, 1),
        Stage.STORE: Spent(0, 1),
    }


def test_a_refused_exam_counts_in_every_stage_that_it_came_to() -> None:
    found = times(archive(), TimedScorer(s1_2_2=refused("1.2.2")))

    assert [found[stage].exams for stage in Stage] == [3, 3, 2, 3]


def test_of_exams_that_are_scored_again_one_by_one_no_time_counts_twice() -> None:
    found = times(archive(), TimedScorer(fails={"1.2.2": RuntimeError("a fault")}))

    assert found[Stage.SCORE] == Spent(10, 2)


def test_of_exams_scored_together_the_one_whose_fault_it_is_is_held_and_the_others_are_scored(store: Store) -> None:
    store.register([new_exam("1.2.3")], MODEL.key, NOW)
    pacs = archive()
    pacs.studies["1.2.3"] = screening_exam("1.2.3")
    parts = Parts(store, pacs, FakeScorer(fails={"1.2.2": RuntimeError("MRN-1")}), Clock())

    parts.finish(*(parts.claimed() for _ in range(3)))

    found = store.outcomes(EHR, PATIENT, ["1.2.1", "1.2.2", "1.2.3"], MODEL.key)
    assert [type(found[uid]) for uid in ("1.2.1", "1.2.2", "1.2.3")] == [ScoredExam, PendingExam, ScoredExam]


def test_an_exam_that_its_worker_keeps_is_not_handed_out_when_its_lease_would_have_ended(store: Store) -> None:
    clock = Clock()
    parts = Parts(store, archive(), now=clock)
    first, second = parts.claimed(), parts.claimed()
    clock.advance(LEASE * 2 / 3)
    parts.books.keep([first])
    clock.advance(LEASE * 2 / 3)

    again = parts.books.claim()

    assert again is not None
    assert again.scoring_id == second.scoring_id
    assert parts.books.claim() is None


def test_a_late_worker_does_not_write_over_what_another_has_made_of_its_exam(store: Store) -> None:
    clock = Clock()
    slow, quick = (Parts(store, archive(), now=clock) for _ in range(2))
    job = slow.claimed()
    clock.advance(LEASE)
    quick.work()

    slow.finish(job)

    assert isinstance(outcomes(store)[0], ScoredExam)


def test_an_exam_at_which_workers_end_one_after_the_other_is_held_with_that_and_tried_more_seldom(
    store: Store,
) -> None:
    clock = Clock()
    parts = Parts(store, archive(), FakeScorer(s1_2_2=refused("1.2.2")), clock)
    for _ in range(3):
        parts.claimed()
        parts.claimed()
        clock.advance(LEASE)

    parts.work()

    held, _ = outcomes(store)
    assert isinstance(held, PendingExam)
    assert held.problem == "3 workers in a row ended while they had it; see whether memory ran out"
    assert parts.books.claim() is None
    clock.advance(timedelta(hours=6))
    parts.work()
    assert isinstance(outcomes(store)[0], ScoredExam)
