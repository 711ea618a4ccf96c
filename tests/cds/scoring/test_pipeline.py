"""Fetching and scoring side by side: every exam once, within the budget, whatever fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from pydicom import Dataset
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, OperationalError

from cds.errors import PacsUnreachable
from cds.pacs.archive import FoundStudy, OnListed, unheard
from cds.scoring.batches import BatchScoring
from cds.scoring.books import LEASE, Books
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process
from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.pipeline import BATCHES_READY, IDLE_S, PICTURE_BYTES, STUDY_BYTES, ScoringPipeline
from cds.scoring.preparation import Preparation
from cds.scoring.stages import StageTimes
from cds.store.stage_times import Spent, sum_times
from cds.store.store import EVERYTHING, NewExam, ScoringJob, Selection, Store
from cds.store.tables import ScoringState, Stage
from model.domain import RefusedExam, ScoredExam
from tests.builders import screening_exam
from tests.cds.builders import EHR, IDENTIFIER, MODEL, NOW, PATIENT, Clock, new_exam, refused
from tests.cds.scoring.fakes import FakePrepared, FakeScorer
from tests.fakes import FakeArchive

UIDS = [f"1.2.{number}" for number in range(12)]


def archive(*missing: str) -> FakeArchive:
    return FakeArchive(
        {
            uid: PacsUnreachable("no answer") if uid in missing else screening_exam(uid, rows=8, columns=8)
            for uid in UIDS
        }
    )


def pipeline(
    store: Store, pacs: FakeArchive, scorer: FakeScorer, budget: ByteBudget | None = None, fetchers: int = 3
) -> ScoringPipeline:
    room = budget or ByteBudget(8 * STUDY_BYTES)
    return in_process(store, pacs, scorer, MODEL.key, Clock(), room, fetchers=fetchers, store_down_s=0.01)


def put_together(
    store: Store,
    scoring: type[BatchScoring] = BatchScoring,
    keep_every_s: float = 60,
    pacs: FakeArchive | None = None,
) -> ScoringPipeline:
    """A pipeline of parts of one's own."""
    times = StageTimes()
    preparation = Preparation(pacs or archive(), FakeScorer(), Clock(), times)
    books = Books(store, MODEL.key, Clock(), times)
    budget = ByteBudget(2 * STUDY_BYTES)
    return ScoringPipeline(
        books, preparation, scoring(FakeScorer(), times), budget, fetchers=2, keep_every_s=keep_every_s
    )


def drain(line: ScoringPipeline, selection: Selection = EVERYTHING) -> int:
    """Try everything once; how many exams were done."""
    done: list[int] = []
    line.drain(Event(), NOW, selection, lambda: done.append(1))
    return len(done)


