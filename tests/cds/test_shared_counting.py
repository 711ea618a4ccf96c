"""Several processes of one service count together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cds.shared_counting import FOLDER_VARIABLE, counting_together

COUNTS = """
import os
from cds.shared_counting import counting_together

with counting_together(2):
    from prometheus_client import CollectorRegistry, Counter
    from prometheus_client.multiprocess import MultiProcessCollector

    for _ in range(2):
        child = os.fork()
        if child == 0:
            Counter("calls", "c", registry=CollectorRegistry()).inc()
            os._exit(0)
        os.waitpid(child, 0)
    together = CollectorRegistry()
    MultiProcessCollector(together)
    print(together.get_sample_value("calls_total"), os.environ["PROMETHEUS_MULTIPROC_DIR"])
"""


def test_what_each_process_counts_is_summed_and_the_folder_is_gone_at_the_end() -> None:
    command = [sys.executable, "-c", COUNTS]
    run = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own arguments

    total, folder = run.stdout.split()
    assert total == "2.0"
    assert not Path(folder).exists()


def test_one_process_needs_no_folder() -> None:
    with counting_together(1):
        assert FOLDER_VARIABLE not in os.environ
