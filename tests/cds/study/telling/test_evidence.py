"""What a site's studies say of its model: each at its attribute, with its day, and only of the very version."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from pathlib import Path

import pytest

from cds.errors import StudyNotPossible
from cds.study.telling.evidence import FAIRNESS, VALIDITY, VALIDITY_WATCH, Evidence, evidence
from cds.study.telling.summaries import FILE_NAME, Figure
from model.source_attributes import ATTRIBUTES
from tests.cds.study.summary_files import DAY, FIGURES, put_study

MODEL = "mirai|1234|v1|published"


def test_each_study_speaks_where_the_regulation_asks_for_local_data(tmp_path: Path) -> None:
    for study in FIGURES:
        put_study(tmp_path, study, MODEL)

    found = evidence(tmp_path, MODEL)

    day = "At this site, study of 2026-04-02: "
    assert found.said == {
        VALIDITY: (
            f"{day}five-year AUC of the score 0.741 (0.710 to 0.770), c-index 0.730 (0.700 to 0.760).",
            f"{day}expected over observed at five years 1.42 (1.20 to 1.68).",
            f"{day}minimum detectable change 0.55 percentage points (0.50 to 0.60).",
            f"{day}34.2 % of the women were over 1.7 %; of the cancers found after it 71.0 %.",
        ),
        FAIRNESS: (f"{day}women over 1.7 %, by group: north 31.0 %, south not told (too few).",),
        VALIDITY_WATCH: (
            f"{day}the median scores of 1 of 3 judged units have left the range of their earlier months.",
        ),
    }
    assert found.unused == ()
    assert found.said.keys() <= ATTRIBUTES.keys()


def test_a_site_that_names_no_folder_has_no_evidence() -> None:
    assert evidence(None, MODEL) == Evidence()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "that does not name the model of its scores"),
        (f"{MODEL}+site", "of the scores of another model version"),
        ("", "of the scores of another model version"),
    ],
)
def test_a_study_of_no_or_of_another_version_is_named_and_not_used(
    model: str | None, said: str, tmp_path: Path
) -> None:
    put_study(tmp_path, "drift", model)

    assert evidence(tmp_path, MODEL) == Evidence({}, (f"'drift': a drift study of 2026-04-02 {said}",))


@pytest.mark.parametrize("order", [*permutations([date(2024, 2, 3), date(2025, 2, 3), date(2026, 2, 3)])])
def test_of_several_studies_the_newest_counts_wherever_it_lies(order: tuple[date, ...], tmp_path: Path) -> None:
    for number, day in enumerate(order):
        put_study(tmp_path, "drift", MODEL, day, name=f"study-{number}")

    found = evidence(tmp_path, MODEL)

    (sentence,) = found.said[VALIDITY_WATCH]
    assert sentence.startswith("At this site, study of 2026-02-03: ")
    assert len(found.unused) == 2
    assert all(words.endswith("there is a newer drift study") for words in found.unused)


def test_a_newer_study_of_another_version_does_not_take_the_place_of_the_right_one(tmp_path: Path) -> None:
    put_study(tmp_path, "drift", MODEL, date(2025, 1, 1), name="right")
    put_study(tmp_path, "drift", "another", date(2026, 1, 1), name="wrong")

    assert "2025-01-01" in evidence(tmp_path, MODEL).said[VALIDITY_WATCH][0]


def test_figures_that_were_too_few_are_told_as_that(tmp_path: Path) -> None:
    put_study(tmp_path, "discrimination", MODEL, auc_5_score=None, auc_5_score_low=None, auc_5_score_high=None)

    assert "AUC of the score not told (too few), c-index 0.730" in evidence(tmp_path, MODEL).said[VALIDITY][0]


def test_a_bound_without_repeats_is_not_told_as_a_measurement(tmp_path: Path) -> None:
    put_study(
        tmp_path,
        "repeatability",
        MODEL,
        source="mixed_model",
        minimum_detectable_change_low=None,
        minimum_detectable_change_high=None,
    )

    assert (
        evidence(tmp_path, MODEL)
        .said[VALIDITY][0]
        .endswith("minimum detectable change 0.55 percentage points or less, an estimate without repeats.")
    )


def test_without_groups_nothing_is_said_of_fairness(tmp_path: Path) -> None:
    put_study(tmp_path, "impact", MODEL)
    file = tmp_path / "impact" / FILE_NAME
    file.write_text(file.read_text().replace("_of_north", "").replace("_of_south", "_x"))

    assert evidence(tmp_path, MODEL).said.get(FAIRNESS, ()) == ()


@pytest.mark.parametrize("changes", [{"units_judged": "three"}, {"units_in_alarm": "none"}])
def test_a_summary_with_a_word_for_a_number_is_not_used(changes: dict[str, Figure], tmp_path: Path) -> None:
    put_study(tmp_path, "drift", MODEL, DAY, "drift", **changes)

    found = evidence(tmp_path, MODEL)

    assert found.said == {}
    assert found.unused == ("'drift': its summary does not have the figures of such a study (TypeError)",)


def test_a_summary_without_its_figures_says_nothing_not_even_half(tmp_path: Path) -> None:
    put_study(tmp_path, "impact", MODEL)
    file = tmp_path / "impact" / FILE_NAME
    file.write_text(file.read_text().replace('"rule"', '"ruler"'))

    found = evidence(tmp_path, MODEL)

    assert found.said == {}
    assert found.unused == ("'impact': its summary does not have the figures of such a study (KeyError)",)


def test_a_study_that_says_nothing_of_an_attribute_is_named_as_that(tmp_path: Path) -> None:
    put_study(tmp_path, "trajectories", MODEL)

    assert evidence(tmp_path, MODEL).unused == (
        "'trajectories': a study of 2026-04-02 that says nothing of a source attribute",
    )


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyNotPossible):
        evidence(tmp_path / "nowhere", MODEL)
