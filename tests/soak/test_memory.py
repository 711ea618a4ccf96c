"""When the memory of a process counts as flat."""

from __future__ import annotations

import pytest

from tests.soak.memory import Memory


def of_quarters(*megabytes: float) -> Memory:
    """Memory that held so much throughout each quarter."""
    return Memory([one for one in megabytes for _ in range(50)])


@pytest.mark.parametrize(
    ("quarters", "is_flat"),
    [
        ((100, 160, 160, 170), True),
        ((100, 160, 165, 170.1), False),
        ((100, 400, 400, 420), True),
        ((100, 400, 410, 420.1), False),
        ((160, 160, 150, 140), True),
    ],
)
def test_memory_may_grow_by_ten_megabytes_or_five_percent_after_the_first_quarter(
    quarters: tuple[float, ...], is_flat: bool
) -> None:
    assert of_quarters(*quarters).is_flat is is_flat


def test_one_sample_out_of_line_does_not_matter() -> None:
    memory = of_quarters(100, 100, 100, 100)
    memory.samples_mb[-3] = 900.0
    assert memory.is_flat
