"""The soak: one service and one worker, twenty hospitals that call at once, and servers that fail at random."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from sqlmodel import Session

from cds.demo.dicom_folder import DicomFolder
from cds.store.database import open_database
from tests.product import Product
from tests.soak.books import kept, wrong_books
from tests.soak.callers import Caller, Findings
from tests.soak.calls import PUBLIC_URL
from tests.soak.hospitals import EHR_TIMEOUT_S, PASSWORD, USER, Hospital, World, key_set, open_world
from tests.soak.memory import Memory
from tests.soak.women import Woman, admit_women

FAILING = 0.12
"""The share of requests to the hospitals' servers that meets a fault."""

SITE = """\
database_url = "{database_url}"
[service]
port = 0
processes = 2
calls_per_minute = 240
public_url = "{public_url}"
answer_budget_s = 0.5
[night]
cron = ""
[cards]
quiet_days_after_override = 0
[[pacs]]
name = "main"
dicomweb_root = "{archive}"
username = "{user}"
password_variable = "ARCHIVE_PASSWORD"
read_timeout_s = 2.0
study_timeout_s = 5.0
"""

EHR = """\
[[ehrs]]
name = "{name}"
fhir_server = "{fhir_server}"
mode = "{mode}"
risk_assessment = "{risk_assessment}"
timeout_s = {timeout_s}
access_token_file = "{name}.token"
[ehrs.caller]
issuer = "{issuer}"
{keys}
"""


@dataclass(frozen=True)
class Ward:
    """Everybody who is a patient somewhere, and the folder of the archive with their images."""

    women: tuple[Woman, ...]
    images: DicomFolder


@dataclass(frozen=True)
class Soaked:
    """What came of it. `problems` are sentences; none, and all is well."""

    seed: int
    seconds: float
    database_url: str
    world: World
    found: Findings
    kept: dict[str, int]
    memory: Memory
    problems: tuple[str, ...]


def admitted(folder: Path, seed: int) -> Ward:
    """The ward of a seed, made in some seconds."""
    images = DicomFolder(folder)
    return Ward(admit_women(images, seed), images)


def soak(ward: Ward, folder: Path, database_url: str, seconds: float, seed: int) -> Soaked:
    """Have all hospitals call for so many seconds, and see whether everything was right, and is in the end."""
    found, memory = Findings(), Memory()
    with open_world(ward.women, ward.images, seed, FAILING) as world:
        product = Product(folder, {"ARCHIVE_PASSWORD": PASSWORD, "OMP_NUM_THREADS": "1"})
        write_settings(product, world, database_url)
        with product.process("worker", once_it_says="scoring with"), product.serving() as (url, service):
            callers = _callers(world, int(url.rpartition(":")[2]), seed, found)
            with memory.of(service.pid), _at_work(callers):
                time.sleep(seconds)
            for caller in callers * 5:  # some of these connections are lost again
                caller.report_what_is_open()
            ended = service.poll()
        problems = [*found.problems, *world.strays, *_wrong_processes(product, ended)]
        with books(database_url) as session:
            problems += wrong_books(session, world, found)
            in_the_end = kept(session, world)
    return Soaked(seed, seconds, database_url, world, found, in_the_end, memory, tuple(problems))


@contextmanager
def books(database_url: str) -> Iterator[Session]:
    """The database of a soak; what is changed in it while the block runs is not kept."""
    engine = open_database(database_url)
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def write_settings(product: Product, world: World, database_url: str) -> None:
    """The settings of a site with all hospitals, and the files that they name."""
    site = SITE.format(database_url=database_url, public_url=PUBLIC_URL, archive=world.archive, user=USER)
    for hospital in world.hospitals:
        token = product.folder / f"{hospital.name}.token"
        token.write_text(hospital.access_token)
        token.chmod(0o600)
        (product.folder / f"{hospital.name}.json").write_text(key_set(hospital))
    product.settings.write_text(site + "".join(_block(hospital, world) for hospital in world.hospitals))


def _block(hospital: Hospital, world: World) -> str:
    """One has its keys fetched, one is silent, and one has no RiskAssessments written into its charts."""
    keys = f'jwks_url = "{world.key_server}"' if hospital.number == 0 else f'jwks_file = "{hospital.name}.json"'
    assessments = "suggestion" if hospital.is_silent or hospital.number == 1 else "both"
    return EHR.format(
        name=hospital.name,
        fhir_server=hospital.fhir_server,
        mode="silent" if hospital.is_silent else "research",
        risk_assessment=assessments,
        timeout_s=EHR_TIMEOUT_S,
        issuer=hospital.issuer,
        keys=keys,
    )


def _callers(world: World, port: int, seed: int, found: Findings) -> list[Caller]:
    return [
        Caller(hospital, world.hospitals, port, seed * 1000 + hospital.number, found) for hospital in world.hospitals
    ]


@contextmanager
def _at_work(callers: Sequence[Caller]) -> Iterator[None]:
    over = Event()
    threads = [Thread(target=caller.run, args=(over,)) for caller in callers]
    with ExitStack() as ending:
        ending.callback(over.set)
        for thread in threads:
            thread.start()
        yield
        assert all(thread.is_alive() for thread in threads)
        over.set()
        for thread in threads:
            thread.join()


def _wrong_processes(product: Product, ended: int | None) -> Iterator[str]:
    if ended is not None:
        yield f"the service ended with status {ended}"
    for name, log in product.logs.items():
        for sign in ("Traceback", "unforeseen fault", "ended with status"):
            if sign in log:
                yield f"the log {name} tells of a fault of the program: {log[log.index(sign) :][:500]}"
    if product.run("audit", "verify") != 0:
        yield "the audit trail does not verify"
