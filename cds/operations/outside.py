"""The EHRs and archives of a site, asked for what any of them answers, to see whether they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from requests.auth import HTTPBasicAuth

from cds.addresses import Destinations
from cds.ehr.capability import Capability, read_capability
from cds.ehr.exchange import Exchange, given_token
from cds.origins import SameOriginSession
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.settings import EhrSettings, PacsSettings, Settings

ANSWERS = "answers"
LONGEST_S = 5.0
"""For whoever looks at the service: an archive that needs longer for one row is as good as silent."""


def outside(settings: Settings) -> Mapping[str, Callable[[], str]]:
    """How to ask each system of a site whether it answers, by what it is called there."""

    def ehr_answers(ehr: EhrSettings) -> str:
        capability(ehr, settings, ehr.timeout_s)
        return ANSWERS

    def archive_answers(pacs: PacsSettings) -> str:
        greet(pacs, settings, LONGEST_S)
        return ANSWERS

    ehrs = {f"EHR {ehr.name}": partial(ehr_answers, ehr) for ehr in settings.ehrs}
    return ehrs | {f"archive {pacs.name}": partial(archive_answers, pacs) for pacs in settings.pacs}


def capability(ehr: EhrSettings, settings: Settings, timeout_s: float) -> Capability:
    """What an EHR says of itself; needs no token. Raises EhrError or UntrustedServer."""
    with SameOriginSession(verify(ehr.ca_file), Destinations(settings.private_networks)) as session:
        return read_capability(ehr.fhir_server, Exchange(ehr.fhir_server, given_token(None), timeout_s, session))


def greet(pacs: PacsSettings, settings: Settings, timeout_s: float) -> None:
    """Search an archive for one study, with our credentials. Raises PacsError, UntrustedServer or SettingsError."""
    DicomWebArchive(archive_root(pacs, settings, whole_timeout_s=timeout_s, retries=0)).greet()


def archive_root(
    pacs: PacsSettings, settings: Settings, whole_timeout_s: float | None = None, retries: int = ArchiveRoot.retries
) -> ArchiveRoot:
    """How an archive is reached, as the settings have it."""
    whole_s = whole_timeout_s or pacs.study_timeout_s
    return ArchiveRoot(
        pacs.dicomweb_root,
        HTTPBasicAuth(pacs.username, pacs.secret() or "") if pacs.username else None,
        verify(pacs.ca_file),
        Destinations(settings.private_networks),
        read_timeout_s=min(pacs.read_timeout_s, whole_s),
        whole_timeout_s=whole_s,
        retries=retries,
    )


def verify(ca_file: Path | None) -> bool | str:
    """What requests calls `verify`: the site's own certificate authorities, or the public ones."""
    return str(ca_file) if ca_file else True
