"""What a node of a cluster does, in one process and without a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch

from cds.demo.dicom_folder import DicomFolder
from cds.demo.dicomweb_server import dicomweb_app
from cds.demo.loopback import serve
from cds.errors import ClusterNotUsable
from cds.scoring.cluster_node import NodeScorer, Told, _preparation, prepare, problem, program
from cds.scoring.outcomes import Done, Held
from cds.store.store import ScoringJob
from cds.store.tables import Stage
from model.card import read_card
from model.domain import ExclusionReason, RefusedExam, ScoredExam
from model.errors import DeviceLost
from model.phantom import PhantomExam, dicom_images
from model.prepared import PreparedExam
from model.preprocessing import Windowed
from tests.cds.scoring.test_site_scorer import install_checked_model
from tests.model.test_scorer import Fails

pytestmark = pytest.mark.usefixtures("logging_as_found", "_a_process_of_its_own")

WHOLE = PhantomExam(7_200_001, date(2024, 3, 1), 0.4, rows=256, columns=208)
OTHER = PhantomExam(7_200_002, date(2024, 3, 2), 0.4, rows=256, columns=208)
BROKEN = PhantomExam(7_200_003, date(2024, 3, 3), 0.4, rows=256, columns=208)
"""An exam of which the archive has only one view."""


@pytest.fixture
def _a_process_of_its_own() -> Iterator[None]:
    """What a node's process keeps for good is made anew for each test."""
    threads = torch.get_num_threads()
    _preparation.cache_clear()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of an archive with the three exams."""
    folder = DicomFolder(tmp_path_factory.mktemp("archive"))
    for exam in (WHOLE, OTHER, BROKEN):
        for image in list(dicom_images(exam))[: 1 if exam is BROKEN else 4]:
            folder.add(image)
    with serve(dicomweb_app(folder)) as root:
        yield root


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model `tiny`."""
    folder = tmp_path_factory.mktemp("models")
    install_checked_model(folder / "tiny")
    return folder


@pytest.fixture
def model(models: Path) -> str:
    return read_card(models / "tiny").version.key


class Node:
    """The settings file of a node, which `MAMMOTREND_CONFIG` names."""

    def __init__(self, file: Path, models: Path) -> None:
        self.file, self._models = file, models

    def write(self, root: str, also: str = "") -> None:
        self.file.write_text(
            f'model = "tiny"\nmodels_folder = "{self._models}"\n{also}\n[[pacs]]\nname = "main"\n'
            f'dicomweb_root = "{root}"\n[imaging]\ncheck_patient_id = false\n[scoring]\ndevice = "cpu"\n'
        )


