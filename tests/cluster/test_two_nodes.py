"""A Ray cluster of two nodes scores what one process scores, to the last digit, also while a node is killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, text

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.pacs.archives import Archives
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive
from cds.scoring.budget import ByteBudget
from cds.scoring.cluster import on_cluster
from cds.scoring.in_process import in_process
from cds.scoring.pipeline import STUDY_BYTES
from cds.settings import ClusterSettings
from cds.store.database import open_database
from cds.store.store import Store
from cds.store.tables import ScoringState
from model.card import DEMO_MODEL
from model.phantom import PhantomExam, dicom_images
from model.scorer import Scorer
from tests.cds.builders import new_exam
from tests.cluster.ray_cluster import ray_cluster

pytestmark = pytest.mark.slow

EXAMS = [PhantomExam(7_000_001 + n, date(2024, 1 + n % 12, 1 + n), 0.05 * (n % 10)) for n in range(10)]
BROKEN = EXAMS[3]
"""An exam of which the archive has only one view."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An archive with all the exams."""
    folder = DicomFolder(tmp_path_factory.mktemp("archive"))
    for exam in EXAMS:
        for image in list(dicom_images(exam))[: 1 if exam is BROKEN else 4]:
            folder.add(image)
    with serve(dicomweb_app(folder), threads=4) as url:
        yield url


@pytest.fixture
def config(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of the nodes."""
    file = tmp_path / "node.toml"
    file.write_text(f'[[pacs]]\nname = "main"\ndicomweb_root = "{root}"\n[imaging]\ncheck_patient_id = false\n')
    monkeypatch.setenv("MAMMOTREND_CONFIG", str(file))
    return file


def queued(folder: Path, name: str, model: str) -> tuple[Engine, Store]:
    engine = open_database(f"sqlite:///{folder / name}.sqlite")
    store = Store(engine)
    store.register([new_exam(exam.study_uid) for exam in EXAMS], model, now())
    return engine, store


def now() -> datetime:
    return datetime.now(UTC)


def scores(engine: Engine) -> dict[str, tuple[str, ...]]:
    """What is stored of every study: risks, raw risks, and the digests of its images."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT study_uid, calibrated, raw, images FROM score")).all()
    found = {str(row[0]): tuple(map(str, row[1:])) for row in rows}
    assert len(found) == len(rows)
    return found


def told_as_scored(engine: Engine) -> list[str]:
    """Every study as often as the audit trail says that it was scored."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT study_uid FROM audit WHERE action = 'scored' ORDER BY study_uid")).all()
    return [str(row[0]) for row in rows]


def test_a_node_that_is_killed_loses_nothing_and_every_exam_is_scored_once_as_in_one_process(
    root: str, config: Path, tmp_path: Path
) -> None:
    scorer = Scorer(DEMO_MODEL, "cpu")
    model = scorer.card.version.key
    alone, one_process = queued(tmp_path, "alone", model)
    archive = Archives([DicomWebArchive(ArchiveRoot(root))])
    in_process(one_process, archive, scorer, model, now, ByteBudget(2 * STUDY_BYTES), check_patient_id=False).drain(
        Event(), now()
    )

    together, store = queued(tmp_path, "together", model)
    done: list[int] = []
    with ray_cluster(nodes=2) as cluster:
        line = on_cluster(ClusterSettings(address=cluster.address, cores_a_scorer=1), store, model, now)

        def count() -> None:
            done.append(1)
            if len(done) == 4:
                cluster.kill_node()

        line.drain(Event(), now(), on_done=count)

    assert store.count(model, ScoringState.SCORED) == len(EXAMS) - 1
    assert store.count(model, ScoringState.REFUSED) == 1
    assert scores(together) == scores(alone)
    assert told_as_scored(together) == sorted(exam.study_uid for exam in EXAMS if exam is not BROKEN)
    assert len(done) == len(EXAMS)
