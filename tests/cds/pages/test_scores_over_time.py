"""The words of a page: every exam with what is to be known of it, and the reasoning as it was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from cds.pages.scores_over_time import ScoresOverTime, scores_over_time, unscored_days
from cds.store.tables import ShownCard
from hooks.card_details import NO_EARLIER_SCORE, RESEARCH_BANNER
from hooks.case import MriPolicy
from hooks.reasoning import Answer, Reasoning
from hooks.site import Mode, Site
from model.calibration import Calibration
from model.card import ModelCard
from model.domain import Assessment, ImageType, ModelVersion, ScoredExam, Trajectory
from tests.hooks.builders import MODEL, RISING, history_of, one_exam, pending, refused, scored

BANNER = "Synthetic model. Not for clinical use."
TOLD_AT = datetime(2026, 5, 20, 23, 30, tzinfo=UTC)
REASONING = Reasoning((Answer("age", True, "Age 52."), Answer("pregnancy", None, "It could not be read.")), ("Note.",))


def model_card(*, clinical: bool = False) -> ModelCard:
    banner = "" if clinical else BANNER
    calibration = Calibration("c1", (1.0,) * 5, (0.0,) * 5)
    return ModelCard("Demo", "a model", "tests", clinical, banner, MODEL.weights, "p1", {}, {}, calibration)


def page(
    assessment: Assessment,
    site: Site | None = None,
    reasoning: Reasoning = REASONING,
    others: tuple[ScoredExam, ...] = (),
) -> ScoresOverTime:
    card = ShownCard(
        uuid="c1", ehr="e", patient_id="p", service="s", summary="Summary.", indicator="info",
        reasoning=reasoning.to_json(), made_at=TOLD_AT,
    )  # fmt: skip
    wanted = site or Site(Mode.RESEARCH, demo_banner=BANNER)
    line = assessment.trajectory or Trajectory(())
    line = replace(line, apart=(*line.apart, *others))
    return scores_over_time(card, assessment, line, wanted, model_card(), TOLD_AT)


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


def by_old(exam: ScoredExam, *, clinical: bool = False) -> ScoredExam:
    return replace(exam, score=replace(exam.score, model=ModelVersion("Old", "f" * 64, "p0", "c0", clinical)))


def test_an_exam_that_two_model_versions_scored_has_two_rows_that_both_name_their_model() -> None:
    judged, other = scored(0.066, date(2026, 5, 3)), by_old(scored(0.031, date(2026, 5, 3)))

    rows = page(Assessment(history_of({2025: 0.02}, judged)), others=(other,)).scored

    assert [(row.day, row.score) for row in rows] == [
        ("2026-05-03", "6.6 %"),
        ("2026-05-03", "3.1 %"),
        ("2025-05-03", "2.0 %"),
    ]
    assert rows[0].remarks[0].startswith("scored by Demo, weights 0123456789ab, preprocessing p1, calibration c1")
    assert "not comparable" in rows[1].remarks[0]
    assert rows[1].remarks[1].startswith("scored by Old, weights ffffffffffff, preprocessing p0, calibration c0")
    assert rows[2].remarks == ()


def test_scores_of_other_model_versions_are_rows_of_the_table_and_change_nothing_else() -> None:
    known = Assessment(history_of(RISING), pending=(pending(date(2026, 8, 3)),))
    others = tuple(by_old(scored(0.2, date(year, 9, 1))) for year in (2018, 2026))

    with_them = page(known, others=others)

    assert [row.day for row in with_them.scored if "2.0" in row.score] == []
    assert [row.day for row in with_them.scored if row.score == "20.0 %"] == ["2026-09-01", "2018-09-01"]
    assert replace(with_them, scored=()) == replace(page(known), scored=())


def test_where_the_model_in_use_has_no_score_every_row_names_its_model_and_nothing_is_said_of_a_change() -> None:
    shown = page(Assessment(pending=(pending(),)), others=(by_old(scored()),))

    assert [row.remarks[1].startswith("scored by Old") for row in shown.scored] == [True]
    assert (shown.index, shown.changes) == (None, ())
    assert len(shown.unscored) == 1


@pytest.mark.parametrize("clinical", [True, False])
def test_a_score_of_another_model_says_whether_that_one_is_for_clinical_use(*, clinical: bool) -> None:
    (row,) = page(Assessment(), others=(by_old(scored(), clinical=clinical),)).scored

    assert ("not for clinical use" in row.remarks[1]) is not clinical


def test_days_without_a_score_are_those_from_the_first_score_to_today() -> None:
    line = history_of({2024: 0.02, 2025: 0.02})
    waits = tuple(pending(day) for day in (date(2023, 5, 3), None, date(2026, 8, 3), date(2099, 5, 3)))

    days = unscored_days(Assessment(line, (refused(),), waits), line, date(2026, 8, 3))

    assert days == (date(2026, 5, 3), date(2026, 8, 3))


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


@pytest.mark.parametrize(
    ("risk", "yearly"),
    [
        (0.0841, ("1.7 %", "3.4 %", "5.0 %", "6.7 %", "8.4 %")),
        (0.02126, ("0.4 %", "0.9 %", "1.3 %", "1.7 %", "2.1 %")),
        (0.01701, ("0.340 %", "0.680 %", "1.021 %", "1.361 %", "1.701 %")),
        (0.017, ("0.3 %", "0.7 %", "1.0 %", "1.4 %", "1.7 %")),
    ],
)
def test_of_the_yearly_risks_only_that_of_five_years_is_held_against_the_threshold(
    risk: float, yearly: tuple[str, ...]
) -> None:
    index = page(one_exam(scored(risk))).index

    assert index is not None
    assert tuple(shown for _, shown in index.yearly) == yearly


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


def test_ages_are_those_that_were_kept_with_the_card_and_an_exam_since_then_has_none() -> None:
    kept = Reasoning(ages={"2025-05-03": "about 51 to 52"})
    exams = Assessment(history_of({2025: 0.02}, scored(0.03, date(2026, 11, 4))))

    assert [row.age for row in page(exams, reasoning=kept).scored] == ["", "about 51 to 52"]
    assert page(exams, reasoning=kept).has_ages
    assert not page(exams).has_ages


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
