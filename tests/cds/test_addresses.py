"""Which network addresses are connected to, by a resolver that says what a test has it say."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from cds.addresses import Destinations, Network, pools, resolved, turns
from cds.deadline import InTimeAdapter
from cds.demo.loopback import serve
from cds.errors import UntrustedServer
from cds.origins import SameOriginSession
from tests.cds.https_server import https_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOOPBACK = ip_network("127.0.0.0/8")


def name_server(*addresses: str, networks: Iterable[Network] = ()) -> Destinations:
    """Destinations in a world where every name stands for these addresses."""
    return Destinations(tuple(networks), lambda _host, _port: addresses)


def host_told(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """An application that answers with the Host header of the request."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["HTTP_HOST"].encode()]


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.16.0.9", "192.168.1.1", "8.8.8.8", "fd12::1", "2606:4700::1111"),
        *("::ffff:10.1.2.3", "64:ff9b::10.1.2.3"),
    ],
)
def test_public_addresses_and_the_private_ones_of_a_hospital_are_open(address: str) -> None:
    assert name_server(address).of("pacs.example", 443) == [address]


NEVER = [
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "224.0.0.1",
    "ff02::1",
    "0.0.0.0",  # noqa: S104 - an address that is refused, not one to listen on
    "::",
    "240.0.0.1",
    "255.255.255.255",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "127.0.0.1",
    "127.8.9.10",
    "::1",
]


@pytest.mark.parametrize("address", NEVER)
def test_a_name_that_stands_for_this_machine_or_its_surroundings_is_refused(address: str) -> None:
    with pytest.raises(UntrustedServer, match="private_networks"):
        name_server(address).of("ehr.example", 443)


@pytest.mark.parametrize("address", [address for address in NEVER if "." in address])
@pytest.mark.parametrize("dress", ["::ffff:0:0", "64:ff9b::"])
def test_an_ipv4_address_in_the_dress_of_ipv6_is_judged_as_what_it_is(address: str, dress: str) -> None:
    dressed = IPv6Address(int(IPv6Address(dress)) | int(IPv4Address(address)))

    with pytest.raises(UntrustedServer):
        name_server(str(dressed)).of("ehr.example", 443)


def test_an_ipv4_address_within_one_of_a_6to4_network_is_judged_too() -> None:
    with pytest.raises(UntrustedServer):
        name_server("2002:a9fe:a9fe::1").of("ehr.example", 443)


@pytest.mark.parametrize("address", NEVER)
def test_an_address_whose_network_is_listed_is_open(address: str) -> None:
    network = ip_network(address.partition("%")[0])

    assert name_server(address, networks=[network]).of("ehr.example", 443) == [address]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]"])
def test_a_host_that_says_it_is_this_machine_may_be(host: str) -> None:
    assert name_server("127.0.0.1", "::1").of(host, 80) == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", ["localhost.evil.example", "127.0.0.1.example", "localhost.", "2130706433", "0x7f.1"])
def test_a_host_that_only_looks_like_it_may_not(host: str) -> None:
    with pytest.raises(UntrustedServer):
        name_server("127.0.0.1").of(host, 80)


def test_of_several_addresses_only_the_allowed_ones_are_left() -> None:
    assert name_server("169.254.169.254", "10.0.0.5", "fe80::1").of("pacs.example", 443) == ["10.0.0.5"]


@given(st.ip_addresses())
def test_whatever_is_allowed_without_being_listed_is_none_of_this_machines_surroundings(
    address: IPv4Address | IPv6Address,
) -> None:
    try:
        (allowed,) = name_server(str(address)).of("ehr.example", 443)
    except UntrustedServer:
        return
    judged = ip_address(allowed)
    assert not any((judged.is_loopback, judged.is_link_local, judged.is_multicast, judged.is_unspecified))


def test_the_machines_own_resolver_gives_numeric_addresses() -> None:
    assert "127.0.0.1" in set(resolved("127.0.0.1", 80))


# Connections


