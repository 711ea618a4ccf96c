"""The self-check: one built-in exam whose risks the model card promises, scored on the device that will score patients.

A wrong driver, a wrong build or a wrong library shows here, before any patient's exam is scored. The built-in exam has
the size of the network's pictures: where the device makes them, pictures that it must resize are compared by
themselves. Nothing of this was run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Final, Protocol

import numpy as np
import torch
from pydicom import Dataset
from torch import Tensor

from model.accuracy_records import LARGEST_SHIFT
from model.card import ModelCard
from model.domain import RefusedExam, RiskScore, ScoredExam
from model.errors import DeviceBusy, DeviceLost, SelfCheckFailed
from model.network import Mirai
from model.phantom import PhantomExam, dicom_images
from model.precision import Precision
from model.prepared import PreparedExam
from model.preprocessing import PictureFormat, Windowed, finished, picture, windowed
from model.processor import Processor, computed
from model.site_calibration import CalibratedAtSite

TOLERANCE: Final = 1e-4
"""Largest difference of a risk (a fraction), raw or calibrated, in float32: far more than rounding on any device, far
less than any decision. A lower precision is held to the tolerance of its accuracy check, on calibrated risks."""

WOMAN: Final = 8_000_001
DAY: Final = date(2026, 1, 15)
SIGNAL: Final = 0.5
AT: Final = datetime(2026, 1, 15, tzinfo=UTC)

TRIALS: Final = (("u2", 2.0, "left"), ("i2", 1.6, "right"), ("u2", 0.7, "right"), ("i2", 0.4, "left"))
"""Stored values, size against that of the network's pictures, and the brighter side of what the device is tried with.

At twice the size every second sum lies half between two grey levels; a detector has about the second.
"""


class ExamScorer(Protocol):
    """What is checked: `model.scorer.Scorer`, with the card of its model and what it computes on."""

    card: ModelCard
    processor: Processor
    batch_exams: int

    @property
    def on_device(self) -> Callable[[Windowed, PictureFormat], Tensor]:
        """How a picture is made where the device makes them."""
        ...

    def prepare(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> PreparedExam | RefusedExam:
        """The exam made ready for the network, or why it cannot be scored."""
        ...

    def score(self, exams: Sequence[PreparedExam]) -> list[ScoredExam | RefusedExam]:
        """The scores of exams that go through the network together."""
        ...

    def score_exam(
        self, images: Sequence[Dataset], *, at: datetime, performed_on: date | None = None, gate: bool = True
    ) -> ScoredExam | RefusedExam:
        """The exam's score, or why it has none."""
        ...


def built_in_exam(form: PictureFormat) -> PhantomExam:
    """The synthetic exam, always the same, in the size of the model's pictures."""
    return PhantomExam(WOMAN, DAY, SIGNAL, rows=form.rows, columns=form.columns)


@torch.inference_mode()
def expected_risks(network: Mirai, form: PictureFormat) -> tuple[float, ...]:
    """Raw risks of the built-in exam by the plain network in float32 on its CPU: what a card promises."""
    network.eval()
    views = (torch.from_numpy(picture(image, form)) for image in dicom_images(built_in_exam(form)))
    # One after the other: a picture's features take gigabytes on their way.
    features = torch.cat([network.encode(view[None, None]) for view in views], dim=1)
    return tuple(map(float, torch.sigmoid(network.aggregate(features))[0].double()))


def check(scorer: ExamScorer) -> float:
    """Largest difference from the risks that the card promises; raises SelfCheckFailed where it is too large.

    Raises DeviceBusy where the device has not the memory for a single exam. Where it has it for some, but not for a
    whole batch, the scorer's batch becomes what was checked.
    """
    card = scorer.card
    if not card.self_check:
        raise SelfCheckFailed(f"the card of {card.name!r} promises no self-check; import the model again")
    form = PictureFormat(**card.picture)
    try:
        if scorer.processor.makes_pictures:
            _check_pictures(scorer, form)
        scores = list(_scores(scorer, form))
    except (RuntimeError, ValueError, DeviceLost) as e:  # a broken device, or risks that are no risks
        raise SelfCheckFailed(
            f"{card.name!r} cannot score the built-in exam on this machine ({type(e).__name__}); no patient is scored "
            "here. Check the GPU driver and the installed libraries"
        ) from e
    difference, allowed = _difference(scores, card, scorer.processor.precision)
    # Written so that not a number, which NumPy's maximum hands on, is not within the tolerance either.
    if not difference <= allowed:
        raise SelfCheckFailed(
            f"{card.name!r} gives risks on this machine that differ by {difference:.2g} from those of its card "
            f"({allowed:.0e} is allowed); no patient is scored here. Check the GPU driver and the installed libraries"
        )
    return difference


def _check_pictures(scorer: ExamScorer, form: PictureFormat) -> None:
    """Raise SelfCheckFailed where a picture that the device makes is not the CPU's to the last bit."""
    for view in _trial_views(form):
        made, expected = computed(partial(scorer.on_device, view, form)).cpu().numpy(), finished(view, form)
        if made.tobytes() != expected.tobytes():
            rows, columns = view.stored.shape
            raise SelfCheckFailed(
                f"{scorer.processor.device} makes another picture than the CPU of {rows} x {columns} values of the "
                f"kind {view.stored.dtype}; no patient is scored here. Check the GPU driver and the installed "
                "libraries, or set scoring.device = 'cpu'"
            )


def _trial_views(form: PictureFormat) -> Iterator[Windowed]:
    """Views of noise, always the same: resized and mirrored or not, of all values that 16 bits can have."""
    values, header = np.random.default_rng(WOMAN), Dataset()
    header.VOILUTFunction = "SIGMOID"
    for kind, size, brighter in TRIALS:
        grey = values.integers(0, 1 << 16, (round(size * form.rows), round(size * form.columns)))
        half = grey.shape[1] // 2
        grey[:, half:] //= 2
        grey = grey if brighter == "left" else grey[:, ::-1]
        yield windowed((grey - (1 << 15) * (kind == "i2")).astype(kind), header)


def _scores(scorer: ExamScorer, form: PictureFormat) -> Iterator[RiskScore]:
    """Of the built-in exam, in every number of exams that may go through the network together.

    A GPU computes with another kernel where the shape is another.
    """
    exam = scorer.prepare(list(dicom_images(built_in_exam(form))), at=AT)
    if isinstance(exam, RefusedExam):
        raise SelfCheckFailed(f"{scorer.card.name!r} refuses the built-in exam: {exam.exclusions[0].sentence}")
    for together in range(1, min(scorer.batch_exams, scorer.processor.exams_at_once) + 1):
        try:
            yield from (one.score for one in scorer.score([exam] * together) if isinstance(one, ScoredExam))
        except DeviceBusy:
            if together == 1:
                raise
            scorer.batch_exams = together - 1
            return


def _difference(scores: Sequence[RiskScore], card: ModelCard, precision: Precision) -> tuple[float, float]:
    """How far scores are at most from what the card promises, and how far they may be."""
    calibrated = np.abs([np.subtract(score.calibrated, card.calibration.risks(card.self_check)) for score in scores])
    if precision is not Precision.FLOAT32:
        return float(calibrated.max()), LARGEST_SHIFT
    raw = np.abs([np.subtract(score.raw, card.self_check) for score in scores])
    # A site's own curve may be steep, and would make much of what is only rounding.
    compared = raw if isinstance(card.calibration, CalibratedAtSite) else np.maximum(raw, calibrated)
    return float(compared.max()), TOLERANCE
