"""`make bench` tells what it cannot measure, and measures the rest."""

from __future__ import annotations

import pytest
import torch

from benchmarks.bench import steps
from benchmarks.night import Night
from benchmarks.running_record import guarded
from benchmarks.timing import Finding


def test_everything_is_a_step_of_its_own() -> None:
    assert [what for what, _ in steps(Night())] == ["hook calls", "scoring", "a GPU", "decoding", "a night"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_record_says_so() -> None:
    on_a_gpu = [step for step in steps(Night()) if step[0] == "a GPU"]

    assert list(guarded(on_a_gpu)) == [Finding("GPU", "there is none here, so nothing was measured on one")]
