from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cds.errors import ModelNotUsable
from cds.scoring.site_scorer import site_scorer
from cds.settings import ScoringSettings, Settings
from model.card import write_card
from model.checkpoint import load_network
from model.precision import Precision
from model.preprocessing import PictureFormat
from model.self_check import expected_risks
from tests.model.tiny_model import install_tiny_model


def install_checked_model(folder: Path) -> None:
    """A tiny model that passes its self-check."""
    install_tiny_model(folder)
    network, card = load_network(folder, torch.device("cpu"))
    write_card(replace(card, self_check=expected_risks(network, PictureFormat(**card.picture))), folder)


def site(model: Path, scoring: ScoringSettings | None = None) -> Settings:
    """A site whose model is this one."""
    return Settings(model=model, models_folder=model / "models", scoring=scoring or ScoringSettings(device="cpu"))


def test_a_model_that_passes_its_self_check_is_used_in_float32_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    install_checked_model(tmp_path)
    assert site_scorer(site(tmp_path)).processor.precision is Precision.FLOAT32


def test_the_site_decides_how_many_exams_are_scored_together(tmp_path: Path) -> None:
    install_checked_model(tmp_path)
    assert site_scorer(site(tmp_path)).batch_exams == 1
    assert site_scorer(site(tmp_path, ScoringSettings(device="cpu", batch_exams=6))).batch_exams == 6


def test_what_it_scores_on_is_told_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    install_checked_model(tmp_path)
    with caplog.at_level("INFO", "cds.scoring.site_scorer"):
        site_scorer(site(tmp_path))
    assert caplog.messages == ["scoring on cpu, up to 1 exams together"]


@pytest.mark.parametrize(
    ("promised", "said"), [((0.1, 0.2, 0.3, 0.4, 0.5), "no patient is scored here"), ((), "promises no self-check")]
)
def test_a_model_that_fails_its_self_check_is_not_usable(
    promised: tuple[float, ...], said: str, tmp_path: Path
) -> None:
    install_tiny_model(tmp_path, self_check=promised)
    with pytest.raises(ModelNotUsable, match=said):
        site_scorer(site(tmp_path))


def test_a_precision_without_its_check_is_not_usable(tmp_path: Path) -> None:
    install_checked_model(tmp_path)
    with pytest.raises(ModelNotUsable, match="--precision bf16"):
        site_scorer(site(tmp_path, ScoringSettings(device="cpu", precision=Precision.BF16)))


def test_a_device_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    install_checked_model(tmp_path)
    with pytest.raises(ModelNotUsable, match="cuda:99"):
        site_scorer(site(tmp_path, ScoringSettings(device="cuda:99")))
