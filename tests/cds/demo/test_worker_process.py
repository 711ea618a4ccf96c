"""The demo's worker: on its own settings alone, and gone with the demo."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cds.demo.worker_process import worker_process
from tests.servers import CHECKOUT

DEMO = """
import sys
from pathlib import Path
from cds.demo.worker_process import worker_process
with worker_process(Path(sys.argv[1]), Path(sys.argv[2])) as worker:
    print(worker.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "mammotrend.toml"
    file.write_text(
        f'database_url = "sqlite:///{tmp_path / "site.sqlite"}"\n'
        '[[ehrs]]\nname = "main"\nfhir_server = "http://127.0.0.1:9/fhir"\n'
        '[[pacs]]\nname = "main"\ndicomweb_root = "http://127.0.0.1:9"\n[night]\ncron = ""\n'
    )
    return file


def is_running(pid: int) -> bool:
    """Whether a process is there and more than a name that nobody has asked after."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"  # dead, or dying (proc(5))


def wait_until_scoring(worker: subprocess.Popen[bytes], log: Path) -> None:
    """Until the worker has its model and takes exams."""
    for _ in range(600):
        assert worker.poll() is None, log.read_text()
        if b"scoring with" in log.read_bytes():
            return
        time.sleep(0.1)
    raise AssertionError("it never was ready")


def test_neither_a_sites_settings_nor_the_folder_where_the_demo_starts_reach_its_worker(
    settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMOTREND_MODEL", "/nonexistent")
    monkeypatch.setenv("mammotrend_night__cron", "never")
    (tmp_path / "hooks.py").write_text("raise SystemExit('not ours')\n")
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "worker.log"

    with worker_process(settings, log) as worker:
        wait_until_scoring(worker, log)

    assert worker.returncode == 0, log.read_text()


def test_the_worker_ends_although_the_demo_is_killed(settings: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DEMO, str(settings), str(tmp_path / "worker.log")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    demo = subprocess.Popen(command, cwd=CHECKOUT, **pipes)  # type: ignore[call-overload] # noqa: S603 # our own
    with demo:
        worker = int(demo.stdout.readline())
        assert is_running(worker)
        demo.kill()
        demo.wait(timeout=30)

    ends = time.monotonic() + 60
    while is_running(worker) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not is_running(worker)
