"""Whose address a call has behind the site's own proxy, and whose word on it is not heard."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from flask import Flask, request

from cds.web import proxies

CLIENT = "203.0.113.7"


def seen(connected: str, told: str | None, *trusted: str) -> str | None:
    """The caller's address, as the application sees it."""
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/who", "who", lambda: str(request.remote_addr))
    proxies.register(app, [ip_network(network) for network in trusted])
    headers = {} if told is None else {"X-Forwarded-For": told}
    return app.test_client().get("/who", headers=headers, environ_overrides={"REMOTE_ADDR": connected}).text


@pytest.mark.parametrize("told", [CLIENT, f" {CLIENT} ", f"198.51.100.1, {CLIENT}", f"forged,{CLIENT}"])
def test_the_address_is_the_one_that_the_proxy_names_last(told: str) -> None:
    assert seen("127.0.0.1", told, "127.0.0.1/32") == CLIENT
    assert seen("10.1.2.3", told, "127.0.0.1/32", "10.1.0.0/16") == CLIENT
    assert seen("::ffff:127.0.0.1", told, "127.0.0.1/32") == CLIENT


def test_an_address_may_be_one_of_ipv6() -> None:
    assert seen("::1", "2001:db8::7", "::1/128") == "2001:db8::7"


@pytest.mark.parametrize("told", [None, "", "unknown", f"{CLIENT}:8080", f"{CLIENT},", "fe80::1%eth0", "<script>"])
def test_what_is_no_address_leaves_that_of_the_proxy(told: str | None) -> None:
    assert seen("127.0.0.1", told, "127.0.0.1/32") == "127.0.0.1"


@pytest.mark.parametrize("trusted", [(), ("10.1.0.0/16",), ("::1/128",)])
def test_nobody_but_a_proxy_that_the_site_names_is_heard(trusted: tuple[str, ...]) -> None:
    assert seen("127.0.0.1", CLIENT, *trusted) == "127.0.0.1"


def test_other_headers_of_a_proxy_are_not_read() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/who", "who", lambda: f"{request.remote_addr} {request.host} {request.scheme}")
    proxies.register(app, [ip_network("127.0.0.1/32")])
    forged = {
        "X-Real-IP": CLIENT,
        "Forwarded": f"for={CLIENT}",
        "X-Forwarded-Host": "evil",
        "X-Forwarded-Proto": "https",
    }

    assert app.test_client().get("/who", headers=forged).text == "127.0.0.1 localhost http"
