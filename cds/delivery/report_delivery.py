"""Sends an exam's score to its archive as a DICOM structured report, in the exam's own study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cds.errors import MammoTrendError
from cds.pacs.archive import ImageArchive
from cds.pacs.score_report import ReportName, score_report
from cds.store.outbox import Arrived, Delivery
from cds.store.store import Store
from hooks.card_details import banners
from hooks.site import Site
from model.domain import ScoredExam


class ScoreGone(MammoTrendError):
    """The exam is not on record as scored, so there is nothing to report now: it is scored again, or was refused."""


class ReportDelivery:
    """Builds the report from the stored score and the archive's own headers."""

    def __init__(self, archive: ImageArchive, store: Store, root: str, sites: Mapping[str, Site]) -> None:
        self._archive, self._store, self._root, self._sites = archive, store, root, sites

    def __call__(self, delivery: Delivery) -> str | None:
        """Store the report; its UID."""
        exam = self._exam(delivery)
        headers = self._archive.headers(exam.study_uid)
        said = " ".join(banners(self._sites.get(delivery.ehr, Site()), exam.score.model))
        before = [one for one in delivery.arrived if one.revision < delivery.revision]
        replaces = _stored(delivery, before[-1]) if before else None
        report = score_report(exam, headers, _name(delivery), replaces=replaces, banner=said)
        self._archive.store_report(report, self._root)
        return str(report.SOPInstanceUID)

    def _exam(self, delivery: Delivery) -> ScoredExam:
        exam = self._store.scored(delivery.ehr, delivery.patient_id, delivery.study_uid, delivery.model)
        if exam is None:
            raise ScoreGone("the exam has no score at the moment: it is reported once it is scored again")
        return exam


def _name(delivery: Delivery) -> ReportName:
    """Of one study there may be a report for each EHR that lists it, and for each patient under whom it was filed."""
    return ReportName(f"{delivery.ehr}/{delivery.identifier}", delivery.revision)


def _stored(delivery: Delivery, arrived: Arrived) -> ReportName:
    """Reports of which no UID is on record were named by study and model alone."""
    if arrived.reference is None:
        return ReportName(f"{delivery.study_uid}/{delivery.model}", arrived.revision)
    return replace(_name(delivery), revision=arrived.revision)
