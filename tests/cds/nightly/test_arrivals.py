"""Finding exams in the archives: new arrivals once they are whole, late images, and a patient's earlier exams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import Engine

from cds.errors import EhrUnreachable, PacsUnreachable, UntrustedServer
from cds.nightly.arrivals import LONGEST_SILENCE, ArchivePoll, ArchivePriors
from cds.nightly.ehr_changes import NightEhr
from cds.nightly.night import Found
from cds.pacs.archive import FoundStudy
from cds.store.arrivals import ArrivalRecords
from cds.store.runs import RunRecords
from cds.store.store import ScoringJob, Store
from cds.store.tables import ScoringState
from tests.builders import cad_report, screening_exam
from tests.cds.builders import EHR, IDENTIFIER, MODEL, NOW, PATIENT, Clock, Json, claimed, new_exam, scored
from tests.cds.chart_fakes import ChartEhr
from tests.cds.store.asking import jobs
from tests.fakes import FakeArchive

STABLE = timedelta(minutes=30)


TODAY = NOW.date()
DAYS = 7


def study(uid: str = "1.2.1", patient_id: str = IDENTIFIER, instances: int | None = 4, day: date = TODAY) -> FoundStudy:
    return FoundStudy(uid, "http://pacs", patient_id, "A1", day, instances)


class Site:
    """An archive and an EHR that are looked at again and again."""

    def __init__(self, engine: Engine) -> None:
        self.clock, self.pacs, self.ehr = Clock(), FakeArchive({}), ChartEhr("p1")
        self.store = Store(engine)
        self.look = ArchivePoll(
            self.pacs,
            [NightEhr(EHR, self.ehr.opening())],
            self.store,
            RunRecords(engine),
            ArrivalRecords(engine),
            MODEL.key,
            self.clock,
            STABLE,
            days=DAYS,
        )

    def list(self, *studies: FoundStudy) -> None:
        self.pacs.listed = [*studies]
        for one in studies:
            self.pacs.studies.setdefault(one.study_uid, screening_exam(one.study_uid, rows=8, columns=8))

    def poll(self, after: timedelta = timedelta()) -> Found:
        self.clock.advance(after)
        found = Found()
        self.look(found)
        return found


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def test_a_new_study_is_taken_once_it_has_stood_still_and_not_again(site: Site, store: Store) -> None:
    site.list(study())

    assert site.poll().exams == 0
    assert site.poll(STABLE - timedelta(seconds=1)).exams == 0
    assert site.poll(timedelta(seconds=1)).exams == 1
    assert site.poll(STABLE).exams == 0
    (job,) = jobs_now(site)
    assert (job.study_uid, job.patient_id, job.dicomweb_root) == ("1.2.1", "p1", "http://pacs")


def jobs_now(site: Site) -> list[ScoringJob]:
    """What is due by the site's own clock."""
    found = []
    while job := site.store.claim(MODEL.key, site.clock.now, timedelta(hours=1)):
        found.append(job)
    return found


def test_a_study_that_still_grows_is_not_taken(site: Site) -> None:
    for instances in (1, 2, 3, 4):
        site.list(study(instances=instances))
        assert site.poll(STABLE).exams == 0

    assert site.poll(STABLE).exams == 1


def test_a_clock_that_was_put_back_does_not_make_a_study_wait_for_ever(site: Site) -> None:
    site.list(study())
    site.clock.advance(timedelta(days=5))
    site.poll()
    site.clock.advance(-timedelta(days=5))
    site.poll()

    assert site.poll(STABLE).exams == 1


def test_the_ehrs_own_list_is_read_with_it(site: Site, store: Store) -> None:
    site.ehr.put("p1", "1.2.1")
    site.ehr.put("p1", "1.2.9")
    site.list(study())
    site.poll()

    found = site.poll(STABLE)

    assert found.exams == 2
    assert sorted(job.study_uid or "" for job in jobs_now(site)) == ["1.2.1", "1.2.9"]
    assert store.unlist(EHR, "p1", [], NOW) == 2  # both are the EHR's


def test_what_the_ehr_lists_as_entered_in_error_no_archive_brings(site: Site, store: Store) -> None:
    site.ehr.put("p1", "1.2.1", status="entered-in-error")
    site.list(study())
    site.poll()

    assert site.poll(STABLE).exams == 0
    assert jobs_now(site) == []
    assert store.outcomes(EHR, "p1", [], MODEL.key) == {}


