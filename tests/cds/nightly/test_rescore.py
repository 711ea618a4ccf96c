"""A run over the site at a terminal: everything tried once, told in numbers and reasons, and nobody named."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from io import StringIO
from threading import Event

import pytest
from pydicom import Dataset
from rich.console import Console
from sqlalchemy import Engine

from cds.delivery.clerk import Clerk
from cds.delivery.outbox import Outbox
from cds.delivery.reporting import Priors, ReportedEhr, Reporter
from cds.errors import EhrRefused
from cds.nightly.arrivals import ArchivePriors
from cds.nightly.ehr_changes import EhrChanges, NightEhr
from cds.nightly.night import Look, Night
from cds.nightly.rescore import NoSuchPatient, SiteRun, progress_bar, refuse_unknown, summary_lines
from cds.pacs.archive import FoundStudy, OnListed, unheard
from cds.scoring.books import LEASE
from cds.scoring.budget import ByteBudget
from cds.scoring.in_process import in_process
from cds.scoring.pipeline import STUDY_BYTES
from cds.store.assessments import AssessmentRecords
from cds.store.outbox import Delivery, OutboxRecords
from cds.store.runs import RunRecords, RunSummary
from cds.store.store import EVERYTHING, Selection, Store
from cds.store.tables import Destination, ScoringState
from tests.builders import screening_exam
from tests.cds.builders import EHR, IDENTIFIER, MODEL, NOW, PATIENT, Clock, join, new_exam
from tests.cds.chart_fakes import ChartEhr
from tests.cds.scoring.fakes import FakeScorer
from tests.fakes import FakeArchive

SECRETS = ("1.2.", "STRANGER", "MRN-1", "p1")


class Site:
    """A site with one EHR and one archive, and what one run over it prints."""

    def __init__(self, engine: Engine, pacs: FakeArchive | None = None) -> None:
        self.engine, self.clock = engine, Clock()
        self.ehr, self.pacs, self.scorer = ChartEhr("p1"), pacs or FakeArchive({}), FakeScorer()
        self.written: list[Delivery] = []
        self.priors: Priors | None = None
        self.looks: Sequence[Look] = [
            EhrChanges([NightEhr(EHR, self.ehr.opening())], Store(engine), RunRecords(engine), MODEL.key, self.clock)
        ]

    def file(self, *study_uids: str) -> None:
        """Exams in the chart and in the archive."""
        for uid in study_uids:
            self.ehr.put("p1", uid)
            self.pacs.studies[uid] = screening_exam(uid, rows=8, columns=8)

    def run(
        self, selection: Selection = EVERYTHING, terminal: bool = False, stop: Event | None = None
    ) -> tuple[RunSummary, str]:
        """The summary and what was printed, as one line of words."""
        console = Console(record=True, width=160, file=StringIO(), force_terminal=terminal)
        summary = self._site_run(console).run(stop or Event(), selection)
        return summary, " ".join(console.export_text().split())

    def _site_run(self, console: Console) -> SiteRun:
        store, runs = Store(self.engine), RunRecords(self.engine)
        night = Night(self.looks, store, runs, MODEL.key, self.clock, "this process")
        budget, passed_s = ByteBudget(2 * STUDY_BYTES), self.clock.monotonic_s
        pipeline = in_process(store, self.pacs, self.scorer, MODEL.key, self.clock, budget, clock_s=passed_s)
        told = {EHR: ReportedEhr(destinations=frozenset({Destination.CHART}))}
        reporter = Reporter(AssessmentRecords(self.engine), MODEL, join, told, self.clock, self.priors)
        outbox = Outbox(OutboxRecords(self.engine), {Destination.CHART: self._deliver}, self.clock)
        return SiteRun(night, pipeline, Clerk(reporter, outbox), console)

    def _deliver(self, delivery: Delivery) -> str:
        self.written.append(delivery)
        return "RiskAssessment/1"


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def test_a_run_finds_scores_assesses_writes_and_sums_up(site: Site) -> None:
    site.file("1.2.1", "1.2.2", "1.2.3")

    summary, printed = site.run()

    assert summary == RunSummary(found=3, scored=3, written=1)
    assert printed == "Found 3 new exams. Scored 3, refused 0, failed 0; wrote 1 assessments. 0 still queued."
    assert [delivery.ehr for delivery in site.written] == [EHR]
    (kept,) = RunRecords(site.engine).last()
    assert (kept.found, kept.scored, kept.written) == (3, 3, 1)


def test_earlier_exams_that_an_archive_has_are_scored_in_the_same_run(site: Site, store: Store) -> None:
    site.file("1.2.1")
    site.pacs.studies["1.2.2"] = screening_exam("1.2.2", rows=8, columns=8)
    site.pacs.listed = [FoundStudy("1.2.2", "http://pacs", IDENTIFIER, "", date(2025, 5, 3), 4)]
    site.priors = ArchivePriors(site.pacs, store, MODEL.key, site.clock)

    summary, printed = site.run()

    assert (summary.scored, summary.written) == (2, 1)
    assert "0 still queued" in printed


def test_with_a_new_model_it_waits_for_the_backlog_too(site: Site, store: Store) -> None:
    site.file("1.2.1", "1.2.2")
    store.register([new_exam("1.2.1"), new_exam("1.2.2")], "the old model", NOW)

    summary, printed = site.run()

    assert (summary.scored, "0 still queued" in printed) == (2, True)


def test_exams_that_come_while_another_model_scores_the_archive_are_scored_by_it_in_the_same_run(
    site: Site, store: Store
) -> None:
    site.file("1.2.1", "1.2.2")
    store.register([new_exam("1.2.1")], "the site's model", NOW)

    class Slow(FakeArchive):
        """While an exam is fetched, the site's own night finds another."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            store.register([new_exam("1.2.2")], "the site's model", NOW)
            return super().retrieve_study(study_uid, root, on_listed)

    site.pacs, site.looks = Slow(site.pacs.studies), []

    assert (site.run()[0].scored, store.count(MODEL.key, ScoringState.SCORED)) == (2, 2)


