"""Calls whose chart, server or patient is not what it says: the other woman's, another server's, or endless."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hooks.service import Service
from tests.builders import imaging_study, searchset
from tests.cds.builders import service_request
from tests.hostile.asking import URLS, Attempt, posting
from tests.hostile.values import places, replaced
from tests.hostile.women import HOSTILE_VALUE, WOMEN, Json, Woman, chart, hook_call, other

_INSIDE_HOSTS = (
    "169.254.169.254",
    "127.0.0.1",
    "localhost",
    "0.0.0.0",  # noqa: S104 - an address that is asked for, not one to listen at
    "2130706433",
    "0x7f000001",
    "017700000001",
    "127.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "metadata.google.internal",
    "10.0.0.1",
    "192.168.0.1",
    "127.0.0.1.nip.io",
    "ehr.example.evil.example",
    "evil-ehr.example",
    "ehr.example.",
    "ehr。example",
    "\N{CYRILLIC SMALL LETTER IE}hr.example",
    "EHR.example@evil.example",
    "evil.example#@ehr.example",
    "evil.example?@ehr.example",
    "evil.example\\@ehr.example",
    "ehr.example:80@evil.example",
    "user:pass@ehr.example",
    "ehr.example:0",
    "ehr.example:65536",
    "ehr.example:443:443",
    "ehr.example:-1",
    "ehr.example%00.evil.example",
    "ehr.example%2f@evil.example",
    "",
    "-",
    "[",
    "x" * 5000,
)
ADDRESSES = (
    *(f"{scheme}://{host}/r4" for scheme in ("https", "http") for host in _INSIDE_HOSTS),
    "file:///etc/passwd",
    "gopher://ehr.example/r4",
    "ftp://ehr.example/r4",
    "javascript:alert(1)",
    "data:application/json,{}",
    "unix:///var/run/docker.sock",
    "//ehr.example/r4",
    "/r4",
    "https:ehr.example/r4",
    "https:///ehr.example/r4",
    "https://ehr.example/r4/../admin",
    "https://ehr.example/r4%2f..%2fadmin",
    "https://ehr.example/r4?x=1",
    "https://ehr.example/r4#x",
    "https://ehr.example/r4;x",
    "https://ehr.example/r4\r\nHost: evil.example",
    "https://ehr.example/\x00",
    "https://ehr.example/\ud800",
    "http://ehr.example/r4",
    "https://ehr.example",
    "https://ehr.example:8443/r4",
)
"""None of them is an address of the site's EHR."""


def foreign_servers(service: Service) -> Iterator[Attempt]:
    """Calls that name another FHIR server, with nothing in their prefetch: all would have to be read there."""
    for woman in WOMEN:
        for address in ADDRESSES:
            body = {**hook_call(service, woman), "fhirServer": address, "prefetch": {}}
            yield posting(URLS[service.hook], body, woman, 400, 403)


def hers_at_every_place(service: Service) -> Iterator[Attempt]:
    """Calls about one woman in which one value, whatever holds it too, is the other's."""
    for woman in WOMEN:
        body, foreign = hook_call(service, woman), hook_call(service, other(woman))
        for at in places(body):
            if not _IS_SAID_AGAIN.search("/".join(map(str, at))):
                yield posting(URLS[service.hook], replaced(body, at, _at(foreign, at)), woman)
        for patient_id in (other(woman).id, f"Patient/{other(woman).id}"):
            swapped = replaced(body, ("context", "patientId"), patient_id)
            yield posting(URLS[service.hook], swapped, woman, 400)  # the access token is for another


# With these the call itself is the other's, or it names what the answer may refer to.
_IS_SAID_AGAIN = re.compile(r"^$|^context$|Id$|^fhirAuthorization$|mammograms/entry/0/resource/id$")


def _at(value: Any, at: tuple[str | int, ...]) -> Any:
    for name in at:
        value = value[name]
    return value


def odd_charts(service: Service) -> Iterator[Attempt]:
    """Calls with prefetches that lead elsewhere, in circles, or on and on."""
    for woman in WOMEN:
        for odd in _odd_bundles(woman):
            for key in chart(woman):
                body = hook_call(service, woman)
                body["prefetch"][key] = odd
                yield posting(URLS[service.hook], body, woman)


def _odd_bundles(woman: Woman) -> Iterator[Json]:
    for address in (f"https://evil.example/{HOSTILE_VALUE}", "http://169.254.169.254/", "?page=2", "file:///x", "\x00"):
        yield searchset(link=[{"relation": "next", "url": address}])
    yield searchset(total=10**30)
    yield searchset(searchset(searchset(*chart(woman).values())))
    yield searchset(*chart(other(woman)).values(), *chart(woman).values())
    yield chart(other(woman))["patient"]
    yield chart(other(woman))["mammograms"]
    yield chart(other(woman))["orders"]
    yield from _odd_exams(woman)
    yield searchset(*(service_request("77067", f"o{number}", woman.id) for number in range(500)))


def _odd_exams(woman: Woman) -> Iterator[Json]:
    hers, foreign = woman.study_uid, other(woman).study_uid
    circle = [
        {"resourceType": "Endpoint", "id": "a", "managingOrganization": {"reference": "#b"}, "contained": []},
        {"resourceType": "Endpoint", "id": "b", "partOf": {"reference": "#a"}, "address": "http://169.254.169.254/"},
    ]
    yield searchset(imaging_study(woman.id, "2026-05-03", hers, contained=circle, endpoint=[{"reference": "#a"}]))
    yield searchset(imaging_study(woman.id, "2026-05-03", foreign))
    yield searchset(imaging_study(woman.id, "2026-05-03", hers), imaging_study(woman.id, "2026-05-04", foreign))
    yield searchset(imaging_study(other(woman).id, "2026-05-03", hers))
    for uid in ("", "1", "1." * 200, "1.2.3\x00", "../1", "1.2.840.99.1\ud800", "urn:oid:urn:oid:1"):
        yield searchset(imaging_study(woman.id, "2026-05-03", uid))
    for started in ("0001-01-01", "9999-12-31", "2026-05-03T23:59:60+14:00", "2026-00", "May", "2026-05-03" * 500):
        yield searchset(imaging_study(woman.id, started, hers))
    yield searchset(*(imaging_study(woman.id, "2026-05-03", f"1.2.{number}") for number in range(300)))
    yield searchset(*[imaging_study(woman.id, "2026-05-03", hers)] * 300)
