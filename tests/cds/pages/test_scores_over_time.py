"""The words of a page: every exam with what is to be known of it, and the reasoning as it was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cds.pages.scores_over_time import ScoresOverTime, scores_over_time
from cds.store.tables import ShownCard
from hooks.card_details import NO_EARLIER_SCORE, RESEARCH_BANNER
from hooks.case import MriPolicy
from hooks.reasoning import Answer, Reasoning
from hooks.site import Mode, Site
from model.calibration import Calibration
from model.card import ModelCard
from model.domain import Assessment, ImageType, ModelVersion
from tests.hooks.builders import MODEL, RISING, history_of, one_exam, pending, refused, scored

BANNER = "Synthetic model. Not for clinical use."
TOLD_AT = datetime(2026, 5, 20, 23, 30, tzinfo=UTC)
REASONING = Reasoning((Answer("age", True, "Age 52."), Answer("pregnancy", None, "It could not be read.")), ("Note.",))


def model_card(*, clinical: bool = False) -> ModelCard:
    banner = "" if clinical else BANNER
    calibration = Calibration("c1", (1.0,) * 5, (0.0,) * 5)
    return ModelCard("Demo", "a model", "tests", clinical, banner, MODEL.weights, "p1", {}, {}, calibration)


def page(assessment: Assessment, site: Site | None = None, reasoning: Reasoning = REASONING) -> ScoresOverTime:
    card = ShownCard(
        uuid="c1", ehr="e", patient_id="p", service="s", summary="Summary.", indicator="info",
        reasoning=reasoning.to_json(), made_at=TOLD_AT,
    )  # fmt: skip
    wanted = site or Site(Mode.RESEARCH, demo_banner=BANNER)
    return scores_over_time(card, assessment, wanted, model_card(), TOLD_AT)


def test_every_exam_is_on_it_newest_first_with_score_images_device_and_warnings() -> None:
    latest = scored(0.0709, date(2026, 11, 4), warnings=("A warning of the gate.",))

    rows = page(Assessment(history_of({2025: 0.02}, latest))).scored

    assert [(row.day, row.score) for row in rows] == [("2026-11-04", "7.1 %"), ("2025-05-03", "2.0 %")]
    assert rows[0].remarks == ("A warning of the gate.",)
    assert (rows[0].images, rows[0].device) == ("FFDM", "HOLOGIC Selenia 1.8")


def test_an_exam_that_may_not_be_compared_says_so_and_names_its_model() -> None:
    synthetic = scored(0.03, date(2024, 1, 3), image_type=ImageType.SYNTHETIC_2D)
    old = scored(0.02, date(2019, 1, 3))
    old = replace(old, score=replace(old.score, model=ModelVersion("Old", "f" * 64, "p0", "c0")))

    rows = {row.day: row.remarks for row in page(Assessment(history_of(RISING, synthetic, old))).scored}

    assert "not comparable" in rows["2024-01-03"][0]
    assert rows["2019-01-03"][1].startswith("scored by Old, weights ffffffffffff")


def test_an_exam_without_a_score_has_every_reason() -> None:
    assessment = Assessment(None, (refused(),), (pending(None), pending(problem="The archive does not answer")))

    rows = {(row.day, row.reasons) for row in page(assessment).unscored}

    assert rows == {
        ("2026-05-03", ("No usable R MLO view.",)),
        ("date unknown", ("Scoring is under way.",)),
        ("2026-05-03", ("Not scored yet: The archive does not answer",)),
    }


def test_the_index_exam_has_five_yearly_risks() -> None:
    index = page(one_exam(scored(0.05))).index

    assert index is not None
    assert index.yearly == (
        ("1 year", "1.0 %"), ("2 years", "2.0 %"), ("3 years", "3.0 %"), ("4 years", "4.0 %"), ("5 years", "5.0 %"),
    )  # fmt: skip


def test_missing_priors_are_said_to_be_missing() -> None:
    assert page(one_exam()).changes == (NO_EARLIER_SCORE,)


def test_without_a_score_there_is_neither_an_index_nor_a_change() -> None:
    shown = page(Assessment(None, (refused(),)))

    assert (shown.index, shown.changes, shown.scored) == (None, (), ())


def test_a_change_below_the_minimum_is_no_measurable_change() -> None:
    site = Site(Mode.ACTIVE, MriPolicy(minimum_detectable_change=0.005))
    shown = page(Assessment(history_of({2025: 0.020, 2026: 0.023}, minimum_detectable_change=0.005)), site)

    assert shown.minimum == "0.5"
    assert "No measurable change" in shown.changes[0]
    assert not any("per year" in sentence for sentence in shown.changes)


@pytest.mark.parametrize(
    ("site", "banners"),
    [
        (Site(Mode.RESEARCH, demo_banner=BANNER), (BANNER, RESEARCH_BANNER)),
        (Site(Mode.ACTIVE, demo_banner=BANNER), (BANNER,)),
    ],
)
def test_the_banners_are_those_of_the_card(site: Site, banners: tuple[str, ...]) -> None:
    assert page(one_exam(), site).banners == banners


def test_the_reasoning_is_the_one_that_was_kept() -> None:
    assert page(one_exam()).reasoning == REASONING


def test_the_rule_has_its_source() -> None:
    policy = MriPolicy(threshold=0.03, citation="Our board, 2026", citation_url="https://site.example/rule")

    shown = page(one_exam(), Site(Mode.RESEARCH, policy, demo_banner=BANNER))

    assert shown.rule == "age 35 or older, 5-year score over 3.0 %"
    assert shown.citation == ("Our board, 2026", "https://site.example/rule")


def test_the_model_is_named_with_all_its_versions_and_what_it_may_be_used_for() -> None:
    facts = dict(page(one_exam()).model)

    assert (facts["Name"], facts["Weights (SHA-256)"], facts["Preprocessing"]) == ("Demo", MODEL.weights, "p1")
    assert facts["Clinical use"] == "not allowed by its card"
