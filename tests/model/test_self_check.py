from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from pydicom import Dataset
from torch import Tensor

from model.accuracy_records import LARGEST_SHIFT
from model.calibration import PUBLISHED_MIRAI
from model.card import DEMO_MODEL, ModelCard, read_card
from model.checkpoint import load_network
from model.device_pictures import DevicePictures
from model.domain import AcquisitionDevice, Exclusion, ExclusionReason, ImageType, RefusedExam, RiskScore, ScoredExam
from model.errors import CheckpointBroken, DeviceBusy, DeviceLost, SelfCheckFailed
from model.precision import Precision
from model.prepared import PreparedExam
from model.preprocessing import PictureFormat, Windowed
from model.processor import Processor
from model.scorer import Scorer
from model.self_check import DAY, TOLERANCE, built_in_exam, check, expected_risks
from model.site_calibration import CalibratedAtSite, Platt, SiteCalibration
from model.views import select_views
from tests.model.tiny_model import install_tiny_model, tiny_card

PROMISED = (0.1, 0.2, 0.3, 0.4, 0.5)
CPU = torch.device("cpu")
ON_CPU = DevicePictures(CPU)


class Computes:
    """A scorer that gives these raw risks, whatever it is shown."""

    batch_exams = 1

    def __init__(
        self,
        raw: Sequence[float],
        promised: tuple[float, ...] = PROMISED,
        fault: Exception | None = None,
        precision: Precision = Precision.FLOAT32,
        calibrated: Sequence[float] | None = None,
    ) -> None:
        self.card: ModelCard = tiny_card(self_check=promised)
        self.processor = Processor(CPU, precision)
        self.on_device: Callable[[Windowed, PictureFormat], Tensor] = ON_CPU
        self._raw, self._fault, self._calibrated = tuple(raw), fault, calibrated

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        exam = self.prepare(images, at=at)
        return exam if isinstance(exam, RefusedExam) else self.score([exam])[0]

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> PreparedExam | RefusedExam:
        assert not select_views(images).refusals
        study_uid = str(images[0].StudyInstanceUID)
        return PreparedExam(study_uid, DAY, at, AcquisitionDevice(), ImageType.FFDM, (), (), ())

    def score(self, exams: Sequence[PreparedExam]) -> list[ScoredExam | RefusedExam]:
        if self._fault:
            raise self._fault
        # Risks that are no risks are refused when a score is made of them, so only the raw ones are altered then.
        exact = self.processor.precision is Precision.FLOAT32
        calibrated = self._calibrated or self.card.calibration.risks(PROMISED if exact else self._raw)
        score = RiskScore(tuple(calibrated), self._raw, self.card.version)
        return [exam.scored(score, "", "") for exam in exams]


class Refuses(Computes):
    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> PreparedExam | RefusedExam:
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


@pytest.mark.parametrize("fault", [RuntimeError("not enough memory"), DeviceLost("no kernel image")])
def test_a_device_that_breaks_down_fails(fault: Exception) -> None:
    with pytest.raises(SelfCheckFailed, match=rf"{type(fault).__name__}.*no patient is scored here"):
        check(Computes(PROMISED, fault=fault))


def test_a_device_whose_memory_is_taken_has_not_failed() -> None:
    with pytest.raises(DeviceBusy):
        check(Computes(PROMISED, fault=DeviceBusy("taken by others")))


def full(view: Windowed, form: PictureFormat) -> Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def test_a_device_whose_memory_is_taken_when_it_makes_a_picture_has_not_failed_either() -> None:
    with pytest.raises(DeviceBusy):
        check(Gpu(full))


class Gpu(Computes):
    """A scorer whose device makes the pictures and scores eight exams together; a CPU stands in for it."""

    batch_exams = 8

    def __init__(
        self,
        pictures: Callable[[Windowed, PictureFormat], Tensor] = ON_CPU,
        wrong_from: int = 9,
        room_for: int = 8,
    ) -> None:
        super().__init__(PROMISED)
        self.processor = Processor(torch.device("cuda"), memory_bytes=80 << 30)
        self.on_device, self._wrong_from, self._room_for = pictures, wrong_from, room_for
        self.scored_together: list[int] = []

    def score(self, exams: Sequence[PreparedExam]) -> list[ScoredExam | RefusedExam]:
        if len(exams) > self._room_for:
            raise DeviceBusy("no room")
        self.scored_together.append(len(exams))
        right = super().score(exams)
        self._raw = tuple(risk + 2 * TOLERANCE for risk in PROMISED)
        wrong = super().score(exams)
        self._raw = PROMISED
        return [*right[:-1], wrong[-1]] if len(exams) >= self._wrong_from else right


