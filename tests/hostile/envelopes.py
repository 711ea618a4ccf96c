"""Everything around a body that may be hostile: methods, paths, headers, and what a body is said to be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from tests.hostile.asking import PATIENT_VIEW, ROUTES, URLS, Attempt
from tests.hostile.values import broken_bodies
from tests.hostile.women import ADA, HOSTILE_VALUE, hook_call

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 500)
URL = URLS[PATIENT_VIEW.hook]
BODY = json.dumps(hook_call(PATIENT_VIEW, ADA)).encode()


def every_method() -> Iterator[Attempt]:
    """Every method on every route, with a body and without."""
    for path in (*ROUTES, "/", "/nowhere"):
        for method in METHODS:
            for sent in ({}, {"data": BODY, "content_type": "application/json"}):
                yield Attempt(path, sent, ADA, method)


_TAILS = (
    "",
    "/",
    "//",
    "/.",
    "/..",
    "/../..",
    "/%2e%2e",
    "%2f",
    "%2F..%2f..%2fetc%2fpasswd",
    "%00",
    "%0d%0aX-Injected:%201",
    "%ff",
    "%c0%af",
    "%ed%a0%80",
    "%",
    "%zz",
    ";jsessionid=1",
    "?patient=" + HOSTILE_VALUE,
    "?" + "a=1&" * 5000,
    "#fragment",
    "\\..\\",
    "/feedback/feedback",
    "/feedback%00",
    "feedback",
    "/" + HOSTILE_VALUE,
    "/" + HOSTILE_VALUE * 1000,
    "/" * 5000,
    "/a" * 5000,
    "/{{context.patientId}}",
    "/<script>alert(1)</script>",
    "/*",
    "/~root",
    "/\u202e",
    "/.git/config",
    "/.env",
    "/console",
    "/static/../../app.py",
)


def odd_paths() -> Iterator[Attempt]:
    """Paths that are almost those of a route, by each of the usual methods."""
    for path in (*ROUTES, "", "/cds-services/", f"/cds-services/{HOSTILE_VALUE}"):
        for tail in _TAILS:
            for method in ("GET", "POST", "OPTIONS"):
                sent = {"data": BODY, "content_type": "application/json"} if method == "POST" else {}
                yield Attempt("/", sent | {"environ_overrides": _asked(f"{path}{tail}")}, ADA, method)


def _asked(target: str) -> dict[str, str]:
    """What a server makes of the target of a request, without what a client would make of it first."""
    path, _, query = target.partition("?")
    return {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query}


_ODD = (
    "",
    " ",
    "\x00",
    "\xff\xfe",
    f"{HOSTILE_VALUE}\r\nX-Injected: 1",
    HOSTILE_VALUE,
    HOSTILE_VALUE * 1000,
    "a" * 70_000,
    ";" * 1000,
    '"',
    '="',
    "a=b; a=c",
    "-1",
    "1e400",
    "9" * 5000,
    "*/*",
    "null",
    "' OR 1=1 --",
    "() { :; }; echo x",
    "${jndi:ldap://127.0.0.1/x}",
    "{{7*7}}",
)
_BY_HEADER = {
    "CONTENT_TYPE": (
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        'application/json; charset="',
        "application/json; charset=" + "x" * 5000,
        "application/json;" * 100,
        "application/json, text/html",
        "application/fhir+json",
        "text/json",
        "text/html",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ),
    "CONTENT_LENGTH": ("-1", "0", "1", "999999999999999999999", "1.5", "0x10", "+5", "5 5", "٣"),
    "HTTP_CONTENT_ENCODING": ("gzip", "deflate", "br", "gzip, gzip", "identity", "x"),
    "HTTP_TRANSFER_ENCODING": ("chunked", "gzip, chunked", "chunked, chunked", "identity", "x"),
    "HTTP_AUTHORIZATION": (
        "Bearer",
        "Bearer ",
        "Bearer  x",
        "bearer a.b.c",
        "Basic dXNlcjpwYXNz",
        "Basic \xff",
        'Digest username="',
        "Negotiate x",
        "Bearer " + "a" * 100_000,
    ),
    "HTTP_ORIGIN": ("null", "https://evil.example", "https://ehr.example", "*", "file://", "https://a\\@b"),
    "HTTP_HOST": ("evil.example", "a b", "[::1", "x" * 5000, "evil.example:99999", "a@b"),
    "HTTP_EXPECT": ("100-continue", "200-ok"),
    "HTTP_RANGE": ("bytes=0-0", "bytes=" + "0-0," * 2000),
    "HTTP_ACCEPT": ("text/html", "application/xml;q=2", "a" * 5000),
    "HTTP_COOKIE": ("session=" + "x" * 5000, "=;=;="),
    "HTTP_X_FORWARDED_FOR": ("127.0.0.1", "'", "1" * 5000),
    "HTTP_X_HTTP_METHOD_OVERRIDE": ("DELETE",),
    "HTTP_IF_NONE_MATCH": ("*", '"' * 999),
    "HTTP_IF_MODIFIED_SINCE": ("yesterday", "Mon, 99 Foo 99999 99:99:99 GMT"),
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": ("DELETE",),
    "REMOTE_ADDR": ("::1", ""),
}


_EACH_KIND = ((URL, "POST"), (f"{URL}/feedback", "POST"), (URL, "OPTIONS"), ("/cds-services", "GET"))
_JSON_TYPES = ("application/json", "application/json; charset=utf-8")


def odd_headers() -> Iterator[Attempt]:
    """A valid call with one odd header, on a route of each kind."""
    for name, values in _BY_HEADER.items():
        for value in (*values, *_ODD):
            for path, method in _EACH_KIND:
                sent: dict[str, Any] = {"environ_overrides": {name: value}}
                if method == "POST":
                    sent |= {"data": BODY, "content_type": "application/json"}
                yield Attempt(path, sent, ADA, method)


def odd_types() -> Iterator[Attempt]:
    """Every broken body, said to be each of several things."""
    for path in (URL, f"{URL}/feedback"):
        for body in broken_bodies(hook_call(PATIENT_VIEW, ADA)):
            for kind in (*_JSON_TYPES, "text/plain", "multipart/form-data", ""):
                refused = frozenset({400 if kind in _JSON_TYPES else 415})
                yield Attempt(path, {"data": body, "content_type": kind}, ADA, statuses=refused)
