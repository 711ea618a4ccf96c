"""What a cluster of one good node does while processes are killed and a node comes that is not set up."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from sqlalchemy import Engine, text

from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.scoring.cluster import TRIES, ClusterPreparation, ClusterScoring, Elsewhere, on_cluster
from cds.scoring.outcomes import Done, Held, Ready
from cds.scoring.pipeline import ScoringPipeline
from cds.scoring.stages import StageTimes
from cds.settings import ClusterSettings
from cds.store.database import open_database
from cds.store.store import ScoringJob, Store
from model.card import read_card
from model.phantom import PhantomExam
from tests.cds.builders import IDENTIFIER, new_exam
from tests.cluster.nodes import archived, node_settings, phantoms
from tests.cluster.ray_cluster import RayCluster, ray_cluster
from tests.model.test_scorer import Fails

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

pytestmark = pytest.mark.slow

SOME, MORE, LAST = phantoms(7_300_001, 5), phantoms(7_300_101, 6), phantoms(7_300_201, 2)
WOMAN = "a-woman-of-the-cluster"
DEADLY = SOME[2]
"""An exam at which the process that asks for it is killed."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Place:
    """A cluster with a node of two cores, and a site whose worker has joined it."""

    cluster: RayCluster
    node: str
    model: str
    engine: Engine
    store: Store
    killed: list[int] = field(default_factory=list)
    pipeline: Any = None

    def score(self, exams: list[PhantomExam], on_done: Callable[[], None] = lambda: None) -> None:
        """Queue exams and try each once."""
        self.store.register([new_exam(exam.study_uid, WOMAN) for exam in exams], self.model, now())
        self.pipeline.drain(Event(), now(), on_done=on_done)

    def states(self, exams: list[PhantomExam]) -> list[str]:
        """What became of each."""
        query = text("SELECT state FROM scoring JOIN exam ON exam.id = exam_id WHERE study_uid = :study_uid")
        with self.engine.connect() as connection:
            return [connection.execute(query, {"study_uid": exam.study_uid}).scalar_one() for exam in exams]

    def kill(self, name: str) -> None:
        """Kill what is at a function or an object of this name on a node."""
        for pid in self.cluster.at_work(name):
            os.kill(pid, signal.SIGKILL)
            self.killed.append(pid)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    engine = open_database(f"sqlite:///{folder / 'site.sqlite'}")
    images = archived([*SOME, *MORE, *LAST], folder / "images")
    with ray_cluster(nodes=0) as cluster, pytest.MonkeyPatch.context() as patch:
        # Where the deadly exam is asked for, whoever asks is killed; there is one exam under way at a time.
        front = Front(dicomweb_app(images))
        with serve(front.through) as root:
            patch.setenv("MAMMOTREND_CONFIG", str(node_settings(folder, root)))
            model = read_card(folder / "models" / "tiny").version.key
            here = Place(cluster, cluster.add_node(), model, engine, Store(engine))
            front.asked_for_the_deadly = lambda: here.kill("prepare")
            here.pipeline = joined(here)
            yield here
    engine.dispose()


