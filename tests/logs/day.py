"""The day itself: nights, calls good and bad, servers and a database that fail, reports; then the logs are read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import ECKey
from sqlalchemy import text

from cds.commands.command_line import TRY_AGAIN
from cds.demo.fhir_store import ResourceStore
from cds.store.database import connect
from tests.cds.ehr.token_server import CLIENT
from tests.faults.front import answering, losing_the_answer, silent_for, truncating
from tests.logs.bad_calls import bad_calls
from tests.logs.ehr_side import ISSUER, PUBLIC_URL, EhrSide, path
from tests.logs.hospital import (
    ARCHIVE_USER,
    MISSING,
    REFUSED,
    SCORED,
    STRANGE,
    Hospital,
    leading_away,
    open_hospital,
    quoting,
)
from tests.logs.told import (
    ARCHIVE_PASSWORD,
    BROKEN_PASSWORD,
    COMMENT,
    DATABASE_PASSWORD,
    TENANT,
    Told,
)
from tests.product import Product

TALKATIVE = "import logging; logging.basicConfig(level='DEBUG'); from cds.cli import app; app()"
"""The program with its loggers as talkative as they can be; no setting of a site goes further than INFO."""

SETTINGS = """\
database_url = "{database_url}"
[service]
port = 0
public_url = "{public_url}"
answer_budget_s = 0.2
[[ehrs]]
name = "main"
fhir_server = "{ehr}/r4"
mode = "research"
risk_assessment = "both"
timeout_s = 1.0
client_id = "{client}"
private_key_file = "worker.pem"
token_url = "{ehr}/token"
[ehrs.caller]
issuer = "{issuer}"
jwks_url = "{ehr}/keys"
tenants = ["{tenant}"]
[[pacs]]
name = "main"
dicomweb_root = "{pacs}"
username = "{user}"
password_variable = "ARCHIVE_PASSWORD"
read_timeout_s = 2.0
study_timeout_s = 4.0
[imaging]
report_to = "main"
find_priors = true
[night]
cron = ""
"""


@dataclass(frozen=True)
class Day:
    """What is left of it: everything that was told, and what each process wrote."""

    told: Told
    logs: dict[str, str]

    @property
    def log(self) -> str:
        """What all of them wrote."""
        return "\n".join(self.logs.values())


def a_day(folder: Path) -> Day:
    """The whole day, in a folder of its own."""
    told, key = Told(), ECKey.generate_key("P-384")
    pem = key.as_pem(private=True).decode()
    (folder / "worker.pem").write_text(pem)
    (folder / "worker.pem").chmod(0o600)
    for line in pem.splitlines()[1:-1]:
        told.keep("a line of the worker's key", line)
    told.hear(pem, ARCHIVE_PASSWORD, DATABASE_PASSWORD, BROKEN_PASSWORD)
    with open_hospital(told, key, folder / "images") as hospital:
        product = Product(folder, {"ARCHIVE_PASSWORD": ARCHIVE_PASSWORD, "OMP_NUM_THREADS": "1"}, ("-c", TALKATIVE))
        product.settings.write_text(_settings(hospital, folder))
        _nights(product, hospital)
        with product.process("worker", once_it_says="scoring with"), product.serving() as (url, _):
            ehr = EhrSide(hospital, int(url.rpartition(":")[2]))
            _good_calls(ehr)
            bad_calls(ehr)
            _failing_ehr(ehr)
            _failing_store(ehr, folder)
        _commands(product)
        _keep_what_was_made(told, hospital.charts)
    return Day(told, product.logs)


def _settings(hospital: Hospital, folder: Path) -> str:
    return SETTINGS.format(
        database_url=_database_url(folder),
        public_url=PUBLIC_URL,
        ehr=hospital.ehr.url,
        pacs=hospital.pacs.url,
        client=CLIENT,
        issuer=ISSUER,
        tenant=TENANT,
        user=ARCHIVE_USER,
    )


def _database_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'site.sqlite'}"


def _nights(product: Product, hospital: Hospital) -> None:
    """A night without a token, one in which archive and chart fail, and one in which all is well but the exams."""
    words, ehr, pacs = hospital.told.quoted, hospital.ehr, hospital.pacs
    with ehr.failing(quoting(words, 400), "POST /token"):
        assert product.run("rescore") == 1
    with ehr.failing(quoting(words, 422), "RiskAssessment"), pacs.failing(quoting(words, 500), "GET /studies/"):
        assert product.run("rescore") == 1
    with (
        ehr.failing(quoting(words, 422), "POST /r4/RiskAssessment"),
        pacs.failing(quoting(words, 409), "POST /studies"),
    ):
        assert product.run("rescore") == 1
    assert product.run("outbox", "retry") == 0


def _good_calls(ehr: EhrSide) -> None:
    """Calls of every service with and without a prefetch, and what was done with the cards."""
    for service in ("order-select", "order-sign", "patient-view"):
        for patient_id in (SCORED, REFUSED, STRANGE, MISSING):
            ehr.cards(patient_id, service, prefetch=ehr.hospital.prefetch(patient_id))
    (card,) = ehr.cards(SCORED)
    feedback = {"card": card["uuid"], "outcomeTimestamp": "2026-05-20T10:00:00Z"}
    accepted = [{"id": card["suggestions"][0]["uuid"]}]
    told_twice = [{**feedback, "outcome": "accepted", "acceptedSuggestions": accepted}] * 2
    _feedback(ehr, *told_twice)
    why = {"reason": {"code": "patient-declined"}, "userComment": COMMENT}
    _feedback(ehr, {**feedback, "outcome": "overridden", "overrideReason": why})
    _feedback(ehr, {**feedback, "card": ehr.hospital.told.keep("no card", str(uuid.uuid4())), "outcome": "overridden"})


def _feedback(ehr: EhrSide, *reports: object) -> None:
    to = f"{path()}/feedback"
    assert ehr.send(to, {"feedback": list(reports)}, ehr.token(to))[0] == 200


def _failing_ehr(ehr: EhrSide) -> None:
    """Calls that need the EHR, whose server fails in every way and says in its failures whom it is about."""
    words = ehr.hospital.told.quoted
    faults = (
        *(quoting(words, status) for status in (200, 400, 401, 403, 404, 410, 422, 429, 500, 503)),
        leading_away(words),
        answering(302, Location=f"http://localhost:9/{SCORED}?name=Quixotina"),
        losing_the_answer(),
        truncating(),
        silent_for(1.5),
    )
    for fault in faults:
        for part in ("/Patient", "/ImagingStudy", "/ServiceRequest"):
            with ehr.hospital.ehr.failing(fault, part):
                assert ehr.call(SCORED)[0] in {200, 412}
    with ehr.hospital.ehr.down():
        assert ehr.call(SCORED)[0] == 412


def _failing_store(ehr: EhrSide, folder: Path) -> None:
    """Calls and feedback while tables are gone: the database's own words quote the statement with its values."""
    to = f"{path()}/feedback"
    report = {"card": SCORED, "outcome": "overridden", "outcomeTimestamp": COMMENT}
    for table in ("card", "exam", "audit", "seen_token", "feedback"):
        with _without(table, folder):
            assert ehr.call(SCORED, prefetch=ehr.hospital.prefetch(SCORED))[0] == 503
            assert ehr.send(to, {"feedback": [report]}, ehr.token(to))[0] in {200, 503}


