from __future__ import annotations

import ast
import sys
from datetime import date
from pathlib import Path

import pytest

import model.domain
from model.domain import (
    STANDARD_VIEWS,
    AcquisitionDevice,
    Laterality,
    ModelVersion,
    RiskScore,
    is_measurable,
    months_before,
    years_between,
)

MODEL = ModelVersion("m", "a" * 64, "p1", "c1")


def test_the_shared_words_need_the_standard_library_only() -> None:
    tree = ast.parse(Path(model.domain.__file__).read_text())
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert imported
    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("risks", [(0.1,) * 4, (0.1,) * 6, (0.1, 0.2, 0.3, 0.4, 1.7), (-0.1,) * 5, (float("nan"),) * 5])
def test_a_score_that_is_not_five_fractions_is_refused(risks: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="fractions between 0 and 1"):
        RiskScore(risks, (0.5,) * 5, MODEL)
    with pytest.raises(ValueError, match="fractions between 0 and 1"):
        RiskScore((0.5,) * 5, risks, MODEL)


def test_the_five_year_risk_is_the_last_calibrated_one() -> None:
    assert RiskScore((0.01, 0.02, 0.03, 0.04, 0.05), (0.5,) * 5, MODEL).five_year == 0.05


@pytest.mark.parametrize(
    "other",
    [
        ModelVersion("n", "a" * 64, "p1", "c1"),
        ModelVersion("m", "b" * 64, "p1", "c1"),
        ModelVersion("m", "a" * 64, "p2", "c1"),
        ModelVersion("m", "a" * 64, "p1", "c2"),
    ],
)
def test_a_change_of_any_part_of_the_model_makes_another_key(other: ModelVersion) -> None:
    assert other.key != MODEL.key


def test_a_leap_year_and_a_common_one_are_both_about_one_year() -> None:
    assert years_between(date(2024, 1, 1), date(2025, 1, 1)) == pytest.approx(1, abs=0.003)
    assert years_between(date(2025, 1, 1), date(2026, 1, 1)) == pytest.approx(1, abs=0.003)
    assert years_between(date(2026, 1, 1), date(2025, 1, 1)) < 0


def test_a_view_reads_as_a_radiographer_writes_it() -> None:
    assert [str(view) for view in STANDARD_VIEWS] == ["L CC", "R CC", "L MLO", "R MLO"]
    assert Laterality("L") is Laterality.LEFT


def test_a_device_is_named_by_what_it_says_of_itself() -> None:
    assert str(AcquisitionDevice("Maker", "", "2.0")) == "Maker 2.0"
    assert str(AcquisitionDevice()) == ""


@pytest.mark.parametrize(
    ("day", "months", "earlier"),
    [
        (date(2026, 5, 20), 12, date(2025, 5, 20)),
        (date(2028, 2, 29), 12, date(2027, 2, 28)),
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2026, 1, 15), 1, date(2025, 12, 15)),
        (date(2026, 5, 20), 99999, date.min),
    ],
)
def test_months_are_counted_by_the_calendar(day: date, months: int, earlier: date) -> None:
    assert months_before(day, months) == earlier


UNIT = AcquisitionDevice("Maker", "Unit", "1.0")


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (AcquisitionDevice("Other", "Unit", "1.0"), True),
        (AcquisitionDevice("Maker", "Unit II", "1.0"), True),
        (AcquisitionDevice("Maker", "Unit", "1.1"), True),
        (AcquisitionDevice("Maker", "", "1.1"), True),
        (AcquisitionDevice("Maker", "Unit", ""), False),
        (AcquisitionDevice(), False),
        (UNIT, False),
    ],
)
def test_devices_differ_only_in_what_both_name(other: AcquisitionDevice, differs: bool) -> None:
    assert UNIT.differs_from(other) is differs
    assert other.differs_from(UNIT) is differs


def test_a_device_is_fully_named_by_maker_model_and_software() -> None:
    assert UNIT.is_fully_named
    assert not AcquisitionDevice("Maker", "Unit").is_fully_named


@pytest.mark.parametrize(
    ("earlier", "later", "measurable"),
    [(0.02, 0.03, True), (0.03, 0.02, True), (0.02, 0.0299999, False), (0.0299999, 0.02, False), (0.02, 0.02, False)],
)
def test_a_change_is_measurable_from_the_minimum_on_in_both_directions(
    earlier: float, later: float, measurable: bool
) -> None:
    assert is_measurable(later - earlier, 0.01) is measurable
    assert is_measurable(later - earlier, None) is None
