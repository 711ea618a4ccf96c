"""Women with seven scored exams each, as many as wanted, and the calls that an EHR makes about them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlmodel import SQLModel

from cds.demo.resources import imaging_study, order_select, patient
from cds.services import WebServices, usable_card, web_services
from cds.settings import EhrSettings, ServiceSettings, Settings
from cds.store.database import open_database
from cds.store.store import NewExam, Store
from fhir_mappings.codes import DICOM_UID
from hooks.site import Mode
from model.domain import (
    STANDARD_VIEWS,
    AcquisitionDevice,
    ModelVersion,
    Provenance,
    RiskScore,
    ScoredExam,
    SourceImage,
)
from model.phantom import PhantomExam, dicom_images

EHR = "bench"
FHIR_SERVER = "http://127.0.0.1:9/fhir"
"""Nobody listens there: with a complete prefetch nobody is asked."""
EXAMS = 7
"""Of each woman: the index exam and the six before it that a card compares."""
FIRST = "woman-0"

_TODAY = datetime.now(UTC).date()
_EXAMS = [PhantomExam(1, date(_TODAY.year - n, 1, 15), 0.3, FIRST, rows=64, columns=52) for n in range(EXAMS)]
_UIDS = [f"2.25.{n}" for n in range(1, EXAMS + 1)]
"""Of the first woman's studies; those of another have her number behind."""
_IDENTIFIERS = ("archive-id",)
_MADE_FROM = Provenance(
    tuple(
        SourceImage(view, f"1.2.840.113619.2.401.{10**15 + number}.20261129.{10**6 + number}", "a" * 64)
        for number, view in enumerate(STANDARD_VIEWS)
    ),
    "cpu, float32",
    "mammotrend 0.1.0, torch 2.13.0+cpu",
)
"""As a score names what it was made from; the UIDs as long as those of mammography units are."""
_EMPTY = {"resourceType": "Bundle", "type": "searchset"}
_ONCE = 2
"""`copy_rows` makes a copy for each woman but the first."""
_FIRST_MODEL = "(SELECT model FROM scoring ORDER BY id LIMIT 1)"
_NUMBERS = "WITH RECURSIVE woman(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM woman WHERE n + 1 < :women)"


def services(database_url: str) -> WebServices:
    """The service that answers about them."""
    ehr = EhrSettings(name=EHR, fhir_server=FHIR_SERVER, mode=Mode.RESEARCH)
    return web_services(Settings(database_url=database_url, ehrs=(ehr,), service=ServiceSettings(trust="demo")))


def store_exams(database_url: str, women: int) -> None:
    """The scored exams of so many women, in an empty database: the first one's by the store, the others' copied."""
    engine = open_database(database_url)
    _store_first(Store(engine), usable_card(Settings()).version)
    new, uid = "CAST(woman.n AS VARCHAR)", "'.' || CAST(woman.n AS VARCHAR)"
    hers = {"patient_id": f"'woman-' || {new}", "key": f"key || {uid}", "study_uid": f"study_uid || {uid}"}
    copy_rows(engine, "exam", hers, "exam, woman WHERE exam.patient_id = :first", women)
    copy_rows(engine, "score", {"study_uid": f"study_uid || {uid}"}, "score, woman", women)
    # CROSS JOIN, because SQLite keeps to the order of it: from the first woman's errands to the others' exams.
    errands = (
        "scoring CROSS JOIN exam AS old CROSS JOIN woman CROSS JOIN exam AS hers CROSS JOIN score AS made "
        f"WHERE old.id = scoring.exam_id AND hers.ehr = '{EHR}' AND hers.key = old.key || {uid} "
        f"AND made.study_uid = old.study_uid || {uid}"
    )
    copy_rows(engine, "scoring", {"exam_id": "hers.id", "score_id": "made.id"}, errands, women)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


def score_again(engine: Engine, suffix: str) -> None:
    """Each scored exam once more, by a model whose name has this behind; `suffix` is ours, and no patient's."""
    scores = f"score, woman WHERE score.model = {_FIRST_MODEL}"
    copy_rows(engine, "score", {"model": f"model || '{suffix}'"}, scores, _ONCE)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))  # else PostgreSQL takes the new scores for few
    errands = (
        "scoring JOIN score AS old ON old.id = scoring.score_id JOIN score AS made "
        f"ON made.study_uid = old.study_uid AND made.model = old.model || '{suffix}' CROSS JOIN woman "
        f"WHERE old.model = {_FIRST_MODEL}"
    )
    copy_rows(engine, "scoring", {"model": f"scoring.model || '{suffix}'", "score_id": "made.id"}, errands, _ONCE)


def vacuum(engine: Engine, statement: str) -> None:
    """Clear away the rows that were changed, by one of the database's own VACUUM statements."""
    outside = create_engine(engine.url, isolation_level="AUTOCOMMIT")  # no transaction may hold a VACUUM
    with outside.connect() as connection:
        connection.execute(text(statement))
    outside.dispose()


def copy_rows(engine: Engine, table: str, changed: dict[str, str], source: str, women: int) -> None:
    """Copy rows of the first woman once for each other woman, with some columns changed."""
    columns = [column.name for column in SQLModel.metadata.tables[table].c if column.name != "id"]
    values = ", ".join(changed.get(column, f"{table}.{column}") for column in columns)
    # Names of our own tables and columns, and nothing from outside.
    statement = f"{_NUMBERS} INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {source}"  # noqa: S608
    with engine.begin() as connection:
        if connection.dialect.driver == "pg8000":
            driver: Any = connection.connection.dbapi_connection
            driver.answer_within(None)  # ten million rows take longer than any question of the service
        connection.execute(text(statement), {"women": women, "first": FIRST})


def _store_first(store: Store, model: ModelVersion) -> None:
    now = datetime.now(UTC)
    exams = [
        NewExam(EHR, FIRST, uid, uid, None, f"ImagingStudy/{uid}", exam.performed_on, patient_identifiers=_IDENTIFIERS)
        for uid, exam in zip(_UIDS, _EXAMS, strict=True)
    ]
    store.register(exams, model.key, now)
    score = RiskScore((0.01, 0.02, 0.03, 0.04, 0.05), (0.1, 0.2, 0.3, 0.4, 0.5), model)
    while job := store.claim(model.key, now, timedelta(minutes=1)):
        day = job.performed_on or _TODAY
        device = AcquisitionDevice("Phantom Imaging")
        store.save_score(job, ScoredExam(job.study_uid or "", day, score, now, device, provenance=_MADE_FROM))


def call(number: int) -> bytes:
    """An order-select call about one of them, with all that the service asks for."""
    her, after = f"woman-{number}", f".{number}" if number else ""
    studies = [_study(her, exam, f"{uid}{after}", uid) for uid, exam in zip(_UIDS, _EXAMS, strict=True)]
    prefetch = {
        "patient": patient(her, "Bench Mark", date(_TODAY.year - 50, 1, 1), _IDENTIFIERS),
        "mammograms": {**_EMPTY, "entry": [{"resource": study} for study in studies]},
        **dict.fromkeys(("conditions", "procedures", "orders", "allergies", "observations"), _EMPTY),
    }
    return json.dumps({**order_select(her, FHIR_SERVER, "token"), "prefetch": prefetch}).encode()


def _study(patient_id: str, exam: PhantomExam, uid: str, resource_id: str) -> dict[str, object]:
    written = imaging_study(resource_id, patient_id, next(dicom_images(exam)), 4)
    return {**written, "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{uid}"}]}
