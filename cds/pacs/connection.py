"""Connections to a DICOMweb archive: one for each question, with its credentials, limits and errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

import requests
from dicomweb_client.web import DICOMwebClient
from pydicom import Dataset
from requests.auth import AuthBase
from urllib3.util import Retry

from cds.addresses import Destinations
from cds.deadline import InTimeAdapter
from cds.dicom_file import UNREADABLE, read_file
from cds.errors import MammoTrendError, PacsError, PacsRefused, PacsUnreachable, StudyIncomplete, StudyNotFound
from cds.origins import SameOriginSession, origin
from cds.pacs.completeness import MOST_BYTES, check_end

# What dicomweb-client and pydicom raise on an answer that is not what it should be: no multipart, no JSON, no DICOM.
_UNREADABLE = (requests.RequestException, *UNREADABLE)
_STORED_FILES = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_TRY_AGAIN = (429, 502, 503, 504)


@dataclass(frozen=True)
class ArchiveRoot:
    """A DICOMweb root, what is for it alone (HTTPBasicAuth, BearerToken or None), and how long it may take."""

    url: str
    auth: AuthBase | None = field(default=None, repr=False)
    verify: bool | str = True
    destinations: Destinations | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    whole_timeout_s: float = 600.0
    """For all of one study or search, however steadily it drips; a request still waiting may add its own timeouts."""
    most_bytes: int = MOST_BYTES
    """Of one answer: all of a study comes in one, and is kept in memory."""
    retries: int = 3
    backoff_s: float = 0.5


@contextmanager
def connected(root: ArchiveRoot, clock_s: Callable[[], float] = time.monotonic) -> Iterator[ArchiveClient]:
    """A client for one question; whatever goes wrong inside the block is a PacsError or UntrustedServer.

    A session is not safe for several threads, so each question has its own; beside a study a connection costs nothing.
    """
    server = origin(root.url)
    ends = clock_s() + root.whole_timeout_s

    def in_time() -> None:
        if clock_s() > ends:
            raise PacsUnreachable(
                f"the archive at {server} did not finish within {root.whole_timeout_s:g} s; "
                "it is tried again, see study_timeout_s in the settings"
            )

    with _session(root, in_time) as session, _translated(server):
        yield _client(root, session)


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
        raise StudyIncomplete(f"the connection to {server} broke off within the answer; it is tried again") from None
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


def _session(root: ArchiveRoot, in_time: Callable[[], None]) -> requests.Session:
    session = SameOriginSession(root.verify, root.destinations)
    session.auth = root.auth
    # For what dicomweb-client asks for without a word: the outcome of storing.
    session.headers["Accept"] = "application/dicom+json"
    again = Retry(
        total=root.retries,
        backoff_factor=root.backoff_s,
        status_forcelist=_TRY_AGAIN,
        allowed_methods={"GET"},
        raise_on_status=False,
        respect_retry_after_header=False,  # an archive may say hours, and the study would hold its place
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, InTimeAdapter(in_time, max_retries=again))
    session.hooks["response"].append(partial(check_end, most_bytes=root.most_bytes))
    return session


class ArchiveClient(DICOMwebClient):
    """Reads the files that arrive within bounds, where its parent inflates whatever comes, and hears what is cut."""

    was_cut = False
    """Whether the archive said of its last answer that there is more than it gave."""

    def _http_get(
        self,
        url: str,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        response = super()._http_get(url, params=params, headers=headers, stream=stream)
        self.was_cut = _says_more(response.headers.get("Warning", ""))
        return response

    def _http_get_multipart_application_dicom(
        self, url: str, media_types: Any = None, params: Any = None, stream: bool = False
    ) -> Iterator[Dataset]:
        response = self._http_get(url, params=params, headers=dict(_STORED_FILES), stream=stream)
        # Some archives send the file of an instance without a multipart around it.
        if response.headers["Content-Type"].startswith("application/dicom"):
            parts: Iterator[bytes] = iter([response.content])
        else:
            parts = self._decode_multipart_message(response, stream=stream)
        return (read_file(BytesIO(part)) for part in parts)


def _says_more(warning: str) -> bool:
    """Whether it is that of PS3.18, 8.3.4.4; in other words code 299 says that a key was not understood."""
    words = warning.lower()
    return "299" in words and any(said in words for said in ("additional", "exceed", "truncated"))


def _client(root: ArchiveRoot, session: requests.Session) -> ArchiveClient:
    timeout = (root.connect_timeout_s, root.read_timeout_s)
    # permissive_uid: real studies carry UIDs with leading zeros, and the archive decides what it has.
    client = ArchiveClient(root.url.rstrip("/"), session=session, permissive_uid=True, timeout=timeout)
    client.set_http_retry_params(retry=False)  # the session's own retries also cover lost connections
    return client
