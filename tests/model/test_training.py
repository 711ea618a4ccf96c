from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from model.card import read_card, write_card
from model.domain import STANDARD_VIEWS
from model.network import Mirai
from model.phantom import PhantomExam, dicom_images, focus_centre, planted_risk, signal_for
from model.preprocessing import picture
from model.training import (
    CROP,
    NETWORK,
    PICTURE,
    Cohort,
    card_for,
    draw_crops,
    draw_event_years,
    draw_signals,
    enriched_targets,
    fit_calibration,
    raw_risks,
    render_cohort,
    true_risks,
)

SIGNALS = np.linspace(0, 1, 11)


def test_the_true_risk_rises_with_the_years_and_the_signal_and_ends_at_the_planted_one() -> None:
    risks = true_risks(SIGNALS)
    assert risks.shape == (11, 5)
    assert (np.diff(risks, axis=0) > 0).all()
    assert (np.diff(risks, axis=1) > 0).all()
    assert risks[:, -1] == pytest.approx(planted_risk(SIGNALS))


def test_the_targets_of_training_are_inflated_risks_in_the_same_order() -> None:
    targets = enriched_targets(SIGNALS)
    assert targets[:, -1] == pytest.approx(0.05 + 0.8 * SIGNALS)
    assert (np.diff(targets, axis=0) > 0).all()
    assert (np.diff(targets, axis=1) > 0).all()
    assert (targets > true_risks(SIGNALS))[:, -1].all()


def test_the_drawn_signals_hold_the_population_and_the_whole_range() -> None:
    signals = draw_signals(4000, np.random.default_rng(1))
    assert signals.min() >= 0
    assert signals.max() <= 1
    assert (np.abs(signals - signal_for(0.02)) < 0.1).mean() > 0.35
    assert (signals > 0.8).mean() == pytest.approx(0.1, abs=0.03)


def cohort() -> Cohort:
    """Two exams whose pixels tell where they lie: the row in the first picture, the column in the others."""
    grey = np.zeros((2, 4, PICTURE.rows, PICTURE.columns), dtype=np.uint16)
    grey[:, :] = np.arange(PICTURE.rows, dtype=np.uint16)[:, None] * 100
    return Cohort(40, grey, np.array([0.2, 0.9]))


def test_crops_have_the_target_of_the_breast_they_show() -> None:
    crops, targets = draw_crops(cohort(), 64, np.random.default_rng(2))
    assert crops.shape == (64, 1, CROP, CROP)
    expected = enriched_targets(np.array([0.0, 0.2, 0.9]))[:, -1]
    assert np.unique(targets.numpy()) == pytest.approx(expected, abs=1e-6)
    assert (targets.numpy() < 0.1).mean() == pytest.approx(0.5, abs=0.2)


def test_a_crop_of_the_breast_with_the_focus_contains_it() -> None:
    crops, targets = draw_crops(cohort(), 64, np.random.default_rng(3))
    with_focus = crops[targets > 0.1].numpy() * PICTURE.std + PICTURE.mean
    rows = with_focus[:, 0, :, 0] / 100
    centres = [focus_centre(woman, view) for woman in (40, 41) for view in STANDARD_VIEWS]
    heights = [(centre[1] + 1) / 2 * PICTURE.rows for centre in centres if centre]
    assert len(rows) > 10
    for crop in rows:
        assert any(crop.min() <= height <= crop.max() for height in heights)


def test_the_calibration_recovers_a_known_curve() -> None:
    raw = np.random.default_rng(4).uniform(0, 1, (500, 5))
    slopes, intercepts = np.array([5.2, 4.7, 4.3, 4.2, 3.9]), np.array([-6.9, -6.1, -5.5, -5.1, -4.8])
    fitted = fit_calibration(raw, 1 / (1 + np.exp(-(slopes * raw + intercepts))))
    assert fitted.slopes == pytest.approx(slopes, abs=1e-6)
    assert fitted.intercepts == pytest.approx(intercepts, abs=1e-6)


def test_events_are_drawn_as_often_as_the_risks_say() -> None:
    risks = np.tile([0.1, 0.15, 0.3, 0.35, 0.6], (20_000, 1))
    years = draw_event_years(risks, np.random.default_rng(5))
    within = [(years <= year).mean() for year in (1, 2, 3, 4, 5)]
    assert within == pytest.approx([0.1, 0.15, 0.3, 0.35, 0.6], abs=0.015)
    assert np.isinf(years).mean() == pytest.approx(0.4, abs=0.015)


def test_training_renders_exactly_what_the_scorer_sees_of_the_file() -> None:
    signals = np.array([0.3])
    grey = render_cohort(50, signals, workers=1).grey[0]
    images = dicom_images(PhantomExam(50, date(2020, 6, 1), 0.3))
    for trained, image in zip(grey, images, strict=True):
        seen = picture(image, PICTURE)[0] * PICTURE.std + PICTURE.mean
        assert np.abs(seen - trained).max() < 0.01


def test_raw_risks_come_one_row_an_exam() -> None:
    torch.manual_seed(0)
    raw = raw_risks(Mirai(NETWORK), cohort())
    assert raw.shape == (2, 5)
    assert (np.diff(raw, axis=1) >= 0).all()


def test_the_card_of_the_demo_model_says_synthetic_and_not_clinical(tmp_path: Path) -> None:
    card = card_for(fit_calibration(np.tile(SIGNALS[:, None], 5), true_risks(SIGNALS)), {}, {})
    write_card(card, tmp_path)
    assert read_card(tmp_path) == card
    assert card.clinical is False
    assert "Not for clinical use" in card.banner
    assert "synthetic" in json.dumps(card.description).lower()
