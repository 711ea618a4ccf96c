"""The command says plainly where there is no GPU; a dry run runs the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import NO_GPU, main
from benchmarks.kept_results import Record
from tests.servers import CHECKOUT


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("arguments", [[], ["--part", "network"]])
def test_without_a_gpu_it_says_so(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--into", str(tmp_path)]) == NO_GPU

    assert "No GPU: torch" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Of a dry run, all of it."""
    folder = tmp_path_factory.mktemp("dry")
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry-run", "--into", str(folder)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # more of them wait for each other, and there is little to do
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=CHECKOUT, env=one_thread)  # noqa: S603 - our own
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "A dry run: none of these times is a GPU's." in ended.stdout
    (kept,) = folder.glob("*-dry-run.json")
    found: Record = json.loads(kept.read_text())
    return found


@pytest.mark.slow
class TestDryRun:
    """Each part in its own process, as on a GPU."""

    def test_every_row_says_that_it_is_no_gpus(self, record: Record) -> None:
        assert {row["what"][:7] for row in record["rows"]} == {"dry run"}

    def test_pictures_have_the_same_bits(self, record: Record) -> None:
        assert found(record, "dry run: pictures") == ["the same bits in all of 16"]

    def test_lower_precisions_are_told_beside_what_is_allowed(self, record: Record) -> None:
        moved = [*found(record, "dry run: calibrated risks of random"), *found(record, "dry run: raw five-year")]

        assert len(moved) == 4
        assert all(told.endswith("at most; 0.02 percentage points are allowed") for told in moved)
        assert moved[0].startswith("they move by 0 percentage points")  # a CPU knows no TF32

    def test_every_syntax_has_its_decode_limit_and_its_pipeline_in_two_precisions(self, record: Record) -> None:
        told = [row["what"] for row in record["rows"]]

        assert sum(": decoding alone on all" in what for what in told) == 6
        assert sum(what.endswith(": the pipeline, an exam") for what in told) == 12
        assert "dry run, Explicit VR Little Endian, bf16: score alone, an exam of 0.48 MB" in told
        assert any(": the pipeline as shipped, 6 fetchers and 2 GB" in what for what in told)

    def test_what_is_tried_is_beside_what_is_in_use_or_says_why_it_cannot_be_tried(self, record: Record) -> None:
        tried = [row for row in record["rows"] if row["floor"] == "the encoder as it is in use"]

        assert len(tried) == 2 * 3 + 3 + 2
        assert set(found(record, "dry run: the encoder, as a CUDA graph")) == {
            "it was tried, and not measured: NotHere: graphs are for CUDA"
        }


def found(record: Record, what: str) -> list[str]:
    """What the record has found out of something."""
    return [finding["found"] for finding in record["findings"] if finding["what"].startswith(what)]