def test_every_exam_is_tried_once_and_what_comes_of_each_is_stored(store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    scorer = FakeScorer(s1_2_3=refused("1.2.3"), fails={"1.2.4": RuntimeError("a fault")})

    assert drain(pipeline(store, archive("1.2.5"), scorer)) == len(UIDS)

    states = [store.count(MODEL.key, state) for state in (ScoringState.SCORED, ScoringState.REFUSED)]
    assert states == [9, 1]
    assert store.queued(MODEL.key) == {"no answer": 1, "an unforeseen fault (RuntimeError)": 1}


def test_with_nothing_queued_it_ends_at_once(store: Store) -> None:
    assert drain(pipeline(store, archive(), FakeScorer())) == 0


def test_of_a_selection_only_its_exams_are_tried(store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2", "p2", patient_identifiers=())], MODEL.key, NOW)

    assert drain(pipeline(store, archive(), FakeScorer()), Selection(patient_id="p2")) == 1
    assert store.queued(MODEL.key) == {None: 1}


def test_two_pipelines_beside_each_other_score_nothing_twice(engine: Engine, store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    scorers = [FakeScorer(), FakeScorer()]
    threads = [Thread(target=drain, args=(pipeline(Store(engine), archive(), scorer),)) for scorer in scorers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    asked = [study for scorer in scorers for study, _ in scorer.asked]
    assert sorted(asked) == sorted(UIDS)
    assert store.count(MODEL.key, ScoringState.SCORED) == len(UIDS)


def test_exams_that_are_ready_are_scored_together_up_to_the_batch(store: Store) -> None:
    gate = Event()

    class Slow(FakeScorer):
        """Waits with its first batch until others are ready."""

        def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
            gate.wait(10)
            return super().score(exams)

        def prepare(self, *arguments: object, **options: object) -> FakePrepared | RefusedExam:
            prepared = super().prepare(*arguments, **options)  # type: ignore[arg-type]
            if len(self.asked) >= 2 * self.batch_exams:  # no more get ready than that
                gate.set()
            return prepared

    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    scorer = Slow(batch_exams=4)
    drain(pipeline(store, archive(), scorer, ByteBudget(99 * STUDY_BYTES)))

    assert sum(scorer.batches) == len(UIDS)
    assert max(scorer.batches) == 4
    assert len(scorer.batches) < len(UIDS)


def test_as_many_exams_are_fetched_at_the_same_time_as_there_are_fetchers(store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    together = threading.Barrier(4)

    class Meeting(FakeArchive):
        """Answers nobody before four have asked."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            together.wait(20)
            return super().retrieve_study(study_uid, root, on_listed)

    assert drain(pipeline(store, Meeting(archive().studies), FakeScorer(), fetchers=4)) == len(UIDS)
    assert store.count(MODEL.key, ScoringState.SCORED) == len(UIDS)


def test_a_study_that_does_not_come_keeps_no_other_waiting(store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    all_others = Event()

    class Waiting(FakeArchive):
        """Gives the first study only when all others have been given, as an archive that recalls it from a tape."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            if study_uid == UIDS[0]:
                assert all_others.wait(20)
            elif len(self.asked) == len(UIDS) - 2:
                all_others.set()
            return super().retrieve_study(study_uid, root, on_listed)

    assert drain(pipeline(store, Waiting(archive().studies), FakeScorer(), fetchers=2)) == len(UIDS)
    assert store.count(MODEL.key, ScoringState.SCORED) == len(UIDS)


def test_no_more_exams_get_ready_than_the_network_will_take_soon_so_that_an_urgent_one_does_not_wait_long(
    store: Store,
) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    urgent = new_exam("1.2.0")
    order: list[str] = []

    class Slow(FakeScorer):
        """Is busy with its first exam until no other gets ready any more; then a clinician asks for one."""

        def score(self, exams: Sequence[FakePrepared]) -> list[ScoredExam | RefusedExam]:
            if not order:
                while len(self.asked) < 1 + BATCHES_READY:
                    Event().wait(0.01)
                store.register([urgent], MODEL.key, NOW, urgent=True)
            order.extend(exam.study_uid for exam in exams)
            return super().score(exams)

    drain(pipeline(store, archive(), Slow(), ByteBudget(99 * STUDY_BYTES), fetchers=1))

    assert order.index("1.2.0") <= 1 + BATCHES_READY + 1  # those that were ready, and one that was being fetched


class CountingArchive(FakeArchive):
    """Tells how many studies were being fetched or waited to be scored at the same time."""

    def __init__(self, budget: ByteBudget) -> None:
        super().__init__(archive().studies)
        self.budget, self.most, self.lock = budget, 0, threading.Lock()

    def retrieve_study(self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard) -> list[Dataset]:
        """Notes how much is taken while a study is on its way."""
        with self.lock:
            self.most = max(self.most, self.budget.taken)
        return super().retrieve_study(study_uid, root, on_listed)


def test_what_is_in_flight_stays_within_the_budget_and_all_of_it_is_given_back(store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    budget = ByteBudget(2 * STUDY_BYTES)
    pacs = CountingArchive(budget)

    drain(pipeline(store, pacs, FakeScorer(s1_2_3=refused("1.2.3")), budget, fetchers=4))

    assert STUDY_BYTES <= pacs.most <= 2 * STUDY_BYTES
    assert budget.taken == 0


def test_a_budget_smaller_than_one_study_still_lets_one_at_a_time_through(store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)

    assert drain(pipeline(store, archive(), FakeScorer(), ByteBudget(1))) == len(UIDS)


def test_a_study_that_is_larger_than_thought_takes_so_much_of_the_budget_until_it_is_prepared(store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS[:3]], MODEL.key, NOW)
    budget, taken, picture = ByteBudget(2 * STUDY_BYTES), [], bytes(STUDY_BYTES // 2)

    class Large(FakeArchive):
        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            images = super().retrieve_study(study_uid, root, on_listed)
            for image in images:
                image.PixelData = picture
            return images

    class Weighing(FakeScorer):
        def prepare(self, images: Sequence[Dataset], **said: Any) -> FakePrepared | RefusedExam:
            taken.append(budget.taken)
            return super().prepare(images, **said)

    assert drain(pipeline(store, Large(archive().studies), Weighing(), budget, fetchers=1)) == 3

    assert min(taken) >= 2 * STUDY_BYTES
    assert budget.taken == 0


class ManyImages(FakeArchive):
    """Every study has so many images of the largest detector; notes how many bytes of them are there at most."""

    def __init__(self, images: int) -> None:
        super().__init__(archive().studies)
        self.images, self.there, self.most, self.lock = images, 0, 0, threading.Lock()

    def retrieve_study(self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard) -> list[Dataset]:
        """As they come while others come, too."""
        on_listed(self.images)
        with self.lock:
            self.there += self.images * PICTURE_BYTES
            self.most = max(self.most, self.there)
        Event().wait(0.02)
        with self.lock:
            self.there -= self.images * PICTURE_BYTES
        return super().retrieve_study(study_uid, root)


@pytest.mark.parametrize(("images", "at_once"), [(10, 1), (8, 2), (4, 4), (99, 1)])
def test_studies_of_many_images_are_not_fetched_at_the_same_time_beyond_the_budget(
    store: Store, images: int, at_once: int
) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    budget, pacs = ByteBudget(4 * STUDY_BYTES), ManyImages(images)

    assert drain(pipeline(store, pacs, FakeScorer(), budget, fetchers=6)) == len(UIDS)

    assert pacs.most <= at_once * images * PICTURE_BYTES
    assert budget.taken == 0


def test_an_exam_that_was_claimed_again_after_its_lease_was_over_ends_nothing(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    clock, again = Clock(), Event()

    class Slow(FakeArchive):
        """Gives the study only when it has been claimed a second time."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            if self.asked:
                again.set()
            else:
                self.asked.append((study_uid, root))
                clock.advance(LEASE)
                assert again.wait(20)
            return super().retrieve_study(study_uid, root, on_listed)

    line = in_process(
        store, Slow(archive().studies), FakeScorer(), MODEL.key, clock, ByteBudget(9 * STUDY_BYTES), fetchers=2
    )
    stop = Event()
    thread = Thread(target=line.run, args=(stop,))
    thread.start()
    try:
        for _ in range(2000):
            if store.count(MODEL.key, ScoringState.SCORED) == 1:
                break
            stop.wait(0.01)
        store.register([new_exam("1.2.2")], MODEL.key, clock(), urgent=True)
        for _ in range(2000):
            if store.count(MODEL.key, ScoringState.SCORED) == 2:
                break
            stop.wait(0.01)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(20)

    assert store.count(MODEL.key, ScoringState.SCORED) == 2


class Twice(FakeArchive):
    """Has an exam that is claimed a second time while it is looked at, which `change` sees to; the other one waits."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__(archive("1.2.2").studies)
        self.change, self.closed = change, 0
        self.changed, self.again, self.first_is_closed = Event(), Event(), Event()

    def on_done(self) -> None:
        """To be called after each exam."""
        self.closed += 1
        if self.closed == 2:
            self.first_is_closed.set()

    def keep_other_waiting(self) -> None:
        """Until there is something to be claimed a second time."""
        assert self.changed.wait(20)

    def be_first(self) -> None:
        """Until it was claimed a second time."""
        self.change()
        self.changed.set()
        assert self.again.wait(20)

    def be_second(self) -> None:
        """Until the first claim was closed."""
        self.again.set()
        assert self.first_is_closed.wait(20)


class KeptStore(Store):
    """A store that says when it was asked to keep an exam that was claimed for at least the third time."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.keeps = Event()

    def renew(self, jobs: Sequence[ScoringJob], now: datetime, lease: timedelta) -> None:
        """As a store does."""
        super().renew(jobs, now, lease)
        if any(job.attempts >= 3 for job in jobs):
            self.keeps.set()


def test_an_exam_that_is_claimed_again_stays_with_the_second_when_the_first_is_closed(engine: Engine) -> None:
    store, was_kept = KeptStore(engine), []
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], MODEL.key, NOW)

    class Changing(Twice):
        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            if study_uid == "1.2.2":
                self.keep_other_waiting()
            elif not self.changed.is_set():
                self.be_first()
            else:
                self.be_second()
                store.keeps.clear()
                was_kept.append(store.keeps.wait(5))
            return super().retrieve_study(study_uid, root, on_listed)

    pacs = Changing(lambda: store.reopen_study("1.2.1", NOW))  # which counts as an attempt
    put_together(store, keep_every_s=0.01, pacs=pacs).drain(Event(), NOW, on_done=pacs.on_done)

    assert was_kept == [True]
    assert store.count(MODEL.key, ScoringState.SCORED) == 1


def test_what_was_found_by_particulars_that_the_ehr_has_corrected_since_is_not_taken_for_the_exam(store: Store) -> None:
    wrong = NewExam(EHR, PATIENT, "accession:A1", accession_number="A1", patient_identifiers=("MRN-2",))
    right = replace(wrong, patient_identifiers=(IDENTIFIER,))
    store.register([wrong, new_exam("1.2.2")], MODEL.key, NOW)

    class Correcting(Twice):
        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            if study_uid == "1.2.2":
                self.keep_other_waiting()
            return super().retrieve_study(study_uid, root, on_listed)

        def find_by_accession(self, accession_number: str, patient_ids: Sequence[str]) -> FoundStudy:
            if "MRN-2" in patient_ids:
                self.be_first()
                return FoundStudy("1.2.1", "http://other", "MRN-2", "A1", None, 4)
            self.be_second()
            raise PacsUnreachable("no answer")

    pacs = Correcting(lambda: store.register([right], MODEL.key, NOW))
    put_together(store, pacs=pacs).drain(Event(), NOW, on_done=pacs.on_done)

    found = [store.claim(MODEL.key, NOW + timedelta(hours=1), LEASE) for _ in range(2)]
    assert pacs.first_is_closed.is_set()
    assert [
        (job.study_uid, job.dicomweb_root) for job in found if job is not None and job.accession_number == "A1"
    ] == [(None, None)]


class CountedStore(Store):
    """A store that counts how often it is asked for an exam, and says when it has been asked in vain."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asked, self.in_vain = 0, Event()

    def claim(self, *asked_for: Any, **options: Any) -> ScoringJob | None:
        """As a store does."""
        self.asked += 1
        job = super().claim(*asked_for, **options)
        if job is None:
            self.in_vain.set()
        return job


def test_with_nothing_to_do_the_store_is_asked_as_often_as_by_one_thread_and_what_comes_wakes_all(
    engine: Engine,
) -> None:
    store, together = CountedStore(engine), threading.Barrier(8)

    class Meeting(FakeArchive):
        """Answers nobody before all eight threads have asked."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            together.wait(20)
            return super().retrieve_study(study_uid, root, on_listed)

    line = pipeline(store, Meeting(archive().studies), FakeScorer(), ByteBudget(99 * STUDY_BYTES), fetchers=8)
    stop = Event()
    thread = Thread(target=line.run, args=(stop,))
    thread.start()
    try:
        assert store.in_vain.wait(20)
        stop.wait(5 * IDLE_S)
        idle = store.asked
        store.register([new_exam(uid) for uid in UIDS[:8]], MODEL.key, NOW)
        for _ in range(2000):
            if store.count(MODEL.key, ScoringState.SCORED) == 8:
                break
            stop.wait(0.01)
    finally:
        stop.set()
        thread.join(20)

    assert store.count(MODEL.key, ScoringState.SCORED) == 8
    assert idle <= 8 + 8  # eight at the beginning, then one in every fifth of a second


class BrokenStore(Store):
    """A store whose database fails the given number of times before it works."""

    def __init__(self, engine: Engine, failures: int) -> None:
        super().__init__(engine)
        self.failures = failures

    def claim(self, *asked_for: Any, **options: Any) -> ScoringJob | None:
        """Fails as a database that is down does."""
        if self.failures:
            self.failures -= 1
            raise OperationalError("SELECT secret", {}, Exception("the connection is lost"))
        return super().claim(*asked_for, **options)


def until(line: ScoringPipeline, store: Store, scored: int) -> None:
    """Let it run until so many exams are scored, then tell it to stop."""
    stop = Event()
    thread = Thread(target=line.run, args=(stop,))
    thread.start()
    try:
        for _ in range(2000):
            if store.count(MODEL.key, ScoringState.SCORED) >= scored:
                break
            stop.wait(0.01)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_database_that_fails_for_a_while_does_not_end_it(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    store = BrokenStore(engine, failures=2)
    store.register([new_exam("1.2.1")], MODEL.key, NOW)

    until(pipeline(store, archive(), FakeScorer(), fetchers=1), store, scored=1)

    assert store.count(MODEL.key, ScoringState.SCORED) == 1
    assert [record.getMessage() for record in caplog.records] == ["the store failed: OperationalError"] * 2


class ChoosyStore(Store):
    """A store that refuses what is to be kept of one study."""

    def __init__(self, engine: Engine, study_uid: str, fault: Exception) -> None:
        super().__init__(engine)
        self._study_uid, self._fault = study_uid, fault

    def save_score(self, job: ScoringJob, exam: ScoredExam) -> None:
        """Fails as a database does that does not know a character."""
        if exam.study_uid == self._study_uid:
            raise self._fault
        super().save_score(job, exam)


@pytest.mark.parametrize(
    "fault", [DataError("INSERT secret", {}, Exception()), UnicodeEncodeError("utf-8", "secret", 0, 1, "no")]
)
def test_an_exam_that_the_store_refuses_is_held_and_stops_no_other(engine: Engine, fault: Exception) -> None:
    store = ChoosyStore(engine, UIDS[3], fault)
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)

    drain(pipeline(store, archive(), FakeScorer()))

    assert store.count(MODEL.key, ScoringState.SCORED) == len(UIDS) - 1
    assert store.queued(MODEL.key) == {f"an unforeseen fault ({type(fault).__name__})": 1}


def test_a_run_whose_database_fails_ends_with_that_and_loses_nothing(engine: Engine) -> None:
    store = BrokenStore(engine, failures=1)
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)

    with pytest.raises(OperationalError):
        drain(pipeline(store, archive(), FakeScorer(), fetchers=1))

    drain(pipeline(store, archive(), FakeScorer()))
    assert store.count(MODEL.key, ScoringState.SCORED) == len(UIDS)


def test_what_the_stages_took_is_written_down_at_the_end(engine: Engine, store: Store) -> None:
    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)

    drain(pipeline(store, archive("1.2.5"), FakeScorer(s1_2_3=refused("1.2.3"))))

    assert [spent.exams for spent in sum_times(engine, MODEL.key).values()] == [11, 11, 10, 11]


class ForgetfulStore(Store):
    """A store that takes no times for as often as it was told, and says when it has taken some."""

    def __init__(self, engine: Engine, failures: int) -> None:
        super().__init__(engine)
        self.failures, self.has_taken = failures, Event()

    def add_times(self, model: str, now: datetime, spent: Mapping[Stage, Spent]) -> None:
        """Fails as a database that is down does."""
        if self.failures:
            self.failures -= 1
            raise OperationalError("INSERT secret", {}, Exception("the connection is lost"))
        super().add_times(model, now, spent)
        self.has_taken.set()


def test_what_the_stages_took_is_written_down_while_it_runs_and_after_the_store_failed(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    store = ForgetfulStore(engine, failures=2)
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    line = put_together(store, keep_every_s=0.01)
    stop = Event()
    thread = Thread(target=line.run, args=(stop,))
    thread.start()
    try:
        assert store.has_taken.wait(20)
    finally:
        stop.set()
        thread.join(20)

    assert [spent.exams for spent in sum_times(engine, MODEL.key).values()] == [1, 1, 1, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "how long scoring took is not written down yet: OperationalError"
    ] * 2


def test_told_to_stop_it_finishes_what_is_in_hand_and_takes_nothing_more(store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    stop = Event()

    class Stopping(FakeArchive):
        """Is told to stop in the middle of the first fetch."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            store.register([new_exam("1.2.2")], MODEL.key, NOW)
            stop.set()
            return super().retrieve_study(study_uid, root, on_listed)

    pipeline(store, Stopping(archive().studies), FakeScorer(), fetchers=1).run(stop)

    assert store.count(MODEL.key, ScoringState.SCORED) == 1
    assert store.queued(MODEL.key) == {None: 1}


@pytest.mark.parametrize("images", [4, 99])
def test_a_fault_of_scoring_itself_ends_the_run_and_every_thread(store: Store, images: int) -> None:
    class Broken(BatchScoring):
        def scored(self, ready: Sequence[Ready]) -> list[Done | Held]:
            raise RuntimeError("not foreseen")

    store.register([new_exam(uid) for uid in UIDS], MODEL.key, NOW)
    before = threading.active_count()
    line = put_together(store, Broken, pacs=ManyImages(images))

    with pytest.raises(RuntimeError, match="not foreseen"):
        drain(line)
    assert threading.active_count() == before
