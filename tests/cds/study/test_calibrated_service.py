"""From a study's calibrator to the score of an exam: file, settings, model card, scorer, class."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cds.errors import ModelNotUsable
from cds.local_exam import score_files
from cds.scoring.site_scorer import site_scorer
from cds.services import usable_card
from cds.settings import Settings
from cds.study.calibration import study_calibration
from fhir_mappings.risk_assessments import risk_assessment
from hooks.card_details import method_text
from model.calibration_file import write_calibration
from model.card import DEMO_MODEL, read_card
from model.domain import ScoredExam
from model.phantom import PhantomExam, dicom_images
from model.scorer import Scorer
from model.site_calibration import SiteCalibration, mapped
from tests.cds.study.landmarks import cohort_by_chance

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
IMAGES = list(dicom_images(PhantomExam(8_000_002, date(2026, 3, 2), 0.7)))


@pytest.fixture(scope="module")
def fitted() -> SiteCalibration:
    found = study_calibration(cohort_by_chance(1, 5000, factor=2.0, risk=0.06), 11)
    return found.for_model("clinic-2026", read_card(DEMO_MODEL).version.key, "N. N.", AT.date())


@pytest.fixture
def settings(fitted: SiteCalibration, tmp_path: Path) -> Settings:
    write_calibration(fitted, tmp_path / "calibration.json")
    return Settings.model_validate({"scoring": {"calibration": tmp_path / "calibration.json", "device": "cpu"}})


def scored(scorer: Scorer) -> ScoredExam:
    exam = scorer.score_exam(IMAGES, at=AT)
    assert isinstance(exam, ScoredExam)
    return exam


def test_a_score_is_as_the_fitted_file_says_and_of_another_class(fitted: SiteCalibration, settings: Settings) -> None:
    own, calibrated = scored(Scorer(DEMO_MODEL, "cpu")), scored(site_scorer(settings))
    assert calibrated.score.raw == own.score.raw
    assert calibrated.score.calibrated == pytest.approx([mapped(fitted.map, risk) for risk in own.score.calibrated])
    assert calibrated.score.five_year < 0.7 * own.score.five_year
    assert calibrated.comparability != own.comparability
    # What the process that answers hooks looks for in the store, without a scorer.
    assert calibrated.score.model == usable_card(settings).version


def test_charts_and_cards_name_the_site_s_calibration(fitted: SiteCalibration, settings: Settings) -> None:
    exam = scored(site_scorer(settings))
    method = method_text(exam.score.model)
    written = risk_assessment(exam, "p1", identifier_system="urn:example", method_text=method)
    assert fitted.identity in method
    assert fitted.identity in written["method"]["text"]
    assert fitted.identity in json.dumps(written["contained"])


def test_a_file_for_another_model_keeps_the_service_from_starting(fitted: SiteCalibration, tmp_path: Path) -> None:
    other = SiteCalibration(fitted.version, "mirai/0123456789ab/minmax-v1/mirai-v0.8.0-01234567", fitted.map)
    write_calibration(other, tmp_path / "other.json")
    settings = Settings.model_validate({"scoring": {"calibration": tmp_path / "other.json", "device": "cpu"}})
    for start in (usable_card, site_scorer):
        with pytest.raises(ModelNotUsable, match="was fitted for 'mirai/0123456789ab"):
            start(settings)


def test_another_model_that_is_scored_beside_it_is_not_calibrated(settings: Settings, tmp_path: Path) -> None:
    assert settings.with_model(tmp_path / "other").scoring.calibration is None
    assert settings.with_model(DEMO_MODEL).scoring.calibration == settings.scoring.calibration


def test_an_exam_from_local_files_is_scored_as_the_service_would(settings: Settings, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.dcm" for number in range(len(IMAGES))]
    for file, image in zip(files, IMAGES, strict=True):
        image.save_as(file, enforce_file_format=True)
    told = score_files(files, site_scorer(settings), gate=True)
    assert told["model"]["version"] == usable_card(settings).version.key
