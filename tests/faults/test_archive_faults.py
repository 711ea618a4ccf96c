"""An archive that is down, slow, cut short, closed to us or mistaken holds exams, and never scores a wrong one."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from cds.store.audit import Action
from tests.faults.books import audited, scores
from tests.faults.front import Fault, answering, dripping, of_another, truncating
from tests.faults.site import STUDY_TIMEOUT_S, Site

pytestmark = pytest.mark.slow

ALL = ["1.2.0", "1.2.1", "1.2.2", "1.2.3"]


def test_without_a_fault_a_night_does_everything(site: Site) -> None:
    summary = site.night()

    assert (summary.found, summary.scored, summary.written, summary.problems) == (5, 4, 3, ())
    assert site.unfinished() == []
    assert scores(site.engine) == ALL


def test_an_archive_that_is_down_holds_every_exam_and_they_are_scored_once_it_is_back(site: Site) -> None:
    with site.pacs.down():
        summary = site.night()
    assert sum(summary.failed.values()) == 5
    assert [reason for reason in site.held() if "does not answer" not in str(reason)] == []
    assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []
    assert audited(site.engine, Action.SCORED) == dict.fromkeys(ALL, 1)


def test_an_archive_that_stays_down_is_asked_ever_less_often(site: Site) -> None:
    with site.pacs.failing(answering(503)):
        site.night()
        for _ in range(24):
            site.later(timedelta(hours=1))
        asked_on_the_first_day = len(site.pacs.asked)
        for _ in range(24):
            site.later(timedelta(hours=1))
    # Every six hours each of the five exams, twice: the connection itself repeats a 503 once.
    assert len(site.pacs.asked) - asked_on_the_first_day <= 4 * 5 * 2
    assert site.unbalanced() == []

    site.later()
    assert site.unfinished() == []


@pytest.mark.parametrize("asked", ["/instances", r"/studies/1\.2\.\d$"], ids=["list", "images"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (answering(401), "answered 401"),
        (answering(403), "answered 403"),
        (answering(429, Retry_After="86400"), "answered 429"),
        (answering(500), "answered 500"),
        (answering(204), ""),
        (truncating(), ""),
    ],
    ids=["401", "403", "429", "500", "204", "truncated"],
)
def test_what_goes_wrong_with_an_archive_holds_the_exams_with_its_reason_until_it_is_repaired(
    site: Site, fault: Fault, said: str, asked: str
) -> None:
    with site.pacs.failing(fault, asked):
        summary = site.night()
    assert (summary.scored, sum(summary.failed.values())) == (0, 5)
    assert all(said in str(reason) for reason in site.held())
    assert scores(site.engine) == []
    assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []


@pytest.mark.parametrize("asked", ["/instances", r"/studies/1\.2\.\d$"], ids=["list", "images"])
def test_an_archive_that_drips_is_left_after_the_time_of_one_study(site: Site, asked: str) -> None:
    began = time.monotonic()
    with site.pacs.failing(dripping(0.2, longest_s=STUDY_TIMEOUT_S + 1), asked):
        summary = site.night()
    took_s = time.monotonic() - began

    # Five exams by two threads, each given up on after its time; whole answers would take minutes.
    assert took_s < 3 * 10 * STUDY_TIMEOUT_S
    assert list(summary.failed) == [
        f"the archive at {site.pacs.url} did not finish within {STUDY_TIMEOUT_S:g} s; "
        "it is tried again, see study_timeout_s in the settings"
    ]

    site.later()
    assert site.unfinished() == []


def test_images_of_another_study_are_never_scored_for_the_one_that_was_asked_for(site: Site) -> None:
    with site.pacs.failing(of_another("1.2.2", "1.2.3")):
        site.night()
    assert scores(site.engine) == ["1.2.0", "1.2.1", "1.2.3"]
    assert list(site.held().values()) == [1]
    assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []


def test_images_that_carry_another_patients_id_are_held_until_the_archive_is_corrected(site: Site) -> None:
    site.admit("p4", "1.2.5", dicom_id="MRN-p1")
    site.night()
    assert scores(site.engine) == ALL
    assert ["patient ID" in str(reason) for reason in site.held()] == [True]
    assert site.unbalanced() == []

    site.name_images("1.2.5", "MRN-p4")
    site.later()

    assert site.unfinished() == []
    assert len(site.charts.all("RiskAssessment")) == 4


def test_one_study_that_the_archive_lost_holds_neither_the_others_nor_her_own_other_exam(site: Site) -> None:
    with site.pacs.failing(answering(404), r"1\.2\.0"):
        site.night()
        site.later()
    assert len(site.charts.all("RiskAssessment")) == 3
    assert list(site.held().values()) == [1]
    assert site.unbalanced() == []

    site.later()

    assert site.unfinished() == []
