"""The self-check: one built-in exam whose risks the model card promises, scored on the device that will score patients.

A wrong driver, a wrong build or a wrong library shows here, before any patient's exam is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final, Protocol

import numpy as np
import torch
from pydicom import Dataset

from model.accuracy_records import LARGEST_SHIFT
from model.card import ModelCard
from model.domain import RefusedExam, RiskScore, ScoredExam
from model.errors import SelfCheckFailed
from model.network import Mirai
from model.phantom import PhantomExam, dicom_images
from model.precision import Precision
from model.preprocessing import PictureFormat, picture
from model.processor import Processor
from model.site_calibration import CalibratedAtSite

TOLERANCE: Final = 1e-4
"""Largest difference of a risk (a fraction), raw or calibrated, in float32: far more than rounding on any device, far
less than any decision. A lower precision is held to the tolerance of its accuracy check, on calibrated risks."""

WOMAN: Final = 8_000_001
DAY: Final = date(2026, 1, 15)
SIGNAL: Final = 0.5


class ExamScorer(Protocol):
    """What is checked: `model.scorer.Scorer`, with the card of its model and what it computes on."""

    card: ModelCard
    processor: Processor

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
    """Largest difference from the risks that the card promises; raises SelfCheckFailed where it is too large."""
    card = scorer.card
    if not card.self_check:
        raise SelfCheckFailed(f"the card of {card.name!r} promises no self-check; import the model again")
    exam = built_in_exam(PictureFormat(**card.picture))
    try:
        result = scorer.score_exam(list(dicom_images(exam)), at=datetime(2026, 1, 15, tzinfo=UTC))
    except (RuntimeError, ValueError) as e:  # a broken device, as torch reports it, or risks that are no risks
        raise SelfCheckFailed(
            f"{card.name!r} cannot score the built-in exam on this machine ({type(e).__name__}); no patient is scored "
            "here. Check the GPU driver and the installed libraries"
        ) from e
    if isinstance(result, RefusedExam):
        raise SelfCheckFailed(f"{card.name!r} refuses the built-in exam: {result.exclusions[0].sentence}")
    difference, allowed = _difference(result.score, card, scorer.processor.precision)
    # Written so that not a number, which NumPy's maximum hands on, is not within the tolerance either.
    if not difference <= allowed:
        raise SelfCheckFailed(
            f"{card.name!r} gives risks on this machine that differ by {difference:.2g} from those of its card "
            f"({allowed:.0e} is allowed); no patient is scored here. Check the GPU driver and the installed libraries"
        )
    return difference


def _difference(score: RiskScore, card: ModelCard, precision: Precision) -> tuple[float, float]:
    """How far a score is from what the card promises, and how far it may be."""
    calibrated = np.subtract(score.calibrated, card.calibration.risks(card.self_check))
    if precision is Precision.FLOAT32:
        raw = np.subtract(score.raw, card.self_check)
        # A site's own curve may be steep, and would make much of what is only rounding.
        compared = raw if isinstance(card.calibration, CalibratedAtSite) else [*raw, *calibrated]
        return float(np.abs(compared).max()), TOLERANCE
    return float(np.abs(calibrated).max()), LARGEST_SHIFT