def test_an_image_that_comes_late_has_a_known_study_scored_again_and_a_report_does_not(site: Site) -> None:
    site.store.register([new_exam()], MODEL.key, NOW)
    site.store.save_score(claimed(site.store), scored())
    images = screening_exam("1.2.1", rows=8, columns=8)
    site.list(study(instances=4))
    site.pacs.studies["1.2.1"] = images[:3]
    site.poll()
    site.poll(STABLE)
    assert jobs_now(site) == []

    site.list(study(instances=5))
    site.pacs.studies["1.2.1"] = [*images[:3], cad_report("1.2.1")]
    site.poll()
    site.poll(STABLE)
    assert jobs_now(site) == []

    site.list(study(instances=6))
    site.pacs.studies["1.2.1"] = [*images, cad_report("1.2.1")]
    site.poll()
    site.poll(STABLE)
    assert [job.study_uid for job in jobs_now(site)] == ["1.2.1"]


class Dies(Store):
    """A store whose process is ended when a study is to be scored again."""

    def reopen_study(self, study_uid: str, now: datetime) -> int:
        raise KeyboardInterrupt


def test_a_process_that_dies_over_a_late_image_leaves_it_to_the_next_one(site: Site, engine: Engine) -> None:
    images = screening_exam("1.2.1", rows=8, columns=8)
    site.store.register([new_exam()], MODEL.key, NOW)
    site.store.save_score(claimed(site.store), scored())
    site.list(study(instances=3))
    site.pacs.studies["1.2.1"] = images[:3]
    site.poll()
    site.poll(STABLE)

    site.list(study(instances=4))
    site.pacs.studies["1.2.1"] = images
    site.poll()
    living, site.look = site.look, replace(site.look, store=Dies(engine))
    with pytest.raises(KeyboardInterrupt):
        site.poll(STABLE)
    site.look = living
    site.poll()

    assert [job.study_uid for job in jobs_now(site)] == ["1.2.1"]


def test_an_archive_that_sends_us_on_to_a_stranger_is_told_of(site: Site) -> None:
    site.pacs.listed = [UntrustedServer("it sends us on to another server")]

    assert site.poll().problems == ["the archives' new studies: it sends us on to another server"]


@pytest.mark.parametrize("patient_id", ["SOMEBODY", ""])
def test_a_study_of_somebody_whom_no_ehr_knows_is_told_of_and_looked_at_again(site: Site, patient_id: str) -> None:
    site.list(study(patient_id=patient_id))
    site.poll()

    for _ in range(2):
        found = site.poll(STABLE)
        assert found.problems == [
            "a study of an archive: no EHR knows a patient by the patient ID on its images; "
            "correct the archive or the EHR"
        ]
    site.ehr.patients["p1"]["identifier"] = [{"value": patient_id}]
    assert site.poll().exams == (1 if patient_id else 0)


def test_of_two_patients_with_one_patient_id_neither_gets_the_study(site: Site) -> None:
    site.ehr = ChartEhr("p1", "p2")
    site.look = replace(site.look, ehrs=[NightEhr(EHR, site.ehr.opening())])
    site.list(study())
    site.poll()

    found = site.poll(STABLE)

    assert (found.exams, len(found.problems)) == (0, 1)
    assert "2 patients have the patient ID on its images" in found.problems[0]


def test_a_record_that_another_one_replaced_is_nobody_to_whom_a_study_could_belong(site: Site) -> None:
    site.ehr = ChartEhr("p1", "p2")
    site.ehr.patients["p1"]["link"] = [{"type": "replaced-by", "other": {"reference": "Patient/p2"}}]
    site.look = replace(site.look, ehrs=[NightEhr(EHR, site.ehr.opening())])
    site.list(study())
    site.poll()

    assert site.poll(STABLE).problems == []
    assert [job.patient_id for job in jobs_now(site)] == ["p2"]


def test_where_not_all_who_may_have_a_patient_id_are_listed_nobody_gets_the_study(site: Site) -> None:
    class Cutting(ChartEhr):
        """It counts two patients and lists one."""

        def search(self, query: str) -> Json:
            """The first page of two."""
            return {**super().search(query), **({"total": 2} if query.startswith("Patient?") else {})}

    site.ehr = Cutting("p1")
    site.look = replace(site.look, ehrs=[NightEhr(EHR, site.ehr.opening())])
    site.list(study())
    site.poll()

    assert "who has the patient ID on its images is not known" in site.poll(STABLE).problems[0]
    assert jobs_now(site) == []


def test_a_patient_id_that_the_archive_corrects_has_the_study_compared_again(site: Site) -> None:
    site.store.register([new_exam()], MODEL.key, NOW)
    site.store.save_score(claimed(site.store), scored())
    site.list(study())
    site.poll()
    site.poll(STABLE)
    assert jobs_now(site) == []

    site.list(study(patient_id="MRN-2", instances=5))
    site.poll()
    site.poll(STABLE)

    assert [job.study_uid for job in jobs_now(site)] == ["1.2.1"]


