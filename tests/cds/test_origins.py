"""Which addresses count as the same server, and which are let through."""

from __future__ import annotations

import socket
import threading

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from cds.errors import UntrustedServer
from cds.origins import SameOriginSession, leads_home, listed, origin, same_origin


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://EHR.example/fhir?patient=1", "https://ehr.example:443"),
        ("http://ehr.example", "http://ehr.example:80"),
        ("https://user:secret@ehr.example:8443/fhir", "https://ehr.example:8443"),
        ("http://[::1]:8080/fhir", "http://[::1]:8080"),
        ("http://[0:0:0:0:0:FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]:80"),
        ("https://ehr.example/Patient?name=of two", "https://ehr.example:443"),
    ],
)
def test_an_origin_shows_scheme_host_and_port_and_nothing_else(url: str, shown: str) -> None:
    assert origin(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        *("", "ehr.example", "ftp://ehr.example", "http://", "http://h:port", "http://[", "//ehr", "http://[::1%lo]/"),
        "https://ehr.example:0",
        *("https://evil.example\\@ehr.example", "https://ehr.example\\@evil.example", "https://ehr.exam\tple/"),
        *("https://ehr.example /", " https://ehr.example", "https://ehr.example%2eevil", "https://ehr.example;evil"),
        *("https://e\u212ar.example", "https://ehr\u3002example", "https://\uff45hr.example", "https://ehr\n.example"),
    ],
)
def test_what_is_no_http_address_has_no_origin(url: str) -> None:
    with pytest.raises(UntrustedServer):
        origin(url)


@pytest.mark.parametrize(
    "other",
    [
        "http://ehr.example",
        "https://ehr.example:444",
        "https://ehr.example.evil",
        "https://evil@ehr.exampl",
        "https://ehr.example.",
    ],
)
def test_another_scheme_port_or_host_is_another_server(other: str) -> None:
    assert not same_origin("https://ehr.example/fhir", other)


@pytest.mark.parametrize("link", ["?page=2", "/fhir?page=2", "https://ehr.example:443/x", "//ehr.example/x"])
def test_a_link_within_the_origin_leads_home(link: str) -> None:
    assert leads_home("https://ehr.example/fhir", link)


@pytest.mark.parametrize(
    "link",
    [
        "//evil/x",
        "http://ehr.example/x",
        "javascript:x",
        "http://[",
        "https://ehr.example@evil",
        "https://evil\\@ehr.example/x",
        "/\\evil/x",
        "\\\\evil/x",
    ],
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
        "https://ehr.example./fhir",
        "https://evil.example\\@ehr.example/fhir",
        "",
    ],
)
def test_a_server_that_is_not_listed_is_refused(url: str) -> None:
    with pytest.raises(UntrustedServer):
        listed(url, ["https://ehr.example/fhir"])


# Whatever comes

PIECES = st.sampled_from(
    [
        *("https:", "http:", "/", "//", "\\", "@", ":", "443", "80", "?", "#", "[", "]", ";", " ", "\t", "\n", "\0"),
        *(
            "ehr.example",
            "EVIL.example",
            "user",
            "x",
            ".",
            "%2e",
            "%40",
            "\u212a",
            "\u3002",
            "\u2100",
            "\uff0f",
            "\u200d",
        ),
        *("127.0.0.1", "2130706433", "0177.1", "[::1]", "[::ffff:127.0.0.1]"),
    ]
)


@given(st.lists(PIECES, max_size=8).map(lambda pieces: "https://" + "".join(pieces)) | st.text(max_size=20))
@example("https://evil.example\\@ehr.example")
@example("https://ehr.example:0/")
def test_what_has_an_origin_is_sent_there_and_nowhere_else(url: str) -> None:
    try:
        judged = origin(url)
    except UntrustedServer:
        return
    try:
        sent = parse_url(requests.Request("GET", url).prepare().url or "")
    except requests.RequestException:
        return
    port = {"http": 80, "https": 443}[sent.scheme or ""] if sent.port is None else sent.port
    assert judged == origin(f"{sent.scheme}://{sent.host}:{port}")


@given(st.lists(PIECES, max_size=8).map("".join))
@example("https://evil.example\\@ehr.example/")
def test_a_link_that_leads_home_is_followed_to_there(link: str) -> None:
    here = "https://ehr.example/fhir"
    if leads_home(here, link):
        to = requests.compat.urljoin(here, link)
        assert parse_url(requests.Request("GET", to).prepare().url or "").host == "ehr.example"


@given(st.lists(PIECES, max_size=8).map(lambda pieces: "https://" + "".join(pieces)))
def test_only_what_is_listed_is_let_through(url: str) -> None:
    try:
        entry = listed(url, ["https://ehr.example", "https://ehr.example/x"])
    except UntrustedServer:
        return
    assert url.lower().replace(":443", "").rstrip("/") == entry


def test_a_session_that_ends_ends_the_connection_of_an_answer_that_nobody_has_read() -> None:
    def begin_to_answer() -> None:
        client, _ = listening.accept()
        with client:
            client.recv(1 << 16)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1")
            ended.append(client.recv(1))

    ended: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=begin_to_answer, daemon=True)
        thread.start()
        with SameOriginSession() as session:
            answer = session.get(f"http://127.0.0.1:{listening.getsockname()[1]}/", stream=True, timeout=30)
        thread.join(30)
    assert answer.ok
    assert ended == [b""]
