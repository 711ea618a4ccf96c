"""The pipeline is measured beside its stages as they are in it: with as many threads and exams together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset

from benchmarks.gpu.night import InMemory
from benchmarks.pipeline import Alone, Measured, Site, alone
from cds.scoring.in_process import preparers
from cds.store.tables import Stage
from tests.builders import screening_exam
from tests.cds.builders import MODEL
from tests.cds.scoring.fakes import FakeScorer


@pytest.fixture(scope="module")
def archive() -> InMemory:
    return InMemory(screening_exam("1.2.3.4", rows=300, columns=200))


class Scorer(FakeScorer):
    """A fake with the card of its model."""

    card = SimpleNamespace(version=MODEL)


@pytest.fixture
def site(archive: InMemory) -> Iterator[Site]:
    with Site(archive, Scorer(batch_exams=3), fetchers=2) as opened:  # type: ignore[arg-type]
        yield opened


def test_an_archive_in_memory_has_every_study(archive: InMemory) -> None:
    images: list[Dataset] = archive.retrieve_study("1.2.3.10000007")

    assert {image.StudyInstanceUID for image in images} == {"1.2.3.10000007"}
    assert len(images) == 4
    with pytest.raises(AttributeError, match="asks for no find_since"):
        archive.find_since(None)


def test_every_stage_and_the_pipeline_have_a_row(site: Site) -> None:
    rows = site.against_its_stages(exams=4, rounds=1).rows("tiny")

    assert [row.what for row in rows[:4]] == [f"tiny: {stage} alone, an exam of 0.48 MB" for stage in Stage]
    assert rows[4].what == "tiny: the pipeline, an exam"
    assert rows[4].floor_s == max(row.seconds for row in rows[:4])
    assert all(row.seconds > 0 for row in rows)


def test_scoring_alone_has_the_batch_of_the_pipeline(archive: InMemory) -> None:
    scorer = Scorer(batch_exams=3)

    with Site(archive, scorer, fetchers=2) as site:  # type: ignore[arg-type]
        site._stages_alone(4)

    assert set(scorer.batches) == {3}


def test_as_many_exams_are_prepared_at_a_time_as_in_the_pipeline(archive: InMemory) -> None:
    at_work, most, turn = 0, 0, Lock()

    class Slow(Scorer):
        def prepare(self, images: Sequence[Dataset], **about: Any) -> Any:
            nonlocal at_work, most
            with turn:
                at_work += 1
                most = max(most, at_work)
            time.sleep(0.02)
            with turn:
                at_work -= 1
            return super().prepare(images, **about)

    with Site(archive, Slow(batch_exams=1), fetchers=2 * preparers()) as site:  # type: ignore[arg-type]
        site.in_the_pipeline(4 * preparers())
        in_the_pipeline, most = most, 0
        site._stages_alone(2)

    assert most == in_the_pipeline == preparers()


def test_what_is_done_for_several_together_counts_for_each() -> None:
    done: list[int] = []
    one = alone(done.append, 4, exams_each=5)

    assert len(done) == 5  # one does not count
    assert 0 < one.alone_s < 1


def test_the_pipeline_stands_beside_its_slowest_stage() -> None:
    def stages(prepare_s: float) -> dict[Stage, Alone]:
        return {stage: Alone(prepare_s if stage is Stage.PREPARE else 0.1, 0.2) for stage in Stage}

    row = Measured([(stages(0.4), 0.5), (stages(0.6), 0.8), (stages(0.5), 1.0)], exam_bytes=1).rows("x")[-1]

    assert (row.seconds, row.floor_s, row.floor) == (0.8, 0.5, "its slowest stage alone, prepare")
    assert row.remark.startswith("75 % of that rate")


def test_each_exam_in_the_pipeline_is_scored_once(site: Site) -> None:
    done: list[int] = []

    for night in (1, 2):
        site.in_the_pipeline(3, lambda night=night: done.append(night))  # type: ignore[misc]

    assert done == [1, 1, 1, 2, 2, 2]