def test_a_gpu_that_makes_the_cpu_s_pictures_and_the_promised_risks_passes() -> None:
    assert check(Gpu()) == 0.0


def nearest(view: Windowed, form: PictureFormat) -> Tensor:
    """Pictures of another resampling, and otherwise right."""
    places = np.ix_(
        *(
            np.linspace(0, n - 1, m).astype(int)
            for n, m in zip(view.stored.shape, (form.rows, form.columns), strict=True)
        )
    )
    return ON_CPU(replace(view, stored=view.stored[places]), form)


def altered(change: Callable[[Windowed, Tensor], Tensor]) -> Callable[[Windowed, PictureFormat], Tensor]:
    """Pictures that are right but for this."""
    return lambda view, form: change(view, ON_CPU(view, form))


def one_bit(view: Windowed, picture: Tensor) -> Tensor:
    bits = picture.clone().view(torch.int32)
    bits[0, -1, -1] ^= 1
    return bits.view(torch.float32)


def as_if_without_sign(view: Windowed, form: PictureFormat) -> Tensor:
    stored = view.stored.view("i2") if view.stored.dtype.kind == "u" else view.stored
    lowest = int(stored.min())
    return ON_CPU(Windowed(stored, lowest, view.table[: int(stored.max()) - lowest + 1]), form)


@pytest.mark.parametrize(
    "pictures",
    [
        nearest,
        altered(one_bit),
        altered(lambda view, picture: picture.flip(2)),
        altered(lambda view, picture: one_bit(view, picture) if view.stored.dtype.kind == "u" else picture),
        altered(lambda view, picture: one_bit(view, picture) if view.stored.dtype.kind == "i" else picture),
        altered(lambda view, picture: one_bit(view, picture) if len(view.stored) > 64 else picture),
        altered(lambda view, picture: one_bit(view, picture) if len(view.stored) < 64 else picture),
        as_if_without_sign,
    ],
    ids=[
        "another resampling",
        "a single bit",
        "not mirrored",
        "unsigned alone",
        "signed alone",
        "shrunk alone",
        "enlarged alone",
        "bit 15 taken for a sign",
    ],
)
def test_a_device_that_makes_another_picture_fails(pictures: Callable[[Windowed, PictureFormat], Tensor]) -> None:
    with pytest.raises(SelfCheckFailed, match=r"cuda makes another picture than the CPU.*no patient is scored here"):
        check(Gpu(pictures))


def test_where_the_cpu_makes_the_pictures_nobody_asks_the_device_for_them() -> None:
    cpu = Computes(PROMISED)
    cpu.on_device = nearest
    assert check(cpu) == 0.0


def test_the_pictures_that_a_device_is_tried_with_are_resized_both_ways_mirrored_and_have_every_value() -> None:
    tried: list[Windowed] = []

    def seen(view: Windowed, form: PictureFormat) -> Tensor:
        tried.append(view)
        return ON_CPU(view, form)

    check(Gpu(seen))
    for kind in (np.uint16, np.int16):
        views = [view.stored for view in tried if view.stored.dtype == kind]
        assert {len(stored) > 64 for stored in views} == {True, False}
        assert {stored[:, :9].mean() > stored[:, -9:].mean() for stored in views} == {True, False}
        assert max(np.ptp(stored.astype(int)) for stored in views) > 65500


@pytest.mark.parametrize("together", [1, 2, 5, 8])
def test_a_gpu_that_computes_wrongly_where_so_many_exams_go_together_fails(together: int) -> None:
    with pytest.raises(SelfCheckFailed, match="no patient is scored here"):
        check(Gpu(wrong_from=together))


def test_no_more_exams_are_scored_together_than_were_checked() -> None:
    gpu = Gpu(room_for=3)
    assert check(gpu) == 0.0
    assert (gpu.scored_together, gpu.batch_exams) == ([1, 2, 3], 3)


def test_no_more_exams_are_checked_together_than_the_site_wants() -> None:
    gpu = Gpu()
    gpu.batch_exams = 2
    check(gpu)
    assert (gpu.scored_together, gpu.batch_exams) == ([1, 2], 2)


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