class Front:
    """What stands before the archive."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self.asked_for_the_deadly: Callable[[], None] = lambda: None

    def through(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if DEADLY.study_uid in environ["PATH_INFO"]:
            self.asked_for_the_deadly()
        return self._app(environ, start_response)


def joined(place: Place) -> ScoringPipeline:
    settings = ClusterSettings(address=place.cluster.address, scorers=1, cores_a_scorer=1, fetchers=1)
    return on_cluster(settings, place.store, place.model, now)


def job(exam: PhantomExam) -> ScoringJob:
    return ScoringJob(exam.woman, "main", WOMAN, exam.study_uid, None, None, exam.performed_on, attempts=1)


def preparation(place: Place, cores: float, rest_s: float = 0.1) -> ClusterPreparation:
    return ClusterPreparation(
        place.model, scored_on_gpu=False, cores=cores, at_once=1, times=StageTimes(), rest_s=rest_s
    )


def test_an_exam_at_which_its_process_ends_each_time_is_held_the_others_are_scored_and_no_log_names_anybody(
    place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, logger="cds")

    place.score(SOME)

    assert place.states(SOME) == ["scored", "scored", "queued", "scored", "scored"]
    assert place.store.queued(place.model) == {
        "the cluster lost it (WorkerCrashedError); it is tried again": 1,
    }
    assert len(place.killed) == 4  # once, and three times again
    written = [caplog.text, *capfd.readouterr(), *(log.read_text(errors="replace") for log in _files(place))]
    assert len(written) > 10
    secrets = [WOMAN, IDENTIFIER, *(exam.study_uid for exam in SOME)]
    assert [secret for secret in secrets for log in written if secret in log] == []


def _files(place: Place) -> list[Path]:
    return [file for file in place.cluster.logs.rglob("*") if file.is_file()]


def test_while_a_scorer_is_killed_nothing_is_lost_and_another_takes_its_place(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    before = place.cluster.at_work("NodeScorer")

    def kill_after_two() -> None:
        done.append(1)
        if len(done) == 2:
            place.kill("NodeScorer")

    place.score(MORE, kill_after_two)

    assert place.states(MORE) == ["scored"] * len(MORE)
    assert len(before) == len(place.cluster.at_work("NodeScorer")) == 1
    assert before != place.cluster.at_work("NodeScorer")
    assert "a scorer of the cluster is lost" in caplog.text


def test_an_exam_at_which_scorers_end_is_held_after_three_and_the_one_beside_it_is_scored(place: Place) -> None:
    scoring = ClusterScoring(place.model, scorers=1, cores=1, gpus=0, times=StageTimes(), rest_s=0.2)
    good = preparation(place, 0.5).prepared(job(LAST[0]))
    assert isinstance(good, Ready)
    deadly = Ready(job(LAST[1]), Elsewhere(1, ray.put(EndsWhoeverReadsIt())))

    done, held = scoring.scored([good, deadly])

    assert isinstance(done, Done)
    assert isinstance(held, Held)
    assert held.fault == "ClusterFault"


def test_a_scorer_whose_gpu_fails_is_replaced_and_no_exam_but_that_at_which_each_fails_is_held(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    scoring = ClusterScoring(place.model, scorers=1, cores=1, gpus=0, times=StageTimes(), rest_s=0.2)
    good = preparation(place, 0.5).prepared(job(LAST[0]))
    assert isinstance(good, Ready)
    assert isinstance(good.exam, Elsewhere)
    failing: Any = (Fails(torch.AcceleratorError("CUDA error: unspecified launch failure")),) * 4
    bad = replace(ray.get(good.exam.pictures), study_uid=LAST[1].study_uid, pictures=failing)

    done, held = scoring.scored([good, Ready(job(LAST[1]), Elsewhere(1, ray.put(bad)))])

    assert isinstance(done, Done)
    assert isinstance(held, Held)
    assert held.problem == "the cluster lost it (RayTaskError(DeviceLost)); it is tried again"
    assert caplog.text.count("a scorer of the cluster is lost (RayTaskError(DeviceLost))") == 2 * TRIES


class EndsWhoeverReadsIt:
    """Ends the process that it is sent to."""

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return os._exit, (1,)


@pytest.fixture(scope="module")
def unfit(place: Place) -> Place:
    """The place with one more node, of four cores, that was started without its settings file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MAMMOTREND_CONFIG")
        place.cluster.add_node(cores=4)
    return place


def test_where_only_a_node_fits_that_is_not_set_up_an_exam_is_held_with_what_is_missing(unfit: Place) -> None:
    held = preparation(unfit, 3).prepared(job(LAST[0]))

    assert isinstance(held, Held)
    assert held.fault == "ClusterNotUsable"
    assert "MAMMOTREND_CONFIG was not set" in held.problem


def test_a_node_that_is_not_set_up_is_passed_over_where_another_one_is(
    unfit: Place, caplog: pytest.LogCaptureFixture
) -> None:
    good = NodeAffinitySchedulingStrategy(unfit.node, soft=False)
    on_good: Any = ray.remote(num_cpus=1)(lambda: time.sleep(2))
    busy = on_good.options(scheduling_strategy=good).remote()

    prepared = preparation(unfit, 1.5, rest_s=0.5).prepared(job(LAST[0]))

    ray.get(busy)
    assert isinstance(prepared, Ready)
    assert "MAMMOTREND_CONFIG was not set" in caplog.text
