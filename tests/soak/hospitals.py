"""The hospitals' FHIR servers and the archive that they share, all behind fronts that fail at random."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joserfc.jwk import ECKey
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.loopback import serve
from tests.builders import operation_outcome
from tests.cds.trust.callers import KeyServer, public
from tests.faults.front import Fault, answering, dripping, losing_the_answer, silent_for, truncating
from tests.soak.women import HOSPITALS, Woman

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

EHR_TIMEOUT_S = 1.0
LATE_S = EHR_TIMEOUT_S + 0.5
THREADS = 96
"""Of all servers together: some are always held by a fault that is slow."""
USER, PASSWORD = "archive-user", "archive-password"


@dataclass(frozen=True)
class Hospital:
    """One EHR that calls: its FHIR server, the key that it signs with, and its tokens.

    Every hospital calls its key by the same name, as it does with its patients.
    """

    number: int
    fhir_server: str
    women: tuple[Woman, ...]
    store: ResourceStore
    key: ECKey

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return f"hospital-{self.number:02}"

    @property
    def issuer(self) -> str:
        """Who its tokens say that they are from."""
        return f"https://h{self.number:02}.example/issuer"

    @property
    def access_token(self) -> str:
        """What its FHIR server, and no other, takes from a call and from the worker."""
        return access_token(self.number)

    @property
    def is_silent(self) -> bool:
        """Whether it gets no cards; one does not."""
        return self.number == HOSPITALS - 1


@dataclass(frozen=True)
class World:
    """All that runs outside of the product. `strays` are requests that carried another hospital's token."""

    hospitals: tuple[Hospital, ...]
    archive: str
    key_server: str
    faults: Counter[str]
    strays: list[str]


def access_token(number: int) -> str:
    """What the FHIR server of a hospital takes."""
    return f"access-of-hospital-{number:02}"


@contextmanager
def open_world(women: Sequence[Woman], images: DicomFolder, seed: int, rate: float) -> Iterator[World]:
    """The hospitals and the archive while the block runs; `rate` is the share of requests to them that fail."""
    chance, faults, strays = random.Random(seed), Counter[str](), list[str]()  # noqa: S311 # no secret
    stores = [_store(number, women) for number in range(HOSPITALS)]
    keys = [ECKey.generate_key("P-384", {"kid": "key-1"}) for _ in stores]
    mounts: dict[str, WSGIApplication] = {}
    for number, store in enumerate(stores):
        server = Unreliable(fhir_app(store, [access_token(number)]), EHR_FAULTS, chance, rate, faults)
        mounts[f"/h{number:02}"] = _guarded(server, number, strays)
    failing = _archive_faults([exam.study_uid for woman in women for exam in woman.exams], chance)
    mounts["/dicom-web"] = Unreliable(dicomweb_app(images, USER, PASSWORD), failing, chance, rate, faults)
    with serve(DispatcherMiddleware(KeyServer(keys[0]).app(), mounts), threads=THREADS) as url:
        hospitals = tuple(
            Hospital(number, f"{url}/h{number:02}", _of(number, women), store, keys[number])
            for number, store in enumerate(stores)
        )
        yield World(hospitals, f"{url}/dicom-web", f"{url}/keys", faults, strays)


def key_set(hospital: Hospital) -> str:
    """The file with its public key that the hospital has handed over."""
    return json.dumps(public(hospital.key))


class Unreliable:
    """A server of which a share of the requests meets a fault, drawn by its weight."""

    def __init__(
        self,
        app: WSGIApplication,
        faults: Mapping[str, tuple[int, Fault]],
        chance: random.Random,
        rate: float,
        met: Counter[str],
    ) -> None:
        self._app, self._chance, self._rate, self._met = app, chance, rate, met
        self._names = list(faults)
        self._weights = [weight for weight, _ in faults.values()]
        self._failing = {name: fault(app) for name, (_, fault) in faults.items()}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._chance.random() >= self._rate:
            return self._app(environ, start_response)
        (name,) = self._chance.choices(self._names, self._weights)
        self._met[name] += 1
        return self._failing[name](environ, start_response)