@pytest.fixture
def node(archive: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node that can work."""
    set_up = Node(tmp_path / "node.toml", models)
    set_up.write(archive)
    monkeypatch.setenv("MAMMOTREND_CONFIG", str(set_up.file))
    return set_up


def job(exam: PhantomExam) -> ScoringJob:
    return ScoringJob(exam.woman, "main", "p1", exam.study_uid, None, None, exam.performed_on, attempts=1)


def ready(exam: PhantomExam, model: str) -> PreparedExam:
    _, pictures = prepare(model, program(), False, job(exam))
    assert isinstance(pictures, PreparedExam)
    return pictures


def test_an_exam_that_is_ready_comes_with_its_pictures_what_they_take_and_how_long_it_was(
    node: Node, model: str
) -> None:
    told, pictures = prepare(model, program(), False, job(WHOLE))

    assert isinstance(pictures, PreparedExam)
    assert (told.ready, told.outcomes, told.problem) == (job(WHOLE), (), "")
    assert told.bytes_held == pictures.bytes_held == 4 * 64 * 52 * 4
    assert {stage: spent.exams for stage, spent in told.spent.items()} == {Stage.FETCH: 1, Stage.PREPARE: 1}
    assert all(spent.seconds > 0 for spent in told.spent.values())


def test_where_a_gpu_scores_the_views_are_only_decoded(node: Node, model: str) -> None:
    _, pictures = prepare(model, program(), True, job(WHOLE))

    assert isinstance(pictures, PreparedExam)
    assert all(isinstance(picture, Windowed) for picture in pictures.pictures)


def test_each_exam_tells_only_its_own_time(node: Node, model: str) -> None:
    spent = [prepare(model, program(), False, job(exam))[0].spent for exam in (WHOLE, OTHER)]

    assert [one[Stage.FETCH].exams for one in spent] == [1, 1]


def test_a_refused_exam_has_its_reasons_and_no_pictures(node: Node, model: str) -> None:
    told, pictures = prepare(model, program(), False, job(BROKEN))

    (outcome,) = told.outcomes
    assert isinstance(outcome, Done)
    assert isinstance(outcome.exam, RefusedExam)
    assert {exclusion.reason for exclusion in outcome.exam.exclusions} == {ExclusionReason.MISSING_VIEW}
    assert (told.ready, told.bytes_held, pictures) == (None, 0, None)


def test_an_archive_that_is_silent_holds_the_exam_and_is_not_the_nodes_fault(node: Node, model: str) -> None:
    node.write("http://127.0.0.1:9/dicom-web")

    told, pictures = prepare(model, program(), False, job(WHOLE))

    (outcome,) = told.outcomes
    assert isinstance(outcome, Held)
    assert (outcome.fault, told.problem, told.spent, pictures) == ("PacsUnreachable", "", {}, None)
    assert problem(model, program()) == ""


def unfit(node: Node, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Take from a node what it needs."""
    if why == "no variable":
        monkeypatch.delenv("MAMMOTREND_CONFIG")
    elif why == "no file":
        node.file.unlink()
    elif why == "no archive":
        node.file.write_text(node.file.read_text().partition("[[pacs]]")[0])
    elif why == "not safe":
        node.write("http://pacs.example.org/dicom-web")
    else:
        node.write("http://127.0.0.1:9/dicom-web", also='refuse_unvalidated_devices = "perhaps"')


UNFIT = {
    "no variable": "MAMMOTREND_CONFIG was not set where `ray start` was called",
    "no file": "the settings file 'node.toml' cannot be read",
    "no archive": "no [[pacs]] block is set",
    "not safe": "pacs.0.dicomweb_root must begin with https",
    "not a setting": "refuse_unvalidated_devices",
}


@pytest.mark.parametrize(("why", "said"), UNFIT.items())
def test_a_node_that_is_not_set_up_says_so_and_looks_at_no_exam(
    why: str, said: str, node: Node, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfit(node, monkeypatch, why)

    told, pictures = prepare(model, program(), False, job(WHOLE))

    assert said in told.problem
    assert f"the node {os.uname().nodename!r} of the cluster cannot work" in told.problem
    assert told == Told(problem=problem(model, program()))
    assert pictures is None


def test_a_node_that_is_set_up_meanwhile_works(node: Node, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAMMOTREND_CONFIG")
    assert prepare(model, program(), False, job(WHOLE))[0].problem
    monkeypatch.setenv("MAMMOTREND_CONFIG", str(node.file))

    assert prepare(model, program(), False, job(WHOLE))[0].ready == job(WHOLE)


def test_a_node_with_another_model_prepares_and_scores_nothing(node: Node) -> None:
    told, _ = prepare("another", program(), False, job(WHOLE))
    scorer = NodeScorer("another", program(), 1)

    for said in (told.problem, problem("another", program()), scorer.problem):
        assert said.endswith("its settings name another model than the worker's; install the same on all")


def test_a_node_with_another_version_of_the_program_says_which_and_does_nothing_whenever_it_came(
    node: Node, model: str
) -> None:
    told, _ = prepare(model, "mammotrend 9.9", False, job(WHOLE))
    scorer = NodeScorer(model, "mammotrend 9.9", 1)

    for said in (told.problem, problem(model, "mammotrend 9.9"), scorer.problem):
        assert f"it has {program()}, and the worker mammotrend 9.9" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="its GPU can be used")
def test_a_scorer_that_was_given_a_gpu_scores_on_no_core_unless_the_settings_of_the_node_say_so(
    node: Node, model: str
) -> None:
    assert NodeScorer(model, program(), 1, on_gpu=True).batch_exams() == 1

    node.file.write_text(node.file.read_text().replace('device = "cpu"', 'device = ""'))

    with pytest.raises(ClusterNotUsable, match="was given a GPU there which torch cannot use"):
        NodeScorer(model, program(), 1, on_gpu=True).batch_exams()
    assert NodeScorer(model, program(), 1).batch_exams() == 1


def test_a_scorer_whose_gpu_fails_holds_no_exam_and_says_from_then_on_that_it_cannot_work(
    node: Node, model: str
) -> None:
    scorer = NodeScorer(model, program(), 1)
    pictures: Any = (Fails(torch.AcceleratorError("CUDA error: unspecified launch failure")),) * 4

    with pytest.raises(DeviceLost):
        scorer.score([job(OTHER), job(WHOLE)], ready(OTHER, model), replace(ready(WHOLE, model), pictures=pictures))

    with pytest.raises(ClusterNotUsable, match="the GPU has failed"):
        scorer.batch_exams()


def test_a_fault_that_nobody_foresaw_is_the_nodes_and_its_words_are_not_passed_on(
    node: Node, model: str, tmp_path: Path
) -> None:
    # A name that no file system can have is a ValueError that nobody who looks at a secret's file expects.
    secret = f'username = "x"\npassword_file = "{tmp_path}/MRN-1\\u0000"'
    node.file.write_text(node.file.read_text().replace('name = "main"', f'name = "main"\n{secret}'))

    told, pictures = prepare(model, program(), False, job(WHOLE))

    assert told.problem.endswith("cannot work: an unforeseen fault (ValueError)")
    assert pictures is None


def test_a_scorer_on_a_node_that_is_not_set_up_is_made_and_tells_why_it_cannot_score(
    node: Node, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAMMOTREND_CONFIG")

    scorer = NodeScorer(model, program(), 1)

    with pytest.raises(ClusterNotUsable, match="MAMMOTREND_CONFIG was not set"):
        scorer.batch_exams()


def test_a_scorer_scores_what_was_prepared_and_says_how_long_it_took(node: Node, model: str) -> None:
    scorer = NodeScorer(model, program(), 1)

    told = scorer.score([job(WHOLE), job(OTHER)], ready(WHOLE, model), ready(OTHER, model))

    scored = [outcome.exam for outcome in told.outcomes if isinstance(outcome, Done)]
    assert [exam.study_uid for exam in scored if isinstance(exam, ScoredExam)] == [WHOLE.study_uid, OTHER.study_uid]
    assert told.spent[Stage.SCORE].exams == 2
    assert scorer.batch_exams() == 1
    assert torch.get_num_threads() == 1


def test_pictures_that_could_not_be_made_again_hold_their_exam_and_no_other(node: Node, model: str) -> None:
    told = NodeScorer(model, program(), 1).score([job(WHOLE), job(OTHER)], None, ready(OTHER, model))

    held, done = told.outcomes
    assert isinstance(held, Held)
    assert (held.job, held.fault) == (job(WHOLE), "ClusterFault")
    assert isinstance(done, Done)
    assert done.job == job(OTHER)


def test_pictures_of_another_study_are_never_scored_as_hers(node: Node, model: str) -> None:
    wrong = replace(job(WHOLE), study_uid=OTHER.study_uid)

    (outcome,) = NodeScorer(model, program(), 1).score([wrong], ready(WHOLE, model)).outcomes

    assert isinstance(outcome, Held)


def test_libraries_whose_warnings_quote_values_are_silent_on_a_node(node: Node, model: str) -> None:
    logging.getLogger("pydicom").setLevel(logging.NOTSET)

    assert problem(model, program()) == ""

    assert not logging.getLogger("pydicom").isEnabledFor(logging.WARNING)
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.WARNING)
