"""Costs are read from the newest record that has them, and are never made up."""

from __future__ import annotations

import pytest

from benchmarks.kept_results import NothingKept
from benchmarks.scale.stage_costs import Stage, StageCosts, stages_told
from tests.benchmarks.records import SYNTAXES, records, row


def test_they_are_those_of_the_newest_records() -> None:
    older = {"date": "2020-01-01", "machine": {"cores": "64"}, "stages": {}, "rows": []}

    found = StageCosts.of([*records(), older])

    assert (found.score, found.exam_bytes, found.cores) == (Stage(7.0, 3.5), 68e6, 2)
    assert found.decode_s == SYNTAXES
    assert found.calls_a_second == 80  # 160 from two processes
    assert found.database.another_model == 1800


@pytest.mark.parametrize("missing", ["stages", "database_bytes"])
def test_what_was_never_measured_is_said_and_not_guessed(missing: str) -> None:
    kept = [{key: value for key, value in record.items() if key != missing} for record in records()]

    with pytest.raises(NothingKept, match=missing):
        StageCosts.of(kept)


def test_decoding_counts_beyond_that_of_uncompressed_pictures_four_times_an_exam() -> None:
    found = StageCosts.of(records())

    assert found.more_decoding_s("Explicit VR Little Endian") == 0
    assert found.more_decoding_s("JPEG 2000 Image Compression (Lossless Only)") == pytest.approx(4 * 0.25)
    with pytest.raises(NothingKept, match="'HTJ2K'; there are Explicit"):
        found.more_decoding_s("HTJ2K")


def test_the_time_on_a_gpu_is_told_only_where_one_was_measured() -> None:
    times = {"float32": 0.02, "tf32": 0.004, "bf16": 0.002}
    measured = [row(f"GPU: forward of one exam of 8 together, {name}", seconds) for name, seconds in times.items()]
    tried = row("dry run: forward of one exam of 8 together, tf32", 9.0)

    assert StageCosts.of([{"date": "2026-12-01", "rows": [tried]}, *records()]).forward_gpu_s is None
    assert StageCosts.of([{"date": "2026-12-01", "rows": measured}, *records()]).forward_gpu_s == 0.004


def test_what_a_gpu_does_of_preparing_is_counted_on_all_cores() -> None:
    assert StageCosts.of(records()).preprocess_core_s == pytest.approx(2 * 0.15)


def test_stages_of_each_model_are_read_from_their_rows() -> None:
    assert stages_told(records(), "demo model")[2] == Stage(core_s=7.0, alone_s=3.5)
    with pytest.raises(NothingKept, match="another model: fetch alone"):
        stages_told(records(), "another model")
