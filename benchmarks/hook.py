"""How long a hook call takes with every score stored and the prefetch complete, beside a bare JSON echo."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from flask import Flask, request

from benchmarks.timing import Row, median_seconds
from cds.demo.loopback import serve
from cds.demo.resources import imaging_study, order_select, patient
from cds.services import WebServices, web_services
from cds.settings import EhrSettings, ServiceSettings, Settings
from cds.store.store import NewExam
from cds.web.app import create_app
from hooks.site import Mode
from model.domain import AcquisitionDevice, RiskScore, ScoredExam
from model.phantom import PhantomExam, dicom_images

FHIR_SERVER = "http://127.0.0.1:9/fhir"
"""Nobody listens there: with a complete prefetch nobody is asked."""

WOMAN = "bench-1"
TODAY = datetime.now(UTC).date()


def rows(rounds: int) -> Iterator[Row]:
    """The service's answer and the echo of the same body by the same web server."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            database_url=f"sqlite:///{Path(folder) / 'bench.sqlite'}",
            ehrs=(EhrSettings(name="bench", fhir_server=FHIR_SERVER, mode=Mode.RESEARCH),),
            service=ServiceSettings(trust="demo"),
        )
        parts = web_services(settings)
        exams = [PhantomExam(1, date(TODAY.year - back, 1, 15), 0.3, WOMAN, rows=64, columns=52) for back in range(7)]
        _store_scores(parts, exams)
        body = _call(exams)
        with serve(create_app(parts)) as service, serve(_echo()) as echo, requests.Session() as session:
            answer = _post(session, f"{service}/cds-services/breast-risk-order-select", body)
            if not answer["cards"]:
                raise AssertionError("the benchmark's call brought no card")
            floor = median_seconds(lambda: _post(session, f"{echo}/echo", body), rounds)
            seconds = median_seconds(
                lambda: _post(session, f"{service}/cds-services/breast-risk-order-select", body), rounds
            )
            yield Row("hook answer, 7 stored exams, full prefetch", seconds, floor, "bare Flask JSON echo")


def _store_scores(parts: WebServices, exams: list[PhantomExam]) -> None:
    store, model = parts.assessor.store, parts.assessor.model
    now = datetime.now(UTC)
    uids = [exam.study_uid for exam in exams]
    store.register([NewExam("bench", WOMAN, uid, uid, patient_identifiers=(WOMAN,)) for uid in uids], model.key, now)
    by_study: dict[str | None, PhantomExam] = {exam.study_uid: exam for exam in exams}
    while job := store.claim(model.key, now, timedelta(minutes=1)):
        score = RiskScore((0.01, 0.02, 0.03, 0.04, 0.05), (0.1, 0.2, 0.3, 0.4, 0.5), model)
        exam = by_study[job.study_uid]
        device = AcquisitionDevice("Phantom Imaging")
        store.save_score(job, ScoredExam(exam.study_uid, exam.performed_on, score, now, device))


def _call(exams: list[PhantomExam]) -> dict[str, Any]:
    studies = [imaging_study(f"s{i}", WOMAN, next(dicom_images(exam)), 4) for i, exam in enumerate(exams)]
    empty = {"resourceType": "Bundle", "type": "searchset"}
    prefetch = {
        "patient": patient(WOMAN, "Bench Mark", date(TODAY.year - 50, 1, 1), [WOMAN]),
        "mammograms": {**empty, "entry": [{"resource": study} for study in studies]},
        "conditions": empty,
        "procedures": empty,
        "orders": empty,
        "allergies": empty,
        "observations": empty,
    }
    return {**order_select(WOMAN, FHIR_SERVER, "token"), "prefetch": prefetch}


def _echo() -> Flask:
    app = Flask("echo")
    app.add_url_rule("/echo", view_func=lambda: request.get_json(), methods=["POST"], endpoint="echo")
    return app


def _post(session: requests.Session, url: str, body: dict[str, Any]) -> Any:
    response = session.post(url, json=body, timeout=30)
    response.raise_for_status()
    return response.json()