def test_the_address_that_was_judged_is_the_one_connected_to() -> None:
    with serve(host_told) as url:
        port = url.rpartition(":")[2]
        asked: list[str] = []

        def changing(host: str, _port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1" if len(asked) == 1 else "169.254.169.254"]

        with SameOriginSession(destinations=Destinations((LOOPBACK,), changing)) as session:
            answer = session.get(f"http://ehr.example:{port}/", timeout=5)

    assert (asked, answer.text) == (["ehr.example"], f"ehr.example:{port}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_sends_nothing_to_a_name_that_moved_to_this_machine(scheme: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        SameOriginSession(destinations=name_server("127.0.0.1")) as session,
    ):
        server.setblocking(False)
        with pytest.raises(UntrustedServer):
            session.get(f"{scheme}://ehr.example:{server.getsockname()[1]}/", timeout=5)

        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_name_is_looked_up_with_the_dot_that_ends_it() -> None:
    asked: list[str] = []

    def nobody(host: str, _port: int) -> list[str]:
        asked.append(host)
        return []

    with (
        SameOriginSession(destinations=Destinations(resolve=nobody)) as session,
        pytest.raises(requests.ConnectionError),
    ):
        session.get("http://ehr.example./", timeout=5)

    assert asked == ["ehr.example."]


def test_an_adapter_of_another_kind_is_held_to_the_same_destinations() -> None:
    with SameOriginSession(destinations=name_server("169.254.169.254")) as session:
        session.mount("http://", InTimeAdapter(lambda: None))

        with pytest.raises(UntrustedServer):
            session.get("http://pacs.example/", timeout=5)


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with (
        serve(host_told) as url,
        SameOriginSession(destinations=name_server("127.0.0.9", "127.0.0.1", networks=[LOOPBACK])) as session,
    ):
        port = url.rpartition(":")[2]

        assert session.get(f"http://ehr.example:{port}/", timeout=5).ok


@given(took_s=st.lists(st.floats(0, 4), min_size=8, max_size=8))
def test_all_addresses_of_a_host_have_one_time_together(took_s: list[float]) -> None:
    moments_s = [1000.0]
    for address, allowed_s in turns([str(number) for number in range(8)], 5, lambda: moments_s[-1]):
        assert address == str(len(moments_s) - 1)
        assert allowed_s is not None
        assert allowed_s > 0
        moments_s.append(moments_s[-1] + min(took_s[len(moments_s) - 1], allowed_s))
    assert moments_s[-1] <= 1000.0 + 5 + 1e-6


def test_addresses_that_answer_nothing_share_the_time_evenly_and_no_limit_is_none() -> None:
    clock_s = iter([0.0, 0.0, 2.5, 3.75, 5.0]).__next__

    assert list(turns(["a", "b", "c", "d"], 5, clock_s)) == [("a", 1.25), ("b", 2.5 / 3), ("c", 0.625)]
    assert list(turns(["a", "b"], None)) == [("a", None), ("b", None)]


def test_a_connection_has_its_whole_time_again_for_what_comes_after_it_is_made_and_is_kept_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        destinations = name_server("127.0.0.9", "127.0.0.1", networks=[LOOPBACK])
        connection = pools(destinations)["http"].ConnectionCls("ehr.example", server.getsockname()[1], timeout=5)
        connection.connect()

        assert connection.sock.gettimeout() == 5
        assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        connection.close()


def no_such_name(_host: str, _port: int) -> list[str]:
    """A resolver that knows nobody."""
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


@pytest.mark.parametrize("resolve", [no_such_name, lambda _host, _port: []])
def test_a_host_without_an_address_is_a_lost_connection_as_ever(resolve: object) -> None:
    with (
        SameOriginSession(destinations=Destinations(resolve=resolve)) as session,  # type: ignore[arg-type] # two kinds
        pytest.raises(requests.ConnectionError),
    ):
        session.get("http://ehr.example/", timeout=5)


def test_a_certificate_is_still_checked_against_the_name(tmp_path: Path) -> None:
    with https_server(tmp_path) as (url, certificate):
        port = url.rpartition(":")[2]
        with SameOriginSession(str(certificate)) as session:
            assert session.get(f"{url}/fhir/Patient/p1", timeout=5).ok
        moved = name_server("127.0.0.1", networks=[LOOPBACK])
        with SameOriginSession(str(certificate), moved) as session, pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://ehr.example:{port}/fhir/Patient/p1", timeout=5)
