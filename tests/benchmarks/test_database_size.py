"""What rows take is measured on rows that the service itself has made."""

from __future__ import annotations

from pathlib import Path

from benchmarks.database_size import sizes


def test_each_kind_of_row_takes_room_by_itself(tmp_path: Path) -> None:
    found = sizes(f"sqlite:///{tmp_path / 'size.sqlite'}", exams=210, few=20)

    assert set(found) == {"exam", "another_model", "assessment", "call"}
    assert all(500 < size < 20_000 for size in found.values()), found
    assert found["another_model"] < found["exam"]