def test_a_run_over_a_selection_says_that_others_wait(site: Site, store: Store) -> None:
    store.register([new_exam("1.2.2", patient_id="p2"), new_exam("1.2.3", patient_id="p3")], MODEL.key, NOW)
    site.file("1.2.1")

    _, printed = site.run(Selection(patient_id="p1"))

    assert printed == (
        "Found 1 new exams in the whole site. Scored 1, refused 0, failed 0; wrote 1 assessments. "
        "0 still queued of this selection, 2 others."
    )


def test_a_patient_of_whom_no_ehr_lists_an_exam_is_refused_and_not_named(site: Site, store: Store) -> None:
    night = Night([], store, RunRecords(site.engine), MODEL.key, site.clock, "this process")
    store.register([new_exam("1.2.1")], MODEL.key, NOW)

    refuse_unknown(night, ["another", EHR], PATIENT)
    with pytest.raises(NoSuchPatient, match="it takes her FHIR id") as caught:
        refuse_unknown(night, ["another", EHR], "p7")
    with pytest.raises(NoSuchPatient):
        refuse_unknown(night, ["another"], PATIENT)
    assert "p7" not in str(caught.value)


def test_a_second_run_does_nothing_twice(site: Site) -> None:
    site.file("1.2.1")
    site.run()

    summary, _ = site.run()

    assert (summary.found, summary.written) == (0, 1)  # the clock stands still: both runs began at one moment
    assert len(site.scorer.asked) == 1
    assert len(site.written) == 1


def test_it_says_how_many_exams_are_held_or_refused_for_which_reason_and_names_none(site: Site) -> None:
    site.file("1.2.1")
    for uid in ("1.2.2", "1.2.3"):
        site.ehr.put("p1", uid)
    site.ehr.put("p1", "1.2.4")
    site.pacs.studies["1.2.4"] = screening_exam("1.2.4", patient_id="STRANGER")

    summary, printed = site.run()

    assert (summary.found, summary.scored, sum(summary.failed.values())) == (4, 1, 3)
    assert "Held, 2: the archive does not have the study" in printed
    assert "Held, 1: its images carry a patient ID that the EHR does not list" in printed
    assert "3 still queued" in printed
    assert not [secret for secret in SECRETS if secret in printed]


def test_what_could_not_be_looked_at_is_told_in_full(site: Site) -> None:
    site.ehr.failing["changes"] = EhrRefused("no [token]")

    _, printed = site.run()

    assert "Could not look: ehr-1: no [token]" in printed


def test_it_tries_an_exam_at_once_that_waits_for_its_next_attempt(site: Site) -> None:
    site.ehr.put("p1", "1.2.1")
    site.run()
    site.file("1.2.1")

    summary, _ = site.run()

    assert (summary.scored, summary.failed) == (1, {})


