"""Which network addresses a session may connect to, whatever a name is said to stand for at the moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from cds.errors import UntrustedServer

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Iterable[str]]
"""From a host and a port to its numeric addresses; raises OSError where it has none."""

METADATA = tuple(map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")))
"""Where clouds keep a machine's credentials and which is not link-local: Amazon and Google by IPv6, Alibaba, Oracle,
and Azure."""
# A firewall forgets a connection on which nothing is said, and tells neither end: the next request on it would wait for
# an answer in vain. Not every system lets us choose after how many seconds something is said.
_KEPT_ALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
if hasattr(socket, "TCP_KEEPIDLE"):
    _KEPT_ALIVE.append((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60))
_TRANSLATED = ip_network("64:ff9b::/96")
"""The IPv4 address that a gateway makes of these is in the last 32 bits (RFC 6052, section 2.1)."""


def resolved(host: str, port: int) -> Iterator[str]:
    """The addresses of a host by the machine's own resolver, in its order."""
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        yield str(address[0])


@dataclass(frozen=True)
class Destinations:
    """Where connections may go: anywhere but to loopback, link-local, multicast and reserved addresses.

    Loopback is open to a host that says so itself. The private networks of a hospital are where its servers are, so
    they are open; the rest only where it is in one of `networks`. A name is looked up by `resolve` and the address
    that was judged is the one that is connected to: a name that changes its address in between gains nothing.
    """

    networks: tuple[Network, ...] = ()
    resolve: Resolve = resolved

    def of(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to; UntrustedServer if it has none but others."""
        found = list(self.resolve(host, port))
        allowed = [address for address in found if self._allows(meant(address), host)]
        if found and not allowed:
            raise UntrustedServer(
                f"the host {host!r} stands for an address of this machine, or one that is link-local, multicast or "
                "reserved, which is not connected to; if that is right, list its network in private_networks"
            )
        return allowed

    def _allows(self, address: Address, host: str) -> bool:
        if any(address in network for network in self.networks):
            return True
        if address.is_loopback:
            return is_this_machine(host)
        is_odd = address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
        return not is_odd and address not in METADATA


def meant(written: str) -> Address:
    """The address, and of an IPv6 one that is only the dress of an IPv4 address, that one."""
    address = ip_address(written)
    if isinstance(address, IPv6Address):
        if address in _TRANSLATED:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def is_this_machine(host: str) -> bool:
    """Whether a host says itself that it is this machine: `localhost`, or an address of loopback."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def pools(destinations: Destinations) -> dict[str, Any]:
    """What urllib3 calls `pool_classes_by_scheme`: pools whose connections go only to these destinations."""

    class Http(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, destinations)

    class Https(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connected(self, destinations)

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


def _connected(connection: HTTPConnection, destinations: Destinations) -> socket.socket:
    """A socket to the first address that answers; raises what urllib3 does, and UntrustedServer."""
    host = connection.host
    try:
        # With the dot that may end it: without, a resolver might look in its own domains first.
        return _first_answer(connection, destinations.of(connection._dns_host, connection.port))
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"no connection to {host} in time") from error
    except OSError as error:
        raise NewConnectionError(connection, f"no connection to {host}: {error.strerror}") from error


def _first_answer(connection: HTTPConnection, addresses: list[str]) -> socket.socket:
    problem = OSError("it has no address")
    for address, timeout_s in turns(addresses, connection.timeout):
        try:
            opened = create_connection(
                (address, connection.port),
                timeout_s,
                source_address=connection.source_address,
                socket_options=[*(connection.socket_options or ()), *_KEPT_ALIVE],
            )
        except OSError as error:
            problem = error
        else:
            opened.settimeout(connection.timeout)
            return opened
    raise problem


def turns(
    addresses: Sequence[str], timeout_s: float | None, clock_s: Callable[[], float] = time.monotonic
) -> Iterator[tuple[str, float | None]]:
    """Each address and how long it may take to answer: all of them together take no longer than `timeout_s`."""
    ends_s = None if timeout_s is None else clock_s() + timeout_s
    for number, address in enumerate(addresses):
        left_s = None if ends_s is None else ends_s - clock_s()
        if left_s is not None and left_s <= 0:
            return
        yield address, None if left_s is None else left_s / (len(addresses) - number)
