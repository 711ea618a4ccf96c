"""Key sets over real HTTP and from files: got whole, or not at all."""

# ruff: noqa: N802 - the checklist's ids are written in capitals

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cds.demo.loopback import serve
from cds.errors import CallerKeysUnread
from cds.trust.key_sources import LARGEST_SET_BYTES, keys_at, keys_in
from cds.trust.keys import CallerKeys
from tests.cds.builders import Clock
from tests.cds.https_server import https_server
from tests.cds.trust.callers import EC, RSA, KeyServer, public, written


@pytest.fixture
def server() -> KeyServer:
    return KeyServer(EC, RSA)


@pytest.fixture
def url(server: KeyServer) -> Iterator[str]:
    with serve(server.app()) as root:
        yield f"{root}/secret-path/jwks"


def unread(read: Callable[[], object]) -> str:
    """Why there are no keys."""
    with pytest.raises(CallerKeysUnread) as caught:
        read()
    return str(caught.value)


def unfetched(url: str, timeout_s: float = 5.0) -> str:
    """Why there are no keys at an address, whose path is not shown."""
    said = unread(lambda: keys_at(url, timeout_s=timeout_s))
    assert "secret" not in said
    return said


def test_the_keys_at_an_address_are_fetched(server: KeyServer, url: str) -> None:
    assert keys_at(url).keys() == {"ec-1", "rsa-1"}
    (asked,) = server.asked
    assert asked["path"] == "secret-path/jwks"
    assert asked["Accept-Encoding"] == "identity"
    assert "Authorization" not in asked


def test_a_set_is_fetched_once_for_many_calls_and_again_for_a_new_key(server: KeyServer, url: str) -> None:
    clock = Clock()
    keys = CallerKeys(lambda: keys_at(url), clock_s=clock.monotonic_s)
    assert all(keys.key("ec-1") for _ in range(20))
    assert len(server.asked) == 1

    server.body = written(public(EC, kid="new"))
    clock.sleep(60)
    assert keys.key("new")
    assert not keys.key("ec-1")
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [201, 204, 304, 401, 404, 500, 503])
def test_any_other_status_is_no_key_set(server: KeyServer, url: str, status: int) -> None:
    server.status = status

    assert str(status) in unfetched(url)


@pytest.mark.parametrize("to", ["/elsewhere", "https://evil.example/jwks", "http://[", ""])
def test_a_redirect_is_not_followed(server: KeyServer, url: str, to: str) -> None:
    server.status, server.headers = 302, {"Location": to}

    assert unfetched(url)
    assert len(server.asked) == 1


def test_a_set_may_be_as_large_as_the_limit_and_no_larger(server: KeyServer, url: str) -> None:
    server.body = server.body.ljust(LARGEST_SET_BYTES)
    assert keys_at(url)

    server.body += b" "
    assert str(LARGEST_SET_BYTES) in unfetched(url)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"<html>", {}),
        (b"{}", {}),
        (b"\x1f\x8b" * 50, {"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_no_key_set_is_told_from_an_empty_one(
    server: KeyServer, url: str, body: bytes, headers: dict[str, str]
) -> None:
    server.body, server.headers = body, headers
    assert "no JWK Set" in unfetched(url)

    server.body, server.headers = b'{"keys": []}', {}
    assert keys_at(url) == {}


def test_an_answer_that_breaks_off_or_halts_is_no_key_set(server: KeyServer, url: str) -> None:
    server.may_end.clear()
    assert "Timeout" in unfetched(url, timeout_s=0.2)
    server.may_end.set()

    server.headers, server.body = {"Content-Length": str(len(server.body))}, server.body[:-10]
    assert unfetched(url)


def test_a_server_that_is_not_there_is_told() -> None:
    assert "ConnectionError" in unfetched("http://127.0.0.1:9/secret")


def test_a_server_that_does_not_answer_is_given_up(server: KeyServer, url: str) -> None:
    server.may_answer.clear()

    assert "Timeout" in unfetched(url, timeout_s=0.2)
    server.may_answer.set()


def test_the_whole_answer_has_its_time_however_steadily_it_comes(server: KeyServer, url: str) -> None:
    server.body = server.body.ljust(LARGEST_SET_BYTES)
    # The first piece comes in time, every later one does not.
    moments = itertools.count(step=4)

    assert "did not arrive within 5 s" in unread(lambda: keys_at(url, clock_s=lambda: next(moments)))


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with https_server(tmp_path) as (root, certificate):
        assert "SSLError" in unfetched(f"{root}/secret")
        # The server is not one for keys: that it answered is what is looked at.
        assert "204" in unread(lambda: keys_at(f"{root}/jwks", str(certificate)))


# Files


def test_S9_the_keys_of_a_file_are_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "ehr.jwks"
    file.write_bytes(written(public(EC)))
    assert keys_in(file).keys() == {"ec-1"}

    file.write_bytes(written(public(RSA)))
    assert keys_in(file).keys() == {"rsa-1"}


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----", b"{}", b"\xff\xfe", b" " * 300_000 + b"{}"])
def test_a_file_without_a_key_set_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ehr.jwks"
    file.write_bytes(content)

    assert "'ehr.jwks'" in unread(lambda: keys_in(file))


def test_a_file_that_cannot_be_read_is_told_without_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "missing.jwks"
    said = unread(lambda: keys_in(file))

    assert "'missing.jwks'" in said
    assert str(tmp_path) not in said
    assert "IsADirectoryError" in unread(lambda: keys_in(tmp_path))
