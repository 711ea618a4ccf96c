"""Studies from a DICOMweb archive: whole, as stored, and from listed archives only."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from cds.errors import MammoTrendError, PacsError, PacsRefused, PacsUnreachable, StudyIncomplete, StudyNotFound
from cds.origins import SameOriginSession, listed, origin
from cds.pacs.completeness import check_end, check_study, is_image
from fhir_mappings.references import is_dicom_uid

AS_STORED = (("application/dicom", "*"),)
MAX_LISTING_PAGES = 50
# What dicomweb-client and pydicom raise on an answer that is not what it should be: no multipart, no JSON, no DICOM.
_UNREADABLE = (
    requests.RequestException,
    InvalidDicomError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_TRY_AGAIN = (429, 502, 503, 504)
# Hundreds of megabytes each, and no 2D model reads them.
_VOLUMES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis Image Storage
        "1.2.840.10008.5.1.4.1.1.13.1.4",  # Breast Projection X-Ray Image Storage - For Presentation
        "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray Image Storage - For Processing
    }
)


@dataclass(frozen=True)
class ArchiveRoot:
    """A DICOMweb root and the credentials for it alone: HTTPBasicAuth, BearerToken or None."""

    url: str
    auth: AuthBase | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Listed:
    """One instance as QIDO-RS lists it."""

    uid: str
    sop_class: str
    series_uid: str


class DicomWebArchive:
    """DICOMweb archives of one site; a study at a time, because each is held in memory whole."""

    def __init__(
        self,
        default_root: ArchiveRoot,
        allowed_roots: Sequence[ArchiveRoot] = (),
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 60.0,
        retries: int = 3,
        backoff_s: float = 0.5,
        verify: bool | str = True,
    ) -> None:
        self._default = default_root.url
        roots = (default_root, *allowed_roots)
        self._sessions = {root.url: _session(root.auth, retries, backoff_s, verify) for root in roots}
        timeout = (connect_timeout_s, read_timeout_s)
        self._clients = {url: _client(url, session, timeout) for url, session in self._sessions.items()}
        self._one_at_a_time = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        for session in self._sessions.values():
            session.close()

    def retrieve_study(self, study_uid: str, root: str | None = None) -> list[pydicom.Dataset]:
        """Every image of the study, whole and as it is stored; tomosynthesis by its header, without pixels.

        Raises PacsError (StudyNotFound, StudyIncomplete, PacsRefused, PacsUnreachable) or UntrustedServer.
        """
        url = listed(root or self._default, self._clients)
        if not is_dicom_uid(study_uid):
            raise StudyNotFound("the exam's study UID is not a DICOM UID; correct its ImagingStudy in the EHR")
        with self._one_at_a_time, _translated(origin(url)):
            return _study(self._clients[url], study_uid)


def _study(client: DICOMwebClient, study_uid: str) -> list[pydicom.Dataset]:
    instances = _listing(client, study_uid)
    if not instances:
        raise StudyNotFound("the archive lists no objects of the study")
    volumes = [instance for instance in instances if instance.sop_class in _VOLUMES]
    if volumes:
        flat = [instance for instance in instances if instance.sop_class not in _VOLUMES]
        received = [_instance(client, study_uid, instance) for instance in flat]
    else:
        flat = instances
        received = list(client.iter_study(study_uid, media_types=AS_STORED))
    check_study(received, study_uid, {instance.uid for instance in flat})
    images = {str(dataset.SOPInstanceUID): dataset for dataset in received if is_image(dataset)}
    return [*images.values(), *(_header(client, study_uid, volume) for volume in volumes)]


def _listing(client: DICOMwebClient, study_uid: str) -> list[_Listed]:
    """Every instance of the study, asked for until a page brings nothing new: not every archive honours `offset`."""
    found: dict[str, _Listed] = {}
    for _ in range(MAX_LISTING_PAGES):
        page = client.search_for_instances(study_uid, offset=len(found) or None)
        new = {row.uid: row for row in map(_row, page) if row.uid not in found}
        if not new:
            return list(found.values())
        found |= new
    raise PacsError("the archive's list of the objects of the study does not end")


def _row(attributes: Mapping[str, Any]) -> _Listed:
    return _Listed(
        uid=_first(attributes, "00080018"),
        sop_class=_first(attributes, "00080016"),
        series_uid=_first(attributes, "0020000E"),
    )


def _first(attributes: Mapping[str, Any], tag: str) -> str:
    element = attributes.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _instance(client: DICOMwebClient, study_uid: str, instance: _Listed) -> pydicom.Dataset:
    return client.retrieve_instance(study_uid, instance.series_uid, instance.uid, media_types=AS_STORED)


def _header(client: DICOMwebClient, study_uid: str, instance: _Listed) -> pydicom.Dataset:
    attributes = client.retrieve_instance_metadata(study_uid, instance.series_uid, instance.uid)
    attributes.pop("7FE00010", None)
    header = pydicom.Dataset.from_json(attributes, bulk_data_uri_handler=lambda _: b"")
    if header.get("StudyInstanceUID") != study_uid:
        raise StudyIncomplete("the archive sent a header of another study; nothing of it is used")
    return header


@contextmanager
def _translated(server: str) -> Iterator[None]:
    """Whatever goes wrong inside as a PacsError; the libraries' own words are left out, they quote URLs."""
    try:
        yield
    except MammoTrendError:
        raise
    except requests.HTTPError as error:
        error.response.close()  # a streamed answer would hold its connection
        raise _refusal(error.response.status_code, server) from None
    except requests.exceptions.ChunkedEncodingError:
        raise StudyIncomplete(f"the connection to {server} broke off within the study") from None
    except (requests.ConnectionError, requests.Timeout):
        raise PacsUnreachable(
            f"the archive at {server} does not answer; check that it runs, it is tried again"
        ) from None
    except _UNREADABLE as error:
        kind = type(error).__name__
        raise PacsError(f"the archive at {server} answered with something unreadable ({kind})") from None


def _refusal(status: int, server: str) -> PacsError:
    if status in (401, 403):
        return PacsRefused(f"the archive at {server} answered {status}: check its user or token in the settings")
    if status in (404, 410):
        return StudyNotFound(f"the archive at {server} does not have the study")
    if status == 429 or status >= 500:
        return PacsUnreachable(f"the archive at {server} answered {status}; it is tried again later")
    return PacsError(f"the archive at {server} answered {status}; check its DICOMweb root in the settings")


def _session(auth: AuthBase | None, retries: int, backoff_s: float, verify: bool | str) -> requests.Session:
    session = SameOriginSession(verify)
    session.auth = auth
    again = Retry(
        total=retries,
        backoff_factor=backoff_s,
        status_forcelist=_TRY_AGAIN,
        allowed_methods={"GET"},
        raise_on_status=False,
        respect_retry_after_header=False,  # an archive may say hours, and the study would hold the only place
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=again))
    session.hooks["response"].append(check_end)
    return session


def _client(url: str, session: requests.Session, timeout: tuple[float, float]) -> DICOMwebClient:
    # permissive_uid: real studies carry UIDs with leading zeros, and the archive decides what it has.
    client = DICOMwebClient(url.rstrip("/"), session=session, permissive_uid=True, timeout=timeout)
    client.set_http_retry_params(retry=False)  # the session's own retries also cover lost connections
    return client
