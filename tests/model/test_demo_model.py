"""The model that ships with the package, on women it has never seen."""

from __future__ import annotations

from datetime import UTC, date, datetime
from statistics import median

import pytest

from model.card import DEMO_MODEL, WEIGHTS_NAME, read_card
from model.domain import ScoredExam
from model.phantom import BOREALIS, PhantomExam, dicom_images, signal_for
from model.preprocessing import VERSION
from model.scorer import Scorer

AT = datetime(2026, 1, 6, 3, 15, tzinfo=UTC)
FIRST_UNSEEN_WOMAN = 9_000_000
"""Training, calibration and measurement used women from one, two and three million on."""


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(DEMO_MODEL, "cpu")


def five_year_percent(scorer: Scorer, exam: PhantomExam) -> float:
    scored = scorer.score_exam(list(dicom_images(exam)), at=AT)
    assert isinstance(scored, ScoredExam), scored
    return 100 * scored.score.five_year


def planted(woman: int, risk: float, year: int = 2025) -> PhantomExam:
    return PhantomExam(FIRST_UNSEEN_WOMAN + woman, date(year, 6, 2), signal_for(risk))


def test_the_demo_model_is_small_enough_to_ship() -> None:
    assert (DEMO_MODEL / WEIGHTS_NAME).stat().st_size <= 4 * 1024 * 1024


def test_the_card_of_the_demo_model_is_not_clinical_and_says_how_it_was_measured() -> None:
    card = read_card(DEMO_MODEL)
    assert card.clinical is False
    assert "Not for clinical use" in card.banner
    assert card.preprocessing == VERSION
    assert 0.6 < card.measured["c_index"] <= card.measured["c_index_of_the_planted_risk"] + 0.01
    assert card.training["seed"]


@pytest.mark.slow
def test_controls_planted_at_2_percent_have_a_median_near_2_percent(scorer: Scorer) -> None:
    risks = [five_year_percent(scorer, planted(woman, 0.02)) for woman in range(25)]
    assert 1.6 < median(risks) < 2.4


@pytest.mark.slow
def test_cases_rise_from_about_2_1_to_about_6_6_percent_over_six_years(scorer: Scorer) -> None:
    women = range(100, 121)
    before = [five_year_percent(scorer, planted(woman, 0.021, 2019)) for woman in women]
    latest = [five_year_percent(scorer, planted(woman, 0.066, 2025)) for woman in women]
    assert 1.7 < median(before) < 2.6
    assert 5.3 < median(latest) < 8.0
    risen = sum(later > earlier for earlier, later in zip(before, latest, strict=True))
    assert risen >= 0.9 * len(women)


@pytest.mark.slow
def test_inverted_storage_of_full_pictures_changes_the_risk_by_less_than_a_hundredth_of_a_point(scorer: Scorer) -> None:
    for woman in range(200, 204):
        exam = planted(woman, 0.03)
        inverted = PhantomExam(exam.woman, exam.performed_on, exam.signal, vendor=BOREALIS)
        assert five_year_percent(scorer, inverted) == pytest.approx(five_year_percent(scorer, exam), abs=0.01)
