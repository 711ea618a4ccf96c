"""Worker and run are killed at any moment, or told to stop: the next one goes on, nothing is lost or done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, update
from sqlmodel import Session, col, select

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.fhir_server import fhir_app
from cds.demo.fhir_store import ResourceStore
from cds.demo.resources import imaging_study, patient
from cds.store.audit import Action
from cds.store.database import open_database
from cds.store.runs import RunRecords
from cds.store.tables import Lease, Outbox, OutboxState, Scoring, ScoringState
from model.card import DEMO_MODEL, read_card
from model.domain import STANDARD_VIEWS
from model.phantom import PhantomExam, dicom_images, signal_for
from tests.cds.builders import EHR
from tests.faults.books import audited, scored_everything, scores, unbalanced
from tests.faults.front import Fault, Front
from tests.servers import CHECKOUT

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

pytestmark = pytest.mark.slow

MODEL = read_card(DEMO_MODEL).version.key
LONGEST_S, IDLE_S = 120, 20
DAYS = [date(year, 3, 1) for year in range(2021, 2026)]


def exam(woman: int, name: str, day: date, **changes: Any) -> PhantomExam:
    """A small one, of a woman who is called by the patient ID on her images."""
    return PhantomExam(woman, day, signal_for(0.03), f"MRN-{name}", **({"rows": 256, "columns": 208} | changes))


SCORED = (*(exam(71, "ada", day) for day in DAYS), exam(72, "bea", DAYS[0]), exam(72, "bea", DAYS[-1]))
REFUSED = exam(73, "eva", DAYS[-1], views=STANDARD_VIEWS[:3])

SETTINGS = """\
database_url = "sqlite:///{folder}/site.sqlite"
[[ehrs]]
name = "{ehr}"
fhir_server = "{fhir_server}"
mode = "research"
risk_assessment = "write-back"
[[pacs]]
name = "main"
dicomweb_root = "{dicomweb_root}"
[night]
cron = ""
"""
IMAGES = r"/studies/[\d.]+$"
ROUNDS = (
    ("rescore", "ImagingStudy.modality", range(1)),
    ("rescore", "patient=", range(1, 3)),
    ("worker", IMAGES, range(1)),
    ("rescore", IMAGES, range(2)),
    ("worker", IMAGES, range(1)),
    ("rescore", "RiskAssessment", range(1)),
    ("worker", "POST /RiskAssessment", range(1)),
)
"""The life of a run from its first look to its last letter: what is started, and killed after so many of a kind of
request."""


@dataclass
class Hospital:
    """The two servers, the settings of our processes, and what these keep."""

    charts: ResourceStore
    ehr: Front
    pacs: Front
    settings: Path
    engine: Engine

    @contextmanager
    def process(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """`mammotrend COMMAND` on these settings, killed with the block."""
        run = [sys.executable, "-P", "-m", "cds.cli", command, "--config", str(self.settings)]
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MAMMOTREND_")}
        with (self.settings.parent / "process.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 # our own program
                run, cwd=CHECKOUT, env=kept | {"PYTHONPATH": str(CHECKOUT)}, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        """The last of what the processes said."""
        return (self.settings.parent / "process.log").read_text()[-3000:]

    def let_leases_run_out(self) -> None:
        """What a few minutes would do: nobody is left at anything."""
        now = datetime.now(UTC)
        with Session(self.engine) as session:
            session.execute(update(Lease).values(until=now))
            queued = col(Scoring.state) == ScoringState.QUEUED
            session.execute(update(Scoring).where(queued).values(due_at=now))
            waiting = col(Outbox.state) == OutboxState.QUEUED
            session.execute(update(Outbox).where(waiting).values(due_at=now))
            session.execute(update(Outbox).where(col(Outbox.claimed_until) > now).values(claimed_until=now))
            session.commit()

    def in_hand(self) -> int:
        """How many errands and letters somebody is at, or was when it ended."""
        with Session(self.engine) as session:
            errands = session.exec(select(Scoring).where(col(Scoring.claimed_until).is_not(None))).all()
            letters = session.exec(select(Outbox).where(col(Outbox.claimed_until).is_not(None))).all()
        return len(errands) + len(letters)

    def unbalanced(self) -> list[str]:
        """What is not right in the books."""
        return unbalanced(self.engine, self.charts, MODEL)


@pytest.fixture
def hospital(tmp_path: Path) -> Iterator[Hospital]:
    """Three women with eight exams, before the first run."""
    charts, images = ResourceStore(), DicomFolder(tmp_path / "images")
    hospital = fhir_app(charts, ["unused"])
    hospital.before_request_funcs.clear()  # anybody may ask
    ehr, pacs = Front(hospital), Front(dicomweb_app(images))
    for one in (*SCORED, REFUSED):
        views, woman = list(dicom_images(one)), one.patient_id.removeprefix("MRN-")
        for view in views:
            images.add(view)
        charts.put(patient(woman, "Test Woman", date(1970, 1, 1), [one.patient_id]))
        charts.put(imaging_study(f"s-{one.study_uid[-20:]}", woman, views[0], len(views)))
    ehr.start()
    pacs.start()
    settings = tmp_path / "mammotrend.toml"
    settings.write_text(SETTINGS.format(folder=tmp_path, ehr=EHR, fhir_server=ehr.url, dicomweb_root=pacs.url))
    engine = open_database(f"sqlite:///{tmp_path / 'site.sqlite'}")
    (tmp_path / "site.sqlite").chmod(0o600)
    try:
        yield Hospital(charts, ehr, pacs, settings, engine)
    finally:
        engine.dispose()
        ehr.stop()
        pacs.stop()


def killing(kill: Callable[[], object], after_requests: int, delay_s: float, *, is_done: bool) -> Fault:
    """The request after so many kills who asked: before it is done, or once it is and before its answer."""
    left = iter(range(after_requests))

    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            if next(left, None) is not None:
                return app(environ, start_response)
            if delay_s:
                Timer(delay_s, kill).start()
                return app(environ, start_response)
            if not is_done:
                kill()
                return app({**environ, "REQUEST_METHOD": "GET"}, start_response)
            answered = app(environ, start_response)
            kill()
            return answered

        return answer

    return around


def kill_at(hospital: Hospital, command: str, moment: str, after: range, chance: random.Random) -> bool:
    """Start the command and kill it at the moment or a little later; False where there was nothing left to do."""
    delay_s = chance.uniform(0.0, 0.2) if moment == IMAGES and chance.random() < 0.5 else 0.0
    with hospital.process(command) as process:
        fault = killing(process.kill, chance.choice(after), delay_s, is_done=chance.random() < 0.5)
        # One of the two servers has requests like this.
        with hospital.ehr.failing(fault, moment), hospital.pacs.failing(fault, moment):
            try:
                return process.wait(IDLE_S if command == "worker" else LONGEST_S) < 0
            except subprocess.TimeoutExpired:
                assert command == "worker", hospital.log  # which does not end by itself
                return False


@pytest.mark.parametrize("seed", [2])
def test_whatever_is_killed_and_when_the_last_runs_end_it_with_nothing_lost_or_done_twice(
    hospital: Hospital, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 # no secret
    killed: list[str] = []
    for command, moment, after in ROUNDS:
        if kill_at(hospital, command, moment, after, chance):
            killed.append(command)
        assert hospital.unbalanced() == []
        hospital.let_leases_run_out()
    with hospital.process("rescore") as process:
        # 1: an exam at which three ended is held before it is tried again, for it may be what ends them.
        assert process.wait(LONGEST_S) in (0, 1), hospital.log
    with hospital.process("rescore") as process:
        assert process.wait(LONGEST_S) == 0, hospital.log

    assert len(killed) >= len(ROUNDS) - 2
    check_everything_is_done_once(hospital)
    unfinished = [run for run in RunRecords(hospital.engine).last() if run.finished_at is None]
    assert len(unfinished) == killed.count("rescore")


def holding(arrived: Event, let_go: Event) -> Fault:
    """The right answer, once it may go."""

    def around(app: WSGIApplication) -> WSGIApplication:
        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
            arrived.set()
            assert let_go.wait(LONGEST_S)
            return app(environ, start_response)

        return answer

    return around


@pytest.mark.parametrize("moment", [IMAGES, "POST /RiskAssessment"], ids=["an exam", "a letter"])
def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand_and_takes_nothing_more(
    hospital: Hospital, moment: str
) -> None:
    with hospital.pacs.down(), hospital.process("rescore") as process:
        assert process.wait(LONGEST_S) == 1, hospital.log
    hospital.let_leases_run_out()
    arrived, let_go = Event(), Event()
    held = holding(arrived, let_go)
    ehr, pacs = hospital.ehr.failing(held, moment), hospital.pacs.failing(held, moment)
    with ehr, pacs, hospital.process("worker") as process:
        assert arrived.wait(LONGEST_S), hospital.log
        process.send_signal(signal.SIGTERM)
        time.sleep(1.0)  # it has heard
        asked = hospital.ehr.count(moment) + hospital.pacs.count(moment)
        let_go.set()
        assert process.wait(LONGEST_S) == 0, hospital.log

    assert hospital.ehr.count(moment) + hospital.pacs.count(moment) == asked
    assert hospital.unbalanced() == []
    assert hospital.in_hand() == 0  # so that nothing waits for a lease to end
    with hospital.process("rescore") as process:
        assert process.wait(LONGEST_S) == 0, hospital.log
    check_everything_is_done_once(hospital)


def check_everything_is_done_once(hospital: Hospital) -> None:
    """Every exam scored or refused once, and every assessment once in the chart of whom it is about."""
    uids = sorted(one.study_uid for one in SCORED)
    assert scored_everything(hospital.engine, hospital.charts, MODEL) == []
    assert hospital.unbalanced() == []
    assert scores(hospital.engine) == uids
    assert audited(hospital.engine, Action.SCORED) == dict.fromkeys(uids, 1)
    assert audited(hospital.engine, Action.REFUSED) == {REFUSED.study_uid: 1}
    # At an exam at which workers end again and again she is assessed without it for a while: that is another entry.
    assert {one["subject"]["reference"] for one in hospital.charts.all("RiskAssessment")} == {
        "Patient/ada",
        "Patient/bea",
    }
