"""The report of a score in the archive: once, of the right assessment, after the one that it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from pydicom.dataset import Dataset, FileDataset
from sqlalchemy import Engine, update

from cds.delivery.outbox import Outbox
from cds.delivery.report_delivery import ReportDelivery
from cds.delivery.reporting import ReportedEhr, Reporter
from cds.errors import PacsUnreachable
from cds.pacs.score_report import ReportName
from cds.store import tables
from cds.store.assessments import AssessmentRecords
from cds.store.outbox import OutboxRecords
from cds.store.store import Store
from cds.store.tables import Destination, OutboxState
from fhir_mappings.risk_assessments import assessment_identifier
from model.domain import ScoredExam
from tests.builders import screening_exam
from tests.cds.builders import EHR, LEASE, MODEL, NOW, PATIENT, Clock, join, new_exam
from tests.cds.pacs.reports import STUDY, measurement_groups, scored_from
from tests.fakes import FakeArchive

REPORT = frozenset({Destination.REPORT})


class ReportArchive(FakeArchive):
    """An archive that keeps the first object of each UID, and does not answer while it is `down`."""

    def __init__(self, images: Sequence[FileDataset]) -> None:
        super().__init__({STUDY: images})
        self.down = False

    def store_report(self, report: Dataset, root: str) -> None:
        """Keep it."""
        if self.down:
            raise PacsUnreachable("no answer")
        if report.SOPInstanceUID not in {str(one.SOPInstanceUID) for one, _ in self.stored}:
            super().store_report(report, root)


class Site:
    """Scores that come to rest in a store, and their way to the archive."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.store, self.clock = engine, Store(engine), Clock()
        self.images = screening_exam(STUDY)
        self.archive = ReportArchive(self.images)

    def score(self, five_year: float, ehr: str = EHR, patient_id: str = PATIENT) -> None:
        """Have the study scored with such images, assessed and reported."""
        self.store.register([new_exam(STUDY, patient_id, ehr)], MODEL.key, self.clock())
        self.store.reopen_study(STUDY, self.clock())
        while job := self.store.claim(MODEL.key, self.clock(), LEASE):
            self.store.save_score(job, self.exam(five_year))
        self.report()

    def exam(self, five_year: float) -> ScoredExam:
        """A score of images with other pixels for each risk."""
        exam = scored_from(self.images, five_year=five_year)
        images = tuple(replace(image, sha256=f"{five_year}") for image in exam.provenance.images)
        return replace(exam, provenance=replace(exam.provenance, images=images))

    def report(self) -> None:
        """Assess and deliver what is due."""
        told = {ehr: ReportedEhr(destinations=REPORT) for ehr in (EHR, "ehr-2")}
        reporter = Reporter(AssessmentRecords(self.engine), MODEL, join, told, self.clock)
        while reporter.report_next():
            pass
        deliver = ReportDelivery(self.archive, self.store, "https://pacs/dicomweb", {})
        outbox = Outbox(OutboxRecords(self.engine), {Destination.REPORT: deliver}, self.clock)
        while outbox.deliver_next():
            pass

    def stored(self) -> list[tuple[float, list[str]]]:
        """Each report in the archive: its five-year risk in percent, and the UIDs of what it replaces."""
        return [(round(_five_year(report), 6), _replaced(report)) for report, _ in self.archive.stored]

    def uids(self) -> list[str]:
        """Of the reports in the archive."""
        return [str(report.SOPInstanceUID) for report, _ in self.archive.stored]

    def states(self) -> list[OutboxState]:
        """Of the letters."""
        return [letter.state for letter in OutboxRecords(self.engine).letters(list(OutboxState))]


def _five_year(report: Dataset) -> float:
    (group,) = measurement_groups(report)
    return float(group.get_measurements()[-1].value)


def _replaced(report: Dataset) -> list[str]:
    return [
        str(named.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for named in series.ReferencedSOPSequence
    ]


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def test_a_new_score_is_reported_as_what_replaces_the_last_report(site: Site) -> None:
    for five_year in (0.02, 0.05):
        site.score(five_year)

    assert site.stored() == [(2.0, []), (5.0, [site.uids()[0]])]


def test_a_study_that_is_moved_to_another_patient_has_a_report_of_its_own(site: Site) -> None:
    site.score(0.02)
    site.store.unlist(EHR, PATIENT, [], NOW)
    site.score(0.05, patient_id="p2")

    assert site.stored() == [(2.0, []), (5.0, [])]


def test_two_ehrs_that_share_an_archive_have_a_report_each(site: Site) -> None:
    site.score(0.02)
    site.score(0.05, "ehr-2", "q1")

    assert sorted(risk for risk, _ in site.stored()) == [2.0, 5.0, 5.0]
    assert len(set(site.uids())) == 3


def test_a_revision_that_had_no_report_is_not_named_as_replaced(site: Site) -> None:
    site.score(0.02)
    site.store.register([new_exam("1.2.0")], MODEL.key, NOW)
    job = site.store.claim(MODEL.key, site.clock(), LEASE)
    assert job is not None
    earlier = replace(site.exam(0.01), study_uid="1.2.0", performed_on=NOW.date() - timedelta(days=400))
    site.store.save_score(job, earlier)
    site.report()  # the note says something else, the numbers do not

    site.score(0.05)

    assert site.stored() == [(2.0, []), (5.0, [site.uids()[0]])]


def test_a_report_from_before_their_uids_were_kept_is_named_as_it_was(engine: Engine, site: Site) -> None:
    site.score(0.02)
    with engine.begin() as connection:
        connection.execute(update(tables.Outbox).values(reference=None))

    site.score(0.05)

    assert site.stored()[1] == (5.0, [ReportName(f"{STUDY}/{MODEL.key}", 1).uid("report")])


def test_its_uid_names_the_assessment_and_the_ehr(site: Site) -> None:
    site.score(0.02)

    identifier = assessment_identifier(site.exam(0.02), PATIENT)
    assert site.uids() == [ReportName(f"{EHR}/{identifier}", 1).uid("report")]


def test_a_report_waits_while_its_exam_is_scored_again(site: Site) -> None:
    site.archive.down = True
    site.score(0.02)
    site.archive.down = False
    site.store.reopen_study(STUDY, site.clock())
    site.clock.advance(timedelta(minutes=2))
    site.report()
    assert site.states() == [OutboxState.QUEUED]

    site.score(0.02)
    site.clock.advance(timedelta(hours=6))
    site.report()

    assert site.stored() == [(2.0, [])]
    assert site.states() == [OutboxState.DELIVERED]


def test_of_a_study_that_is_no_longer_hers_no_report_is_sent_that_still_waited(site: Site) -> None:
    site.archive.down = True
    site.score(0.02)
    site.archive.down = False

    site.store.unlist(EHR, PATIENT, [], NOW)
    site.clock.advance(timedelta(days=1))
    site.report()

    assert site.stored() == []
    assert site.states() == [OutboxState.OVERTAKEN]
