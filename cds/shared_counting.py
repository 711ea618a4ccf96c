"""Several processes that count together: whichever of them a monitor reads tells of all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for the folder; it looks when it is imported, and not again."""


@contextmanager
def counting_together(processes: int) -> Iterator[None]:
    """Have the processes that are forked meanwhile count in the files of one folder, gone at the end."""
    if processes == 1:
        yield
        return
    parent, folder = os.getpid(), tempfile.mkdtemp(prefix="mammotrend-counts-")
    os.environ[FOLDER_VARIABLE] = folder
    try:
        yield
    finally:
        if os.getpid() == parent:
            os.environ.pop(FOLDER_VARIABLE, None)
            shutil.rmtree(folder, ignore_errors=True)
