from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import torch
from pydicom import Dataset

from model.accuracy_records import LARGEST_SHIFT
from model.calibration import PUBLISHED_MIRAI
from model.card import DEMO_MODEL, ModelCard, read_card
from model.checkpoint import load_network
from model.domain import Exclusion, ExclusionReason, RefusedExam, RiskScore, ScoredExam
from model.errors import CheckpointBroken, SelfCheckFailed
from model.precision import Precision
from model.preprocessing import PictureFormat
from model.processor import Processor
from model.scorer import Scorer
from model.self_check import DAY, TOLERANCE, built_in_exam, check, expected_risks
from model.site_calibration import CalibratedAtSite, Platt, SiteCalibration
from model.views import select_views
from tests.model.tiny_model import install_tiny_model, tiny_card

PROMISED = (0.1, 0.2, 0.3, 0.4, 0.5)


class Computes:
    """A scorer that gives these raw risks, whatever it is shown."""

    def __init__(
        self,
        raw: Sequence[float],
        promised: tuple[float, ...] = PROMISED,
        fault: Exception | None = None,
        precision: Precision = Precision.FLOAT32,
        calibrated: Sequence[float] | None = None,
    ) -> None:
        self.card: ModelCard = tiny_card(self_check=promised)
        self.processor = Processor(torch.device("cpu"), precision)
        self._raw, self._fault, self._calibrated = tuple(raw), fault, calibrated

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        assert not select_views(images).refusals
        if self._fault:
            raise self._fault
        # Risks that are no risks are refused when a score is made of them, so only the raw ones are altered then.
        exact = self.processor.precision is Precision.FLOAT32
        calibrated = self._calibrated or self.card.calibration.risks(PROMISED if exact else self._raw)
        score = RiskScore(tuple(calibrated), self._raw, self.card.version)
        return ScoredExam(str(images[0].StudyInstanceUID), DAY, score, at)


class Refuses(Computes):
    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        return RefusedExam("1.2.3", DAY, (Exclusion(ExclusionReason.MISSING_VIEW, "No view was found."),))


def test_the_demo_model_passes_its_self_check_here() -> None:
    assert check(Scorer(DEMO_MODEL)) <= TOLERANCE


def test_the_risks_that_the_demo_model_promises_are_those_of_the_plain_network() -> None:
    network, card = load_network(DEMO_MODEL, torch.device("cpu"))
    expected = expected_risks(network, PictureFormat(**card.picture))
    assert card.self_check == pytest.approx(expected, abs=1e-5)
    assert len(set(card.self_check)) > 1


def test_one_altered_weight_is_found(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    tiny, card = load_network(tmp_path, torch.device("cpu"))
    form = PictureFormat(**card.picture)
    before = expected_risks(tiny, form)
    tiny.state_dict()["risk.base.bias"].add_(0.01)
    assert max(abs(a - b) for a, b in zip(before, expected_risks(tiny, form), strict=True)) > TOLERANCE


def test_a_machine_that_computes_what_the_card_promises_passes() -> None:
    assert check(Computes(PROMISED)) == 0.0
    assert check(Computes([risk + 0.9 * TOLERANCE for risk in PROMISED])) < TOLERANCE


@pytest.mark.parametrize("year", range(5))
@pytest.mark.parametrize("error", [2 * TOLERANCE, -2 * TOLERANCE, float("nan"), float("inf"), -1.0])
def test_a_difference_in_any_year_fails_and_says_what_to_do(year: int, error: float) -> None:
    raw = [risk + error * (number == year) for number, risk in enumerate(PROMISED)]
    raw = [error if number == year and error != error else risk for number, risk in enumerate(raw)]
    with pytest.raises(SelfCheckFailed, match="no patient is scored here"):
        check(Computes(raw))


@pytest.mark.parametrize("error", [2 * TOLERANCE, -2 * TOLERANCE])
def test_a_calibrated_risk_that_differs_fails_though_the_raw_ones_are_met(error: float) -> None:
    *earlier, fifth = PUBLISHED_MIRAI.risks(PROMISED)
    with pytest.raises(SelfCheckFailed, match="no patient is scored here"):
        check(Computes(PROMISED, calibrated=[*earlier, fifth + error]))
    assert check(Computes(PROMISED, calibrated=[*earlier, fifth + error / 4])) == pytest.approx(TOLERANCE / 2)


def test_what_a_site_calibrates_anew_is_held_to_its_raw_risks() -> None:
    scorer = Computes(PROMISED, calibrated=PROMISED)
    with pytest.raises(SelfCheckFailed):
        check(scorer)
    steep = SiteCalibration("clinic", scorer.card.version.key, Platt(50.0, 0.0))
    scorer.card = replace(scorer.card, calibration=CalibratedAtSite(PUBLISHED_MIRAI, steep))
    assert check(scorer) == 0.0


@pytest.mark.parametrize("precision", [Precision.TF32, Precision.BF16])
def test_a_lower_precision_is_held_to_the_calibrated_risks_of_the_card(precision: Precision) -> None:
    near, far = ([*PROMISED[:4], PROMISED[4] + error] for error in (5e-4, 2e-3))
    difference = check(Computes(near, precision=precision))
    assert 0 < difference < LARGEST_SHIFT
    with pytest.raises(SelfCheckFailed, match="no patient is scored here"):
        check(Computes(near))
    with pytest.raises(SelfCheckFailed, match=r"2e-04 is allowed.*no patient is scored here"):
        check(Computes(far, precision=precision))


def test_a_device_that_breaks_down_fails() -> None:
    with pytest.raises(SelfCheckFailed, match=r"RuntimeError.*no patient is scored here"):
        check(Computes(PROMISED, fault=RuntimeError("CUDA error: no kernel image is available")))


def test_a_card_that_promises_nothing_cannot_be_checked() -> None:
    with pytest.raises(SelfCheckFailed, match="import the model again"):
        check(Computes(PROMISED, promised=()))


def test_a_scorer_that_refuses_the_built_in_exam_fails() -> None:
    with pytest.raises(SelfCheckFailed, match="No view was found"):
        check(Refuses(PROMISED))


def test_the_built_in_exam_is_of_the_size_of_the_models_pictures() -> None:
    exam = built_in_exam(PictureFormat(64, 52))
    assert (exam.rows, exam.columns) == (64, 52)
    assert exam == built_in_exam(PictureFormat(64, 52))


def test_what_a_card_promises_comes_back_from_its_file(tmp_path: Path) -> None:
    install_tiny_model(tmp_path, self_check=PROMISED)
    assert read_card(tmp_path).self_check == PROMISED


@pytest.mark.parametrize("promised", [(0.1,), (0.1, 0.2, 0.3, 0.4, 1.5), (0.1, 0.2, 0.3, 0.4, None), "risks", {"1": 2}])
def test_a_card_that_promises_something_else_than_five_risks_is_refused(promised: object, tmp_path: Path) -> None:
    install_tiny_model(tmp_path, self_check=promised)
    with pytest.raises(CheckpointBroken, match="self-check"):
        read_card(tmp_path)


def test_the_self_check_is_not_part_of_the_models_identity() -> None:
    card = tiny_card()
    assert replace(card, self_check=PROMISED).version == card.version