def test_of_two_ehrs_that_know_a_patient_id_neither_gets_the_study(site: Site) -> None:
    another = ChartEhr("p9")
    ehrs = [NightEhr(EHR, site.ehr.opening()), NightEhr("ehr-2", another.opening())]
    site.look = replace(site.look, ehrs=ehrs)
    site.list(study())
    site.poll()

    found = site.poll(STABLE)
    assert found.problems == ["a study of an archive: 2 EHRs have a patient with the patient ID on its images"]
    assert jobs_now(site) == []

    another.patients["p9"]["identifier"] = [{"value": "MRN-9"}]
    site.poll()
    assert [job.ehr for job in jobs_now(site)] == [EHR]


def test_an_ehr_or_archive_that_cannot_be_asked_is_told_of_and_asked_again(site: Site) -> None:
    site.list(study())
    site.poll()
    site.ehr.failing[f"patient by {IDENTIFIER}"] = EhrUnreachable("no connection")
    assert site.poll(STABLE).problems == ["a study of an archive: no connection"]

    site.ehr.failing.clear()
    site.pacs.listed.append(PacsUnreachable("the archive does not answer"))
    found = site.poll()
    assert (found.exams, found.problems) == (1, ["the archives' new studies: the archive does not answer"])


# After a time without polls


def days_ago(site: Site, count: int) -> date:
    return site.clock.now.date() - timedelta(days=count)


def test_what_arrived_while_nobody_polled_is_taken_once_it_stood_still_however_long_that_was(site: Site) -> None:
    site.poll()
    site.clock.advance(timedelta(days=40))
    arrived = [study(f"1.2.{count}", day=days_ago(site, count)) for count in (1, 30, 40, 40 + DAYS)]
    site.list(*arrived, study("1.2.99", day=days_ago(site, 41 + DAYS)))

    assert site.poll().problems == []
    assert site.poll(STABLE).exams == len(arrived)
    assert {job.study_uid for job in jobs_now(site)} == {one.study_uid for one in arrived}


def test_an_archive_that_was_silent_is_read_from_before_its_silence(site: Site) -> None:
    site.poll()
    site.pacs.listed = [PacsUnreachable("the archive does not answer")]
    for _ in range(DAYS + 3):
        site.poll(timedelta(days=1))
    site.list(study(day=days_ago(site, DAYS + 2)))

    site.poll()
    assert site.poll(STABLE).exams == 1


def test_one_that_an_ehr_could_not_be_asked_about_is_not_given_up_when_its_days_are_over(site: Site) -> None:
    site.list(study())
    site.poll()
    site.ehr.failing[f"patient by {IDENTIFIER}"] = EhrUnreachable("no connection")
    for _ in range(DAYS + 3):
        assert site.poll(timedelta(days=1)).problems == ["a study of an archive: no connection"]

    site.ehr.failing.clear()
    assert site.poll().exams == 1


def test_of_one_that_is_nobodys_no_more_is_told_when_its_days_are_over(site: Site) -> None:
    site.list(study(patient_id="SOMEBODY"))
    site.poll()
    for _ in range(DAYS):
        assert len(site.poll(timedelta(days=1)).problems) == 1

    assert len(site.poll(timedelta(days=1)).problems) == 1
    assert site.poll().problems == []


def test_one_that_is_nobodys_when_the_archive_is_back_has_as_many_days_as_any_other(site: Site) -> None:
    site.poll()
    site.clock.advance(timedelta(days=40))
    site.list(study(patient_id="NEW", day=days_ago(site, 30)))
    site.poll()
    for _ in range(DAYS - 1):
        assert len(site.poll(timedelta(days=1)).problems) == 1

    site.ehr.patients["p1"]["identifier"] = [{"value": "NEW"}]
    assert site.poll().exams == 1


def test_one_that_never_ends_well_is_given_up_at_last_and_keeps_no_other_from_being_read(site: Site) -> None:
    asked = asked_days(site)
    site.list(study())
    site.ehr.failing[f"patient by {IDENTIFIER}"] = EhrUnreachable("no connection")
    for _ in range(LONGEST_SILENCE.days + DAYS + 1):
        site.poll(timedelta(days=1))
    assert len(asked) > LONGEST_SILENCE.days

    asked.clear()
    for _ in range(3):
        assert not any("last read" in problem for problem in site.poll(timedelta(days=1)).problems)
    assert len(asked) <= 2 * 3


def test_a_list_that_fails_keeps_the_younger_ones_from_nothing(site: Site) -> None:
    class Failing(FakeArchive):
        """It cannot tell of what is older than a month."""

        def find_since(self, day: date, before: date | None = None) -> Iterator[FoundStudy]:
            if day < days_ago(site, 30):
                raise PacsUnreachable("it does not answer")
            return super().find_since(day, before)

    site.poll()
    site.clock.advance(timedelta(days=60))
    failing = Failing({})
    site.look, site.pacs = replace(site.look, archive=failing), failing
    site.list(study(day=days_ago(site, 15)))

    assert site.poll().problems == ["the archives' new studies: it does not answer"]
    assert site.poll(STABLE).exams == 1