@contextmanager
def _without(table: str, folder: Path) -> Iterator[None]:
    engine = connect(_database_url(folder))

    def rename(name: str, new: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {name} RENAME TO {new}"))

    rename(table, "elsewhere")
    try:
        yield
    finally:
        rename("elsewhere", table)
        engine.dispose()


def _commands(product: Product) -> None:
    """What an administrator asks for that is not meant to name anybody; and settings that cannot be used."""
    for command in (("report", "cards"), ("runs",), ("audit", "verify"), ("db", "status")):
        assert product.run(*command) == 0, command
    product.run("outbox", "list", "--all")
    away = f"postgresql+pg8000://mammotrend:{DATABASE_PASSWORD}@127.0.0.1:9/site"
    assert product.run("report", "cards", MAMMOTREND_DATABASE_URL=away) == TRY_AGAIN
    assert product.run("runs", MAMMOTREND_DATABASE_URL=f"no address {DATABASE_PASSWORD}") == 2
    for broken in (f'[{{"name": "main", "password": "{BROKEN_PASSWORD}"', f'[{{"password": ["{BROKEN_PASSWORD}"]}}]'):
        assert product.run("runs", MAMMOTREND_PACS=broken) == 2
    key = product.folder / "worker.pem"
    key.write_text(key.read_text().replace("PRIVATE", "PRIVY"))
    assert product.run("worker") == 2


def _keep_what_was_made(told: Told, charts: ResourceStore) -> None:
    """What the product itself has given to others: its assertions of who it is, and the identifiers of assessments."""
    for assertion in set(re.findall(rb"client_assertion=([\w.-]+)", bytes(told.overheard))):
        for part in assertion.decode().split(".")[1:]:
            told.keep("a part of an assertion", part)
    for resource in charts.all("RiskAssessment"):
        told.keep("an assessment", resource["identifier"][0]["value"])
