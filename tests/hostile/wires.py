"""Raw bytes for a socket: requests that are cut off, contradict themselves, or are none."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.hostile.envelopes import BODY, URL
from tests.hostile.women import HOSTILE_VALUE

MARKED = HOSTILE_VALUE.encode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
_LINE = f"POST {URL} HTTP/1.1\r\n".encode()
_TYPE = b"Content-Type: application/json\r\n"
WHOLE = _LINE + b"Host: x\r\n" + _TYPE + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
_HEAD_BYTES = len(WHOLE) - len(BODY)


def _posting(headers: bytes, body: bytes = BODY) -> bytes:
    return _LINE + b"Host: x\r\n" + _TYPE + headers + b"\r\n" + body


def cut_off() -> Iterator[bytes]:
    """A valid call that ends too early: anywhere in its headers, here and there in its body."""
    yield from (WHOLE[:end] for end in range(_HEAD_BYTES + 1))
    yield from (WHOLE[:end] for end in range(_HEAD_BYTES + 1, len(WHOLE), 15))


def spoilt(times: int) -> Iterator[bytes]:
    """A valid call with some bytes of its headers changed, taken out or doubled, the same in every run."""
    chance = random.Random(20260520)  # noqa: S311 - not for secrets
    for _ in range(times):
        head = bytearray(WHOLE[:_HEAD_BYTES])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(head) - 1)
            head[at : at + chance.randint(0, 2)] = chance.choice([b"", b"\r", b"\n", b"\0", b" ", b":", b"\xff", b"00"])
        yield bytes(head) + BODY


def contradictory() -> Iterator[bytes]:
    """Lengths that lie, and requests within requests."""
    for length in (b"0", b"1", b"-1", b"+5", b"0x10", b"5 5", b"1e3", b"99999999999999999999", b"", MARKED):
        yield _posting(b"Content-Length: " + length + b"\r\n")
        yield _posting(b"Content-Length: 5\r\nContent-Length: " + length + b"\r\n")
        yield _posting(b"Content-Length: " + length + b"\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + HEALTH)
    for coding in (b"gzip", b"chunked, gzip", b"x", b"\x0bchunked", b"chunked, chunked", b"identity", MARKED):
        yield _posting(b"Transfer-Encoding: " + coding + b"\r\n", b"0\r\n\r\n" + HEALTH)
    for name in (b"Transfer-Encoding :", b" Transfer-Encoding:", b"Transfer_Encoding:", b"Transfer-Encoding\0:"):
        yield _posting(name + b" chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + HEALTH)
    for chunks in _chunks():
        yield _posting(b"Transfer-Encoding: chunked\r\n", chunks)


def _chunks() -> Iterator[bytes]:
    for size in (b"5", b"-1", b"0x5", b"ffffffffffffffffff", b"5;a=" + MARKED, b"5;" + b"a" * 70_000, b"", b" ", b"\0"):
        yield size + b"\r\nhello\r\n0\r\n\r\n"
        yield size + b"\nhello\n0\n\n"
        yield size + b"\r\nhell"
    yield b"2\r\nhello\r\n0\r\n\r\n"
    yield b"0\r\nX-Trailer: " + MARKED + b"\r\n\r\n"
    yield b"1\r\n{\r\n" * 2000
    yield b"1\r\n" * 2000
    yield b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"


_LINES = (
    b"GET / HTTP/0.9",
    b"GET / HTTP/1.0",
    b"GET / HTTP/2.0",
    b"GET / HTTP/9.9",
    b"GET / HTTP/1.1.1",
    b"GET / HTTP",
    b"GET /",
    b"GET",
    b"get / http/1.1",
    b" GET / HTTP/1.1",
    b"GET  /  HTTP/1.1",
    b"GET\t/\tHTTP/1.1",
    b"GET / HTTP/1.1 " + MARKED,
    b"PRI * HTTP/2.0",
    b"OPTIONS * HTTP/1.1",
    b"CONNECT 169.254.169.254:80 HTTP/1.1",
    b"GET http://169.254.169.254/" + MARKED + b" HTTP/1.1",
    b"GET https://user:" + MARKED + b"@127.0.0.1/healthz HTTP/1.1",
    b"GET //127.0.0.1/ HTTP/1.1",
    b"GET /../../etc/passwd HTTP/1.1",
    b"GET /%2e%2e/%00 HTTP/1.1",
    b"GET /healthz%0d%0aX:%20" + MARKED + b" HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1",
    b"GET /\0 HTTP/1.1",
    b"GET /" + MARKED * 10_000 + b" HTTP/1.1",
    b"GET ? HTTP/1.1",
    b"GET # HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-" + MARKED,
    b"\0" * 100,
    b"\xff" * 5000,
    b"\r\n" * 50,
    MARKED,
)
_HEADERS = (
    b"",
    b"Host: x",
    b"Host: x\r\nHost: y",
    b"Host: " + MARKED + b"\r\n folded: " + MARKED,
    b"NoColon " + MARKED,
    b": " + MARKED,
    b"X\0Y: " + MARKED,
    b"X: a\0b",
    b"X: a\rY: b",
    b"X: a\nAuthorization: Bearer " + MARKED,
    b"Authorization: Bearer " + MARKED + b"\xff",
    b"X: " + b"a" * 70_000,
    b"\r\n".join(b"X-%d: y" % number for number in range(5000)),
    b"Expect: 100-continue\r\nContent-Length: 5",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Connection: close, keep-alive",
    b"Connection: Content-Length\r\nContent-Length: 3",
)


def no_requests() -> Iterator[bytes]:
    """First lines and headers that are broken, old, new, or of another protocol, each with each line end."""
    for line in _LINES:
        for end in (b"\r\n", b"\n", b"\r"):
            yield line + end + b"Host: x" + end + end
    for header in _HEADERS:
        for end in (b"\r\n", b"\n"):
            yield b"GET /healthz HTTP/1.1" + end + header + end + end


def pipelined() -> Iterator[bytes]:
    """Several requests at once, of which some are whole."""
    half = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
    for tail in (b"", MARKED, b"GET", WHOLE[:100], b"\0" * 50, b"\r\n\r\n", half):
        for ahead in (HEALTH, HEALTH * 20, WHOLE, WHOLE + HEALTH + WHOLE, HEALTH.replace(b"\r\n\r\n", b"\r\n" * 5)):
            yield ahead + tail
