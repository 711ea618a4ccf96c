"""Sends an exam's score to its archive as a DICOM structured report, in the exam's own study."""

from __future__ import annotations

from collections.abc import Mapping

from cds.errors import MammoTrendError
from cds.pacs.archive import ImageArchive
from cds.pacs.score_report import score_report
from cds.store.outbox import Delivery
from cds.store.store import Store
from hooks.card_details import banners
from hooks.site import Site
from model.domain import ScoredExam


class ScoreGone(MammoTrendError):
    """The exam is no longer on record as scored, so there is nothing to report."""

    may_pass = False


class ReportDelivery:
    """Builds the report from the stored score and the archive's own headers."""

    def __init__(self, archive: ImageArchive, store: Store, root: str, sites: Mapping[str, Site]) -> None:
        self._archive, self._store, self._root, self._sites = archive, store, root, sites

    def __call__(self, delivery: Delivery) -> str | None:
        """Store the report; an archive gives no reference for it."""
        exam = self._exam(delivery)
        headers = self._archive.headers(exam.study_uid)
        said = banners(self._sites.get(delivery.ehr, Site()), exam.score.model)
        report = score_report(exam, headers, revision=delivery.revision, banner=" ".join(said))
        self._archive.store_report(report, self._root)
        return None

    def _exam(self, delivery: Delivery) -> ScoredExam:
        exam = self._store.scored(delivery.ehr, delivery.patient_id, delivery.study_uid, delivery.model)
        if exam is None:
            raise ScoreGone("the exam is no longer on record as scored: there is nothing to report")
        return exam