def test_it_tries_an_exam_whose_ehr_cannot_be_read_now(site: Site, store: Store) -> None:
    store.register([new_exam()], MODEL.key, NOW)
    site.pacs.studies["1.2.1"] = screening_exam("1.2.1", rows=8, columns=8)
    site.ehr.failing["changes"] = EhrRefused("no token")

    assert site.run()[0].scored == 1


def test_an_exam_that_a_killed_worker_had_is_waited_for_and_scored(site: Site, store: Store) -> None:
    site.file("1.2.1", "1.2.2")
    site.run(Selection(patient_id="nobody"))  # finds, and scores nothing
    assert store.claim(MODEL.key, NOW, LEASE) is not None
    assert site.scorer.asked == []

    class Waiting(FakeArchive):
        """While the other exam is fetched, the killed worker's lease ends."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            site.clock.advance(LEASE)
            return super().retrieve_study(study_uid, root, on_listed)

    site.pacs = Waiting(site.pacs.studies)
    summary, _ = site.run()

    assert summary.scored == 2
    assert store.count(MODEL.key, ScoringState.SCORED) == 2


def test_each_exam_is_tried_once_although_failing_ones_are_due_again_before_the_run_ends(site: Site) -> None:
    class Slow(FakeArchive):
        """Every failing fetch takes longer than the wait before the next attempt."""

        def retrieve_study(
            self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard
        ) -> list[Dataset]:
            site.clock.advance(timedelta(minutes=2))
            return super().retrieve_study(study_uid, root, on_listed)

    site.pacs = Slow({})
    for uid in ("1.2.1", "1.2.2", "1.2.3"):
        site.ehr.put("p1", uid)

    site.run()

    assert sorted(study_uid for study_uid, _ in site.pacs.asked) == ["1.2.1", "1.2.2", "1.2.3"]


def test_a_run_that_is_told_to_stop_ends_and_leaves_the_rest_queued(site: Site, store: Store) -> None:
    site.file("1.2.1", "1.2.2")
    stop = Event()
    stop.set()

    summary, printed = site.run(stop=stop)

    assert (summary.found, summary.scored) == (0, 0)
    assert "Could not look: ehr-1: 1 patient is left to the next run" in printed
    assert site.run()[0].scored == 2


def test_at_a_terminal_a_bar_shows_how_far_it_is(site: Site) -> None:
    site.file("1.2.1", "1.2.2")

    _, printed = site.run(terminal=True)

    assert "Scoring exams" in printed
    assert "2/2" in printed
    assert "an hour" in printed


def test_the_bar_says_the_rate_and_the_time_that_is_left() -> None:
    clock, console = Clock(), Console(record=True, width=160, file=StringIO())
    progress = progress_bar(console)
    progress.get_time = clock.monotonic_s
    task = progress.add_task("Scoring exams", total=6)
    for _ in range(2):
        clock.sleep(30)
        progress.advance(task)

    console.print(progress.make_tasks_table(progress.tasks))

    assert "2/6 120 an hour 0:02:00" in " ".join(console.export_text().split())


class SlowArchive(FakeArchive):
    """An archive in which every study takes two seconds."""

    def __init__(self, clock: Clock) -> None:
        super().__init__({})
        self.clock = clock

    def retrieve_study(self, study_uid: str, root: str | None = None, on_listed: OnListed = unheard) -> list[Dataset]:
        self.clock.sleep(2)
        return super().retrieve_study(study_uid, root, on_listed)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_stage_that_the_others_wait_for_is_named(
    site: Site, terminal: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    site.pacs = SlowArchive(site.clock)
    site.file("1.2.1")  # a second one would make the same clock go on while the first is in another stage

    _, printed = site.run(terminal=terminal)

    assert "limited by fetch" in (printed if terminal else caplog.text)


def test_elsewhere_the_log_says_how_far_it_is(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site.file("1.2.1", "1.2.2")

    site.run()

    assert [line for line in caplog.messages if line.startswith("2 of 2 exams, ")]


@pytest.mark.parametrize("reasons", [{"b": 1, "a": 1, "c": 3}, {"c": 3, "a": 1, "b": 1}])
def test_the_commonest_reason_comes_first_whatever_the_order(reasons: dict[str, int]) -> None:
    lines: Sequence[str] = summary_lines(RunSummary(refused=reasons), 0)

    assert lines[1:] == ["Refused, 3: c", "Refused, 1: a", "Refused, 1: b"]


def test_what_was_cleared_away_is_told_by_its_kind() -> None:
    assert summary_lines(RunSummary(cleared={"runs": 1, "cards": 3}), 0)[1:] == [
        "Cleared away, 3: cards",
        "Cleared away, 1: runs",
    ]
