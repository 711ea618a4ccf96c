"""Train the demo model on phantoms, from one seed: `python -m model.training FOLDER` (about 20 minutes on two cores).

The planted signal of a phantom fixes its true risk; the network learns an inflated probability from it, as a network
trained on an enriched cohort does, and the calibration brings it back to the population, as Mirai's calibrator does.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydicom import Dataset
from torch import Tensor, nn

from model.calibration import Calibration
from model.card import DEMO_MODEL, ModelCard
from model.checkpoint import save_network
from model.concordance import c_index
from model.devices import ValidatedDevice
from model.domain import STANDARD_VIEWS, YEARS
from model.network import Mirai, NetworkConfig
from model.phantom import VENDORS, PhantomExam, focus_centre, pixels, planted_risk, signal_for
from model.preprocessing import VERSION, PictureFormat, chest_wall_right, resize, window
from model.self_check import expected_risks

log = logging.getLogger(__name__)

SEED: Final = 20260623
NETWORK: Final = NetworkConfig(widths=(16, 32, 64, 128), hidden=128, embedding=16, heads=8)
PICTURE: Final = PictureFormat(rows=512, columns=416)
BATCH: Final = 8
CROP: Final = 128
CROP_STEPS: Final = 1500
FEATURE_EPOCHS: Final = 60
EXAM_EPOCHS: Final = 2
YEAR_SHARES: Final = np.array([0.29, 0.48, 0.67, 0.86, 1.0])
"""Share of the five-year risk that has come true by each year: the shape of the published demo exam's five risks."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cohort:
    """Phantom exams of women `first_woman` on: grey levels (N, 4, H, W) uint16 and planted signals (N,)."""

    first_woman: int
    grey: NDArray[np.uint16]
    signals: Floats


def true_risks(signals: Floats) -> Floats:
    """The risk within 1 to 5 years that a planted signal stands for, (N,) -> (N, 5)."""
    return np.asarray(1 - (1 - planted_risk(signals)[:, None]) ** YEAR_SHARES)


def enriched_targets(signals: Floats) -> Floats:
    """The inflated probabilities the network learns, (N, 5): 0.05 to 0.85 in year 5, less in the years before."""
    logit = np.log((0.05 + 0.8 * signals) / (0.95 - 0.8 * signals))
    return np.asarray(1 / (1 + np.exp(-(logit[:, None] + np.log(YEAR_SHARES)))))


def draw_signals(n: int, rng: np.random.Generator) -> Floats:
    """Half from the population's range, half spread evenly: an enriched cohort."""
    usual = rng.normal(signal_for(0.02), 0.1, n)
    spread = rng.uniform(0.0, 1.0, n)
    return np.clip(np.where(rng.random(n) < 0.5, usual, spread), 0.0, 1.0)


def render_cohort(first_woman: int, signals: Floats, workers: int) -> Cohort:
    """Render women `first_woman`, `first_woman` + 1, ... with the given signals, each as the network will see her."""
    exams = [PhantomExam(first_woman + i, date(2020, 6, 1), float(s)) for i, s in enumerate(signals)]
    with ProcessPoolExecutor(workers) as pool:
        grey = np.stack(list(pool.map(_grey_views, exams, chunksize=16)))
    return Cohort(first_woman, grey, signals)


def _grey_views(exam: PhantomExam) -> NDArray[np.uint16]:
    header = Dataset()
    views = [chest_wall_right(resize(window(pixels(exam, view), header), PICTURE)) for view in STANDARD_VIEWS]
    return np.stack(views).astype(np.uint16)


def _standardised(grey: NDArray[np.uint16]) -> Tensor:
    """(B, 4, H, W) grey levels -> (B, 4, 1, H, W) network input."""
    return torch.from_numpy(((grey.astype(np.float32) - PICTURE.mean) / PICTURE.std)[:, :, None])


def train(network: Mirai, cohort: Cohort, rng: np.random.Generator) -> None:
    """In three steps, each starting where the one before has arrived: crops, then exams' features, then whole exams.

    A global maximum over whole pictures alone gives the filters too little to start from.
    """
    train_encoder_on_crops(network, cohort, CROP_STEPS, rng)
    # From here on the batch norms stay as they are: every filter answers to a place as it did in the crops.
    network.eval()
    train_aggregator(network, cohort, FEATURE_EPOCHS, rng)
    fine_tune(network, cohort, EXAM_EPOCHS, rng)


