"""Serving WSGI apps on loopback."""

from __future__ import annotations

import pytest
import requests
from flask import Flask

from cds.demo.loopback import serve


def hello(text: str) -> Flask:
    app = Flask("hello")
    app.add_url_rule("/", view_func=lambda: text)
    return app


def test_two_apps_run_side_by_side_on_ports_of_their_own() -> None:
    with serve(hello("one")) as one, serve(hello("two")) as two:
        assert (requests.get(one, timeout=5).text, requests.get(two, timeout=5).text) == ("one", "two")
        assert one.startswith("http://127.0.0.1:")


def test_the_port_is_free_again_at_once() -> None:
    with serve(hello("first")) as url:
        requests.get(url, timeout=5)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    with serve(hello("second"), port=int(url.rpartition(":")[2])) as again:
        assert again == url
        assert requests.get(url, timeout=5).text == "second"


def test_an_error_in_the_block_stops_the_server_and_goes_on() -> None:
    addresses: list[str] = []

    def fail_while_serving() -> None:
        with serve(hello("x")) as url:
            addresses.append(url)
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail_while_serving()
    with pytest.raises(requests.ConnectionError):
        requests.get(addresses[0], timeout=5)