def test_an_archive_that_was_silent_from_the_first_day_on_is_made_up_for(site: Site) -> None:
    site.pacs.listed = [PacsUnreachable("the archive does not answer")]
    site.poll()
    site.clock.advance(timedelta(days=20))
    site.list(study(day=days_ago(site, 18)))

    site.poll()
    assert site.poll(STABLE).exams == 1


def test_a_poll_that_is_ended_has_not_read_all(site: Site) -> None:
    site.poll()
    site.clock.advance(timedelta(days=DAYS + 2))
    site.list(study(day=days_ago(site, DAYS + 1)))
    ended = Found()
    ended.stop.set()
    site.look(ended)

    site.poll()
    assert site.poll(STABLE).exams == 1


def test_of_a_time_that_is_too_long_to_be_made_up_for_that_is_told_and_the_rest_is_read(site: Site) -> None:
    site.poll()
    site.clock.advance(LONGEST_SILENCE + timedelta(days=5, hours=1))
    longest = LONGEST_SILENCE.days + DAYS
    site.list(study("1.2.1", day=days_ago(site, longest)), study("1.2.2", day=days_ago(site, longest + 1)))

    said = (
        "the archives' new studies: all were last read on 2026-05-20; of those dated before "
        f"{days_ago(site, longest)} only what an EHR lists is found"
    )
    assert site.poll().problems == [said]
    assert site.poll(STABLE).exams == 1
    assert site.poll().problems == []
    assert [job.study_uid for job in jobs_now(site)] == ["1.2.1"]


def asked_days(site: Site) -> list[int]:
    """How many days each list is of that the archive is asked for from now on."""
    asked: list[int] = []

    class Asked(FakeArchive):
        def find_since(self, day: date, before: date | None = None) -> Iterator[FoundStudy]:
            asked.append(((before or site.clock.now.date()) - day).days)
            return super().find_since(day, before)

    pacs = Asked({})
    site.look, site.pacs = replace(site.look, archive=pacs), pacs
    return asked


def test_each_list_of_what_was_missed_is_no_longer_than_the_usual_one(site: Site) -> None:
    asked = asked_days(site)
    site.poll()
    site.poll(timedelta(days=17))
    site.poll()

    assert asked == [DAYS, DAYS, DAYS, DAYS, 17 - 2 * DAYS, DAYS]


def test_after_a_clock_was_put_back_all_is_read_that_may_have_been_missed(site: Site) -> None:
    site.clock.advance(timedelta(days=500))
    site.poll()
    site.clock.advance(-timedelta(days=500))
    site.list(study(day=days_ago(site, LONGEST_SILENCE.days)))

    assert site.poll().problems == []
    assert site.poll(STABLE).exams == 1


# A patient's earlier exams


def priors(engine: Engine, pacs: FakeArchive) -> ArchivePriors:
    return ArchivePriors(pacs, Store(engine), MODEL.key, Clock())


def test_earlier_exams_that_an_archive_has_are_queued_once(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    pacs = FakeArchive({})
    pacs.listed = [study("1.2.1"), study("1.2.2"), study("1.2.3", "SOMEBODY")]

    assert priors(engine, pacs).find(EHR, PATIENT) == 1
    assert priors(engine, pacs).find(EHR, PATIENT) == 0
    assert [job.study_uid for job in jobs(store)] == ["1.2.1", "1.2.2"]
    assert sorted(store.outcomes(EHR, PATIENT, [], MODEL.key)) == ["1.2.2"]


def test_what_another_patient_has_on_record_is_not_taken_from_her(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1"), new_exam("1.2.2", "p2")], MODEL.key, NOW)
    pacs = FakeArchive({})
    pacs.listed = [study("1.2.2")]

    assert priors(engine, pacs).find(EHR, PATIENT) == 0
    assert [job.patient_id for job in jobs(store)] == [PATIENT, "p2"]


def test_of_a_patient_without_identifiers_nothing_is_asked(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1", patient_identifiers=())], MODEL.key, NOW)
    pacs = FakeArchive({})
    pacs.listed = [PacsUnreachable("it would not answer")]

    assert priors(engine, pacs).find(EHR, PATIENT) == 0


def test_an_archive_that_cannot_be_asked_is_not_an_archive_without_earlier_exams(engine: Engine, store: Store) -> None:
    store.register([new_exam("1.2.1")], MODEL.key, NOW)
    pacs = FakeArchive({})
    pacs.listed = [PacsUnreachable("the archive does not answer")]

    with pytest.raises(PacsUnreachable):
        priors(engine, pacs).find(EHR, PATIENT)
    assert store.count(MODEL.key, ScoringState.QUEUED) == 1
