"""What the steps of a part tell, and that what they measure is what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.gpu import network, pictures, trials
from benchmarks.gpu.subject import TINY
from benchmarks.running_record import guarded
from benchmarks.scale.stage_costs import StageCosts
from benchmarks.timing import Line, NotMeasured, Row
from model.device_pictures import finished_on
from model.inference import FoldedEncoder
from model.preprocessing import Windowed
from tests.benchmarks.records import records


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More of them wait for each other, and there is little to do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rows(lines: list[Line]) -> dict[str, Row]:
    """Of lines that are all rows."""
    found = {line.what: line for line in lines if isinstance(line, Row)}
    assert len(found) == len(lines), lines
    return found


def test_the_network_stands_beside_the_matrix_rate_in_every_precision() -> None:
    found = rows(list(guarded(network.steps(TINY))))

    for precision in ("float32", "tf32", "bf16"):
        rate = found[f"dry run: 985 GFLOP, an exam's, as matrix products, {precision}"]
        forward = found[f"dry run: forward of one exam of 2 together, {precision}"]
        assert rate.remark.endswith("64 x 64")
        assert forward.floor_s is not None
        assert "% of the matrix rate" in forward.remark
        together = [what for what in found if "pictures together" in what and f", {precision}," in what]
        assert len(together) == len(TINY.together)


def test_a_rate_that_could_not_be_measured_takes_no_forward_with_it() -> None:
    fails = ("the rate", lambda: iter([1 / 0]))
    forward = list(network.steps(TINY))[3]  # without those before it, which measure the rates

    lines = list(guarded([fails, forward]))  # type: ignore[list-item]

    assert isinstance(lines[0], NotMeasured)
    assert isinstance(lines[1], Row)
    assert lines[1].floor_s is None


def test_the_plan_finds_the_forward_of_a_gpu_in_the_record() -> None:
    subject = replace(TINY, name="GPU", together=())
    found = [
        {"what": line.what, "seconds": line.seconds}
        for line in guarded(network.steps(subject))
        if isinstance(line, Row)
    ]

    costs = StageCosts.of([{"date": "2026-12-01", "rows": found}, *records()])

    assert costs.forward_gpu_s == next(
        row["seconds"] for row in found if row["what"] == "GPU: forward of one exam of 2 together, tf32"
    )


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_encoder_in_one_piece_is_the_encoder(layout: torch.memory_format) -> None:
    whole, in_use = (FoldedEncoder(TINY.network().encoder, 2) for _ in range(2))
    seen = TINY.pictures(1).flatten(0, 1)

    with torch.inference_mode():
        torch.testing.assert_close(trials.WholePictures(whole, layout)(seen), in_use(seen))
    assert whole.stem.weight.is_contiguous(memory_format=layout)


def test_a_picture_that_differs_in_one_bit_is_another() -> None:
    stored = np.random.default_rng(1).integers(0, 4096, (40, 31), dtype=np.uint16)
    view, form = Windowed(stored, 0, np.arange(4096, dtype=np.int32)), TINY.form
    made = finished_on(torch.device("cpu"), view, form)
    other = made.clone()
    other[0, 3, 3] = torch.nextafter(other[0, 3, 3], torch.tensor(9.0))

    assert pictures._is_same(made, view, form)
    assert not pictures._is_same(other, view, form)
