from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from model.accuracy import check_accuracy, noise_pictures
from model.accuracy_records import FOLDER, LARGEST_SHIFT, AccuracyRecord, require_checked, subject_of, write_record
from model.calibration import PUBLISHED_MIRAI, Calibration
from model.card import read_card, write_card
from model.checkpoint import load_network
from model.domain import RefusedExam
from model.errors import CheckpointBroken, PrecisionNotChecked
from model.inference import FoldedEncoder
from model.phantom import PhantomExam, dicom_images
from model.precision import Precision
from model.preprocessing import PictureFormat
from model.processor import Processor, processor
from model.scorer import Scorer
from model.self_check import DAY, check, expected_risks
from tests.model.tiny_model import install_sensitive_model, install_tiny_model, tiny_card

AT = datetime(2026, 2, 6, 3, 15, tzinfo=UTC)
BF16 = processor("cpu", Precision.BF16)
TF32 = processor("cpu", Precision.TF32)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with one tiny model in it."""
    install_tiny_model(tmp_path / "models" / "tiny")
    return tmp_path / "models"


def record_of(models: Path, difference: float, tolerance: float = LARGEST_SHIFT) -> AccuracyRecord:
    return AccuracyRecord(subject_of(read_card(models / "tiny"), BF16), difference, tolerance, AT.isoformat())


def bf16_scorer(models: Path) -> Scorer:
    return Scorer(models / "tiny", "cpu", precision=Precision.BF16, models_folder=models)


def test_a_lower_precision_is_refused_before_its_check_with_the_command_to_run(models: Path) -> None:
    with pytest.raises(PrecisionNotChecked, match=r"run: mammotrend model verify tiny --precision bf16$"):
        bf16_scorer(models)
    with pytest.raises(PrecisionNotChecked, match="--precision tf32"):
        Scorer(models / "tiny", "cpu", precision=Precision.TF32, models_folder=models)
    with pytest.raises(PrecisionNotChecked):
        Scorer(models / "tiny", "cpu", precision=Precision.BF16)


def test_float32_needs_no_check(models: Path) -> None:
    assert str(Scorer(models / "tiny", "cpu").processor) == "cpu"


def test_after_a_passed_check_patients_are_scored_and_the_score_says_how(models: Path) -> None:
    record = check_accuracy(models / "tiny", BF16, models, at=AT)
    assert record.passed
    assert 0 < record.largest_difference < LARGEST_SHIFT
    assert record.checked_at == "2026-02-06T03:15:00+00:00"
    images = list(dicom_images(PhantomExam(7, DAY, 0.4, rows=64, columns=52)))
    outcome = bf16_scorer(models).score_exam(images, at=AT)
    exact = Scorer(models / "tiny", "cpu").score_exam(images, at=AT)
    assert not isinstance(outcome, RefusedExam)
    assert not isinstance(exact, RefusedExam)
    assert outcome.provenance.processor == "cpu, bf16"
    assert outcome.score.raw != exact.score.raw
    assert outcome.score.calibrated == pytest.approx(exact.score.calibrated, abs=LARGEST_SHIFT)
    assert outcome.provenance.images == exact.provenance.images


def test_a_model_that_bf16_moves_too_far_stays_refused_and_says_by_how_much(models: Path) -> None:
    install_sensitive_model(models / "tiny")
    record = check_accuracy(models / "tiny", BF16, models, at=AT)
    assert not record.passed
    assert record.largest_difference > LARGEST_SHIFT
    with pytest.raises(PrecisionNotChecked, match=r"moves risks of 'tiny' by .*use precision 'float32'"):
        bf16_scorer(models)


def test_on_a_cpu_tf32_is_float32_and_needs_a_record_all_the_same(models: Path) -> None:
    assert check_accuracy(models / "tiny", TF32, models, at=AT).largest_difference == 0
    scorer = Scorer(models / "tiny", "cpu", precision=Precision.TF32, models_folder=models)
    assert str(scorer.processor) == "cpu, tf32"
    with pytest.raises(PrecisionNotChecked):
        bf16_scorer(models)


def test_a_later_failed_check_takes_the_place_of_an_earlier_passed_one(models: Path) -> None:
    for difference in (0.0, 2 * LARGEST_SHIFT):
        write_record(record_of(models, difference), models)
    with pytest.raises(PrecisionNotChecked, match="moves risks"):
        bf16_scorer(models)


@pytest.mark.parametrize("difference", [0.0, LARGEST_SHIFT])
def test_a_difference_up_to_the_tolerance_passes(models: Path, difference: float) -> None:
    write_record(record_of(models, difference), models)
    assert bf16_scorer(models).processor == BF16


@pytest.mark.parametrize("difference", [LARGEST_SHIFT * 1.0001, 1.0, -1.0, float("nan"), float("inf")])
def test_any_other_difference_fails_even_where_the_record_allows_it(models: Path, difference: float) -> None:
    write_record(record_of(models, difference, tolerance=1.0), models)
    with pytest.raises(PrecisionNotChecked):
        bf16_scorer(models)


@pytest.mark.parametrize(
    "other",
    [
        lambda card: replace(card, weights_sha256="0" * 64),
        lambda card: replace(card, preprocessing="minmax-v2"),
        lambda card: replace(card, calibration=Calibration("other", (1.0,) * 5, (0.0,) * 5)),
    ],
    ids=["weights", "preprocessing", "calibration"],
)
def test_a_record_is_for_exactly_one_model(models: Path, other: Callable[[Any], Any]) -> None:
    write_record(record_of(models, 0.0), models)
    card = read_card(models / "tiny")
    require_checked(card, BF16, models)
    with pytest.raises(PrecisionNotChecked, match="has not been checked"):
        require_checked(other(card), BF16, models)


@pytest.mark.parametrize(
    "change",
    [
        {"software": "mammotrend 0.0.1, torch 2.6.0"},
        {"pictures_at_once": 16},
        {"device": "cuda NVIDIA H100"},
        {"precision": "tf32"},
        {"weights_sha256": "0" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_moved_to_the_place_of_another_is_not_believed(models: Path, change: dict[str, Any]) -> None:
    record = record_of(models, 0.0)
    write_record(replace(record, subject=replace(record.subject, **change)), models)
    with pytest.raises(PrecisionNotChecked):
        bf16_scorer(models)
    (file,) = (models / FOLDER).iterdir()
    file.rename(models / FOLDER / record.subject.file_name)
    with pytest.raises(PrecisionNotChecked):
        bf16_scorer(models)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"subject": {}}', "\x00", '{"subject": null}'], ids=lambda content: repr(content)
)
def test_a_record_that_is_none_counts_as_none(models: Path, content: str) -> None:
    record = record_of(models, 0.0)
    write_record(record, models)
    (models / FOLDER / record.subject.file_name).write_text(content)
    with pytest.raises(PrecisionNotChecked, match="has not been checked"):
        bf16_scorer(models)


@pytest.mark.parametrize("difference", ["0", None, True, [0]])
def test_a_difference_that_is_no_number_counts_as_no_record(models: Path, difference: object) -> None:
    record = record_of(models, 0.0)
    write_record(record, models)
    file = models / FOLDER / record.subject.file_name
    file.write_text(json.dumps({**json.loads(file.read_text()), "largest_difference": difference}))
    with pytest.raises(PrecisionNotChecked, match="has not been checked"):
        bf16_scorer(models)


def test_a_models_folder_that_cannot_be_written_to_is_said(models: Path) -> None:
    (models / FOLDER).write_text("in the way")
    with pytest.raises(PrecisionNotChecked, match="cannot be recorded in the models folder"):
        write_record(record_of(models, 0.0), models)


def test_the_check_runs_in_the_size_of_the_models_pictures_and_leaves_the_model_as_it_was(models: Path) -> None:
    before = {file.name: file.read_bytes() for file in (models / "tiny").iterdir()}
    assert read_card(models / "tiny").picture["rows"] == 64
    check_accuracy(models / "tiny", BF16, models, at=AT)
    assert {file.name: file.read_bytes() for file in (models / "tiny").iterdir()} == before
    assert noise_pictures("input.small", 64, 52).shape == (1, 4, 1, 64, 52)


@pytest.mark.parametrize(("memory_bytes", "checked"), [(0, {1}), (80 << 30, set(range(1, 9)))])
def test_every_number_of_exams_that_may_be_scored_together_is_checked(
    models: Path, memory_bytes: int, checked: set[int]
) -> None:
    with encoders() as seen:
        check_accuracy(models / "tiny", replace(BF16, memory_bytes=memory_bytes), models, at=AT)
    assert {together for together, kind in seen if kind is torch.bfloat16} == checked


def test_a_precision_that_is_wrong_only_where_many_exams_go_together_fails(models: Path) -> None:
    with encoders(wrong_from=8):
        record = check_accuracy(models / "tiny", replace(BF16, memory_bytes=80 << 30), models, at=AT)
    assert not record.passed
    assert check_accuracy(models / "tiny", replace(BF16, memory_bytes=80 << 30), models, at=AT).passed


@contextmanager
def encoders(wrong_from: int = 99) -> Iterator[list[tuple[int, torch.dtype]]]:
    """How many exams every encoder is given together, and its number format; features of so many are wrong in bf16."""
    seen: list[tuple[int, torch.dtype]] = []

    def look(module: nn.Module, pictures: tuple[Tensor], features: Tensor) -> Tensor | None:
        if not isinstance(module, FoldedEncoder):
            return None
        seen.append((len(features) // 4, module.stem.weight.dtype))
        return features * 9 if seen[-1][0] >= wrong_from and seen[-1][1] is torch.bfloat16 else None

    hook = register_module_forward_hook(look)  # type: ignore[arg-type] # what it returns takes the place
    yield seen
    hook.remove()


def test_a_broken_model_is_not_checked(models: Path) -> None:
    (models / "tiny" / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointBroken):
        check_accuracy(models / "tiny", BF16, models, at=AT)
    assert not (models / FOLDER).exists()


def test_two_machines_that_share_a_models_folder_keep_their_own_records(models: Path) -> None:
    record = record_of(models, 0.0)
    for device in ("cuda NVIDIA H100", "cuda NVIDIA A100"):
        write_record(replace(record, subject=replace(record.subject, device=device)), models)
    assert len(list((models / FOLDER).iterdir())) == 2


def test_the_self_check_applies_to_the_precision_in_use(models: Path) -> None:
    folder = models / "tiny"
    network, card = load_network(folder, torch.device("cpu"))
    write_card(replace(card, self_check=expected_risks(network, PictureFormat(**card.picture))), folder)
    check_accuracy(folder, BF16, models, at=AT)
    assert 0 < check(bf16_scorer(models)) <= LARGEST_SHIFT


def test_a_processor_says_what_it_is() -> None:
    assert str(Processor(torch.device("cpu"))) == "cpu"
    assert str(BF16) == "cpu, bf16"
    assert BF16.name == TF32.name == "cpu"


def test_calibrations_by_the_same_name_with_other_curves_are_told_apart() -> None:
    other = replace(PUBLISHED_MIRAI, slopes=(1.0, 1.0, 1.0, 1.0, 1.0))
    card = tiny_card(weights_sha256="1" * 64)
    assert subject_of(card, BF16).file_name != subject_of(replace(card, calibration=other), BF16).file_name
