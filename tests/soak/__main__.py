"""`python -m tests.soak --seconds 600`: the soak for as long as one likes, with its table; status 1 for any problem."""

from __future__ import annotations

import argparse
import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from tests.postgresql import postgresql
from tests.servers import temporary_folder
from tests.soak.soak import admitted, soak
from tests.soak.table import print_table


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    asked = parser.parse_args()
    logging.getLogger("waitress").setLevel(logging.ERROR)  # what it says of answers that are cut short on purpose
    with ExitStack() as opened:
        folder = opened.enter_context(temporary_folder())
        ward, url = admitted(folder / "images", asked.seed), _database_url(asked.database, folder, opened)
        soaked = soak(ward, folder, url, asked.seconds, asked.seed)
    print_table(soaked, Console(width=120))
    return 0 if not soaked.problems and soaked.memory.is_flat else 1


def _database_url(kind: str, folder: Path, opened: ExitStack) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder / 'site.sqlite'}"
    return opened.enter_context(postgresql()).new_database()


if __name__ == "__main__":
    sys.exit(main())
