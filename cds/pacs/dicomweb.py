"""One DICOMweb archive: studies whole and as stored, lists, headers, and reports given to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import Dataset

from cds.errors import MammoTrendError, PacsError, ReportRejected, StudyIncomplete, StudyNotFound
from cds.pacs.archive import FoundStudy, OnListed, unheard
from cds.pacs.completeness import check_study, is_image
from cds.pacs.connection import ArchiveClient, ArchiveRoot, connected
from cds.pacs.listings import ListedInstance, listed_instances, listed_studies
from fhir_mappings.references import is_dicom_uid

AS_STORED = (("application/dicom", "*"),)
# Hundreds of megabytes each, and no 2D model reads them.
_VOLUMES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis Image Storage
        "1.2.840.10008.5.1.4.1.1.13.1.4",  # Breast Projection X-Ray Image Storage - For Presentation
        "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray Image Storage - For Processing
    }
)
_DUPLICATE = 0x0111
_BUSY = frozenset({0x0110, *range(0xA700, 0xA800)})
"""PS3.18, table I.2-2: a failure in processing, or no room; another try may succeed."""


class DicomWebArchive:
    """A DICOMweb archive, for any number of threads. Its methods raise PacsError or UntrustedServer."""

    def __init__(self, root: ArchiveRoot, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock_s = root, clock_s

    @property
    def url(self) -> str:
        """Its DICOMweb root."""
        return self._root.url

    def retrieve_study(self, study_uid: str, on_listed: OnListed = unheard) -> list[Dataset]:
        """Every image of the study, whole and as it is stored; tomosynthesis by its header, without pixels.

        `on_listed` is told how many are to come with their pixels.
        """
        _check_uid(study_uid)
        with connected(self._root, self._clock_s) as client:
            instances = _existing(client, study_uid)
        flat = [instance for instance in instances if instance.sop_class not in _VOLUMES]
        on_listed(sum(instance.is_mammogram for instance in flat))
        # A connection of its own: how long that waited is not the archive's.
        with connected(self._root, self._clock_s) as client:
            return _study(client, study_uid, instances)

    def headers(self, study_uid: str) -> list[Dataset]:
        """The header of every object of the study, without pixels."""
        _check_uid(study_uid)
        with connected(self._root, self._clock_s) as client:
            headers = [_header(attributes, study_uid) for attributes in client.retrieve_study_metadata(study_uid)]
        if not headers:
            raise StudyNotFound("the archive lists no objects of the study")
        return headers

    def image_uids(self, study_uid: str) -> frozenset[str]:
        """The SOP Instance UIDs of the study's mammograms."""
        _check_uid(study_uid)
        with connected(self._root, self._clock_s) as client:
            instances = _existing(client, study_uid)
        return frozenset(instance.uid for instance in instances if instance.is_mammogram)

    def studies(self, filters: Mapping[str, str]) -> Iterator[FoundStudy]:
        """The mammography studies that it gives for these keys; whether they fit is the caller's to check.

        Where it does not give all, that is raised after the rest.
        """
        listed: list[FoundStudy] = []
        problem: MammoTrendError | None = None
        try:
            with connected(self._root, self._clock_s) as client:
                for study in listed_studies(client, self._root.url, filters):
                    listed.append(study)  # one by one: what came before a fault is kept
        except MammoTrendError as fault:
            problem = fault
        yield from listed
        if problem is not None:
            raise problem

    def greet(self) -> None:
        """Ask for any one study; that it has none is an answer, too."""
        with connected(self._root, self._clock_s) as client:
            client.search_for_studies(limit=1)

    def store(self, report: Dataset) -> None:
        """Store an object; the same one a second time changes nothing."""
        with connected(self._root, self._clock_s) as client:
            outcome = _stored(client, report)
        _check_outcome(outcome, str(report.SOPInstanceUID))


def _check_uid(study_uid: str) -> None:
    if not is_dicom_uid(study_uid):
        raise StudyNotFound("the exam's study UID is not a DICOM UID; correct its ImagingStudy in the EHR")


def _study(client: ArchiveClient, study_uid: str, instances: Sequence[ListedInstance]) -> list[Dataset]:
    volumes = [instance for instance in instances if instance.sop_class in _VOLUMES]
    flat = [instance for instance in instances if instance.sop_class not in _VOLUMES]
    if volumes:
        received = [_instance(client, study_uid, instance) for instance in flat]
    else:
        received = list(client.iter_study(study_uid, media_types=AS_STORED))
    check_study(received, study_uid, {instance.uid for instance in flat})
    images = {str(dataset.SOPInstanceUID): dataset for dataset in received if is_image(dataset)}
    return [*images.values(), *(_volume(client, study_uid, volume) for volume in volumes)]


def _existing(client: ArchiveClient, study_uid: str) -> list[ListedInstance]:
    instances = listed_instances(client, study_uid)
    if not instances:
        raise StudyNotFound("the archive lists no objects of the study")
    return instances


def _instance(client: DICOMwebClient, study_uid: str, instance: ListedInstance) -> Dataset:
    return client.retrieve_instance(study_uid, instance.series_uid, instance.uid, media_types=AS_STORED)


def _volume(client: DICOMwebClient, study_uid: str, instance: ListedInstance) -> Dataset:
    return _header(client.retrieve_instance_metadata(study_uid, instance.series_uid, instance.uid), study_uid)


def _header(attributes: Mapping[str, Any], study_uid: str) -> Dataset:
    kept = {tag: element for tag, element in attributes.items() if tag != "7FE00010"}
    header = pydicom.Dataset.from_json(kept, bulk_data_uri_handler=lambda _: b"")
    if header.get("StudyInstanceUID") != study_uid:
        raise StudyIncomplete("the archive sent a header of another study; nothing of it is used")
    return header


def _stored(client: DICOMwebClient, report: Dataset) -> Dataset:
    """What the archive says of storing it (PS3.18, 10.5.3): a success and a failure say it in the same words."""
    try:
        return client.store_instances([report])
    except requests.HTTPError as refusal:
        status = refusal.response.status_code
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            raise PacsError("the archive takes no objects at its DICOMweb root (STOW-RS); check it") from None
        if status not in (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT):  # Orthanc says 400 where the standard has 409
            raise
        return pydicom.Dataset.from_json(refusal.response.json())


def _check_outcome(outcome: Dataset, sop_uid: str) -> None:
    """An archive may answer 200 and have stored nothing: only its list of what it holds now counts."""
    if any(one.get("ReferencedSOPInstanceUID") == sop_uid for one in outcome.get("ReferencedSOPSequence") or []):
        return
    failed = [one for one in outcome.get("FailedSOPSequence") or [] if one.get("ReferencedSOPInstanceUID") == sop_uid]
    if not failed:
        raise PacsError("the archive does not say whether it stored the report; it is sent again")
    reason = int(failed[0].get("FailureReason") or 0)
    if reason == _DUPLICATE:
        return
    if reason in _BUSY:
        raise PacsError(f"the archive could not store the report now (reason {reason:04X}); it is sent again")
    raise ReportRejected(f"the archive does not accept the report (reason {reason:04X}); ask its administrator")