def train_encoder_on_crops(network: Mirai, cohort: Cohort, steps: int, rng: np.random.Generator) -> None:
    """Teach the encoder to tell how strong a focus is, from crops with one and crops of the other breast."""
    head = nn.Linear(NETWORK.widths[-1], 1)
    fit = _Fit([*network.encoder.parameters(), *head.parameters()], 3e-3, steps, "crops")
    network.train()
    for _ in range(steps):
        crops, targets = draw_crops(cohort, 64, rng)
        logits = head(network.encoder(crops.expand(-1, 3, -1, -1)))[:, 0]
        fit.step(logits, targets)


def draw_crops(cohort: Cohort, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(n, 1, CROP, CROP) normalised crops and the five-year target of what each shows (n,)."""
    crops = np.empty((n, CROP, CROP), dtype=np.uint16)
    signals = np.zeros(n)
    for i, exam in enumerate(rng.integers(0, len(cohort.signals), n)):
        number = int(rng.integers(len(STANDARD_VIEWS)))
        centre = focus_centre(cohort.first_woman + int(exam), STANDARD_VIEWS[number])
        crops[i] = _crop(cohort.grey[exam, number], centre, rng)
        signals[i] = cohort.signals[exam] if centre else 0.0
    targets = torch.from_numpy(enriched_targets(signals)[:, -1].astype(np.float32))
    return torch.from_numpy((crops.astype(np.float32) - PICTURE.mean) / PICTURE.std)[:, None], targets


def _crop(grey: NDArray[np.uint16], centre: tuple[float, float] | None, rng: np.random.Generator) -> NDArray[np.uint16]:
    """A square about the focus, or anywhere in a picture without one. The chest wall is on the right."""
    rows, columns = grey.shape
    if centre is None:
        row, column = rng.uniform(0, rows), rng.uniform(0, columns)
    else:
        row, column = (centre[1] + 1) / 2 * rows, (1 - centre[0]) * columns
        row, column = row + rng.uniform(-25, 25), column + rng.uniform(-25, 25)
    top = int(np.clip(row - CROP / 2, 0, rows - CROP))
    left = int(np.clip(column - CROP / 2, 0, columns - CROP))
    return grey[top : top + CROP, left : left + CROP]


def train_aggregator(network: Mirai, cohort: Cohort, epochs: int, rng: np.random.Generator) -> None:
    """Fit everything after the encoder on features that are computed once."""
    with torch.inference_mode():
        computed = torch.cat([network.encode(_standardised(grey)) for grey in _split(cohort.grey)])
    features = computed.clone()  # a tensor made in inference mode may not take part in training
    parameters = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
    targets = torch.from_numpy(enriched_targets(cohort.signals).astype(np.float32))
    fit = _Fit(parameters, 1e-3, epochs * (len(targets) // 32), "features")
    for batch in _batches(len(targets), 32, epochs, rng):
        fit.step(network.aggregate(features[batch]), targets[batch])


def fine_tune(network: Mirai, cohort: Cohort, epochs: int, rng: np.random.Generator) -> None:
    """The whole network on whole exams, gently."""
    targets = torch.from_numpy(enriched_targets(cohort.signals).astype(np.float32))
    fit = _Fit(network.parameters(), 3e-4, epochs * (len(targets) // BATCH), "exams")
    for batch in _batches(len(targets), BATCH, epochs, rng):
        fit.step(network(_standardised(cohort.grey[batch])), targets[batch])


class _Fit:
    """One optimiser with its one-cycle schedule, against planted probabilities by cross-entropy."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, steps: int, name: str) -> None:
        self._parameters = list(parameters)
        self._optimiser = torch.optim.AdamW(self._parameters, lr=rate, weight_decay=1e-2)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(self._optimiser, rate, steps, pct_start=0.2)
        self._name, self._steps, self._done, self._excess = name, steps, 0, 0.0
        self._started = time.monotonic()

    def step(self, logits: Tensor, targets: Tensor) -> None:
        loss = F.binary_cross_entropy_with_logits(logits, targets)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves Tensor.backward without annotations
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimiser.step()
        self._schedule.step()
        self._done += 1
        # Soft targets have an entropy of their own, the floor of the loss.
        excess = loss.item() - F.binary_cross_entropy(targets, targets).item()
        self._excess = excess if self._done == 1 else 0.95 * self._excess + 0.05 * excess
        if self._done % max(1, self._steps // 10) == 0:
            seconds = time.monotonic() - self._started
            log.info(
                "%s: %d of %d, loss over its floor %.4f, %.0f s",
                self._name, self._done, self._steps, self._excess, seconds,
            )  # fmt: skip


def _batches(n: int, size: int, epochs: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    for _ in range(epochs):
        order = rng.permutation(n)
        yield from (order[start : start + size] for start in range(0, n - size + 1, size))


def _split(grey: NDArray[np.uint16]) -> Iterable[NDArray[np.uint16]]:
    return np.array_split(grey, max(1, len(grey) // BATCH))


@torch.inference_mode()
def raw_risks(network: Mirai, cohort: Cohort) -> Floats:
    """Raw probabilities of every exam, (N, 5)."""
    network.eval()
    logits = torch.cat([network(_standardised(grey)) for grey in _split(cohort.grey)])
    return torch.sigmoid(logits).double().numpy()


def fit_calibration(raw: Floats, truth: Floats) -> Calibration:
    """Logistic curves through (raw probability, true risk), one a year, by iteratively reweighted least squares."""
    curves = [_logistic_fit(raw[:, year], truth[:, year]) for year in range(len(YEARS))]
    return Calibration("phantom-v1", tuple(a for a, _ in curves), tuple(b for _, b in curves))


def _logistic_fit(x: Floats, y: Floats) -> tuple[float, float]:
    design = np.stack([x, np.ones_like(x)], axis=1)
    weights = np.array([0.0, math.log(y.mean() / (1 - y.mean()))])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ weights))
        hessian = design.T @ (design * (p * (1 - p))[:, None])
        weights = weights + np.linalg.solve(hessian, design.T @ (y - p))
    return float(weights[0]), float(weights[1])


def measure(network: Mirai, calibration: Calibration, cohort: Cohort, rng: np.random.Generator) -> dict[str, Any]:
    """What the model card reports of women the network has not seen, with outcomes drawn from their planted risks."""
    scores = np.array([calibration.risks(list(raw))[-1] for raw in raw_risks(network, cohort)])
    truth = true_risks(cohort.signals)
    years = np.concatenate([draw_event_years(truth, rng) for _ in range(20)])
    usual = np.abs(cohort.signals - signal_for(0.02)) < 0.02
    return {
        "held_out_exams": len(scores),
        "outcomes_drawn_per_exam": 20,
        "c_index": round(c_index(np.tile(scores, 20), years), 3),
        "c_index_of_the_planted_risk": round(c_index(np.tile(truth[:, -1], 20), years), 3),
        "median_percent_where_2_percent_is_planted": round(100 * float(np.median(scores[usual])), 2),
        "median_relative_error": round(float(np.median(np.abs(scores / truth[:, -1] - 1))), 3),
    }


def draw_event_years(risks: Floats, rng: np.random.Generator) -> Floats:
    """Years to diagnosis drawn from five cumulative risks, (N, 5) -> (N,); infinite where none comes in five years."""
    below = rng.random(len(risks))[:, None] < risks
    first = below.argmax(axis=1) + rng.random(len(risks))
    return np.where(below.any(axis=1), first, np.inf)


def card_for(calibration: Calibration, measured: dict[str, Any], training: dict[str, Any]) -> ModelCard:
    """The demo model's card: synthetic, not for clinical use."""
    return ModelCard(
        name="phantom-demo",
        description=(
            "The Mirai network, narrower (16 to 128 channels, 512 x 416 pictures), trained from scratch on synthetic "
            "mammograms with a planted spiculated focus. It has never seen a patient."
        ),
        intended_use="Demonstration, tests and benchmarks of this software. Its numbers mean nothing for a woman.",
        clinical=False,
        banner="Synthetic demonstration model. Not for clinical use.",
        weights_sha256="",
        preprocessing=VERSION,
        network=asdict(NETWORK),
        picture=asdict(PICTURE),
        calibration=calibration,
        measured=measured,
        training=training,
        validated_devices=tuple(ValidatedDevice(vendor.manufacturer, vendor.model_name) for vendor in VENDORS),
    )


def build(folder: Path, exams: int, workers: int) -> ModelCard:
    """Render, train, calibrate, measure and write the demo model."""
    started = time.monotonic()
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    cohorts = {}
    for name, first, n in (("train", 1_000_000, exams), ("calibrate", 2_000_000, 200), ("test", 3_000_000, 300)):
        cohorts[name] = render_cohort(first, draw_signals(n, rng), workers)
        log.info("rendered %d exams to %s, %.0f s", n, name, time.monotonic() - started)
    network = Mirai(NETWORK)
    train(network, cohorts["train"], rng)
    truth = true_risks(cohorts["calibrate"].signals)
    calibration = fit_calibration(raw_risks(network, cohorts["calibrate"]), truth)
    measured = measure(network, calibration, cohorts["test"], rng)
    training = {"script": "python -m model.training", "seed": SEED, "exams": exams}
    card = replace(card_for(calibration, measured, training), self_check=expected_risks(network, PICTURE))
    card = save_network(network, card, folder)
    log.info("measured %s, %.0f s in all", measured, time.monotonic() - started)
    return card


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=DEMO_MODEL)
    parser.add_argument("--exams", type=int, default=1200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    build(options.folder, options.exams, options.workers)


if __name__ == "__main__":
    main()