def _store(number: int, women: Sequence[Woman]) -> ResourceStore:
    store = ResourceStore()
    for woman in _of(number, women):
        for resource in woman.chart:
            store.put(resource)
    return store


def _of(number: int, women: Sequence[Woman]) -> tuple[Woman, ...]:
    return tuple(woman for woman in women if woman.hospital == number)


def _guarded(app: WSGIApplication, number: int, strays: list[str]) -> WSGIApplication:
    """The server, which takes note of every request with a token that is not for it."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        told = environ.get("HTTP_AUTHORIZATION", "")
        if told != f"Bearer {access_token(number)}":
            strays.append(f"hospital {number} was sent {told!r}")
        return app(environ, start_response)

    return answer


def _answering_with(body: bytes, kind: str) -> Fault:
    def answer(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    return lambda _app: answer


def _asking(change: Callable[[WSGIEnvironment], WSGIEnvironment]) -> Fault:
    """The right answer to another request."""

    def around(app: WSGIApplication) -> WSGIApplication:
        return lambda environ, start_response: app(change(environ), start_response)

    return around


def _page_by_page(environ: WSGIEnvironment) -> WSGIEnvironment:
    return {**environ, "QUERY_STRING": re.sub(r"_count=\d+", "_count=1", environ["QUERY_STRING"])}


def _of_her_neighbour(environ: WSGIEnvironment) -> WSGIEnvironment:
    """What is asked of one woman, answered with what is known of another of the same hospital."""
    path = re.sub(r"/Patient/p(\d)", _next, environ["PATH_INFO"])
    return {**environ, "PATH_INFO": path, "QUERY_STRING": re.sub(r"patient=p(\d)", _next, environ["QUERY_STRING"])}


def _next(found: re.Match[str]) -> str:
    return found[0].replace(f"p{found[1]}", f"p{(int(found[1]) + 1) % 3}")


def _leading_elsewhere(environ: WSGIEnvironment) -> WSGIEnvironment:
    """A page whose next one is said to be on another server."""
    return {**_page_by_page(environ), "HTTP_HOST": "127.0.0.2:9"}


EHR_FAULTS: Mapping[str, tuple[int, Fault]] = {
    "EHR: 500": (2, answering(500)),
    "EHR: 503, try again": (2, answering(503, Retry_After="0")),
    "EHR: 429": (1, answering(429, Retry_After="30")),
    "EHR: 401": (1, answering(401)),
    "EHR: too late": (1, silent_for(LATE_S)),
    "EHR: dripping": (1, dripping(0.02, LATE_S)),
    "EHR: connection lost": (2, losing_the_answer()),
    "EHR: half of it": (2, truncating()),
    "EHR: OperationOutcome": (2, _answering_with(json.dumps(operation_outcome()).encode(), "application/fhir+json")),
    "EHR: a web page": (1, _answering_with(b"<html>Please log in</html>", "text/html")),
    "EHR: page by page": (4, _asking(_page_by_page)),
    "EHR: next page elsewhere": (1, _asking(_leading_elsewhere)),
    "EHR: another woman's": (4, _asking(_of_her_neighbour)),
}


def _archive_faults(study_uids: Sequence[str], chance: random.Random) -> Mapping[str, tuple[int, Fault]]:
    def of_another_study(environ: WSGIEnvironment) -> WSGIEnvironment:
        path = re.sub(r"/studies/[\d.]+", f"/studies/{chance.choice(study_uids)}", environ["PATH_INFO"])
        return {**environ, "PATH_INFO": path}

    return {
        "archive: 500": (2, answering(500)),
        "archive: 404": (1, answering(404)),
        "archive: too late": (1, silent_for(LATE_S)),
        "archive: connection lost": (2, losing_the_answer()),
        "archive: half of it": (2, truncating()),
        "archive: another study": (2, _asking(of_another_study)),
    }
