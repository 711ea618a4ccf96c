"""Which addresses count as the same server, and which are let through."""

from __future__ import annotations

import pytest

from cds.errors import UntrustedServer
from cds.origins import leads_home, listed, origin, same_origin


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://EHR.example/fhir?patient=1", "https://ehr.example:443"),
        ("http://ehr.example", "http://ehr.example:80"),
        ("https://user:secret@ehr.example:8443/fhir", "https://ehr.example:8443"),
        ("http://[::1]:8080/fhir", "http://[::1]:8080"),
    ],
)
def test_an_origin_shows_scheme_host_and_port_and_nothing_else(url: str, shown: str) -> None:
    assert origin(url) == shown


@pytest.mark.parametrize(
    "url", ["", "ehr.example", "ftp://ehr.example", "http://", "http://h:port", "http://[", "//ehr"]
)
def test_what_is_no_http_address_has_no_origin(url: str) -> None:
    with pytest.raises(UntrustedServer):
        origin(url)


@pytest.mark.parametrize(
    "other", ["http://ehr.example", "https://ehr.example:444", "https://ehr.example.evil", "https://evil@ehr.exampl"]
)
def test_another_scheme_port_or_host_is_another_server(other: str) -> None:
    assert not same_origin("https://ehr.example/fhir", other)


@pytest.mark.parametrize("link", ["?page=2", "/fhir?page=2", "https://ehr.example:443/x", "//ehr.example/x"])
def test_a_link_within_the_origin_leads_home(link: str) -> None:
    assert leads_home("https://ehr.example/fhir", link)


@pytest.mark.parametrize(
    "link", ["//evil/x", "http://ehr.example/x", "javascript:x", "http://[", "https://ehr.example@evil"]
)
def test_a_link_to_elsewhere_does_not_lead_home(link: str) -> None:
    assert not leads_home("https://ehr.example/fhir", link)


@pytest.mark.parametrize("url", ["https://ehr.example/fhir/", "https://EHR.example:443/fhir"])
def test_a_listed_server_is_found_however_it_is_written(url: str) -> None:
    assert listed(url, ["https://other.example", "https://ehr.example/fhir"]) == "https://ehr.example/fhir"


@pytest.mark.parametrize(
    "url",
    [
        "https://ehr.example",
        "https://ehr.example/fhir2",
        "https://ehr.example/fhir/../x",
        "http://ehr.example/fhir",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://me@ehr.example/fhir",
        "https://ehr.example.evil/fhir",
        "http://[",
        "http://[::1",
        "https://\u2100.example/fhir",
        "https://ehr.example:x/fhir",
        "",
    ],
)
def test_a_server_that_is_not_listed_is_refused(url: str) -> None:
    with pytest.raises(UntrustedServer):
        listed(url, ["https://ehr.example/fhir"])
