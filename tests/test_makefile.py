"""`make`: whatever fails on a newcomer's machine, one plain sentence says so, and the next run works."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import CHECKOUT

# Stands for python3: makes a virtual environment whose own python is the next script.
PYTHON = """#!/bin/sh
case "$*" in
    *ensurepip*) [ ! -e no-venv ] || { echo "Traceback" >&2; exit 1; } ;;
    *version_info*) [ ! -e old ] ;;
    "-m venv "*) mkdir -p "$3/bin" && cp venv-python "$3/bin/python" && [ ! -e venv-fails ] ;;
esac
"""
# Stands for the environment's python: `pip` is all that is asked of it.
VENV_PYTHON = """#!/bin/sh
echo "$*" >>pip-calls
case "$*" in
    *--upgrade*) [ ! -e upgrade-fails ] ;;
    *--requirement*) [ ! -e install-fails ] ;;
    *--editable*) [ ! -e install-fails ] && printf '#!/bin/sh\\necho "the demo ran"\\n' >.venv/bin/mammotrend &&
        chmod +x .venv/bin/mammotrend ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The Makefile alone, on a machine whose Python fails on demand."""
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    (tmp_path / "tests").mkdir()
    for file in ("pyproject.toml", "constraints.txt", "tests/sekmet-requirements.txt"):
        (tmp_path / file).touch()
    for name, script in (("python", PYTHON), ("venv-python", VENV_PYTHON)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def make(checkout: Path, target: str = "demo") -> subprocess.CompletedProcess[str]:
    """Run a target there."""
    # Under `make test` these would have our make join the outer one's jobs.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", "PYTHON=./python", target]  # the make on the path is the one that runs these tests
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


def test_the_demo_is_installed_once_and_runs(checkout: Path) -> None:
    first, second = make(checkout), make(checkout)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "the demo ran" in first.stdout
    assert (checkout / "pip-calls").read_text().count("--editable") == 1


@pytest.mark.parametrize(
    ("target", "failure"),
    [
        *(("demo", failure) for failure in ("no-venv", "venv-fails", "upgrade-fails", "install-fails")),
        *((".venv-sekmet/installed", failure) for failure in ("no-venv", "venv-fails", "install-fails")),
    ],
)
def test_after_a_failure_the_next_run_works(checkout: Path, target: str, failure: str) -> None:
    (checkout / failure).touch()
    assert make(checkout, target).returncode == 2
    (checkout / failure).unlink()

    again = make(checkout, target)

    assert again.returncode == 0, again.stderr


def test_a_run_that_was_cut_off_before_its_end_is_begun_anew(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")

    assert make(checkout).returncode == 0


@pytest.mark.parametrize(
    ("lacking", "sentence"),
    [("no-venv", "Python's venv module is missing"), ("old", "Python 3.11 or newer is needed")],
)
def test_what_a_machine_lacks_is_said_in_one_sentence(checkout: Path, lacking: str, sentence: str) -> None:
    (checkout / lacking).touch()

    said = make(checkout)

    assert said.returncode == 2
    assert said.stdout.count("\n") == 1
    assert sentence in said.stdout
    assert "Traceback" not in said.stderr
    assert not (checkout / ".venv").exists()
