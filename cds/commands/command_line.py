"""What every command of the command line shares: its settings file, plain errors, and quiet logs."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from cds.errors import ClusterUnreachable, DatabaseUnreachable, MammoTrendError
from cds.store.database_faults import may_pass
from model.errors import DeviceFault, ModelError

Config = Annotated[
    Path | None, typer.Option("--config", envvar="MAMMOTREND_CONFIG", help="Settings file (TOML).", show_default=False)
]

TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: whoever starts the processes may start this one again; after 2 somebody must look."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """What we foresee ends in one line on standard error and status 2, or 75 where it may pass, not in a traceback."""
    try:
        yield
    except (MammoTrendError, ModelError) as problem:
        sys.stderr.write(f"mammotrend: {problem}\n")
        raise typer.Exit(TRY_AGAIN if isinstance(problem, DatabaseUnreachable | ClusterUnreachable) else 2) from None
    except DeviceFault as fault:
        sys.stderr.write(f"mammotrend: {fault}\n")
        raise typer.Exit(TRY_AGAIN) from None
    except SQLAlchemyError as fault:
        sys.stderr.write(f"mammotrend: the database failed ({type(fault).__name__})\n")
        raise typer.Exit(TRY_AGAIN if may_pass(fault) else 2) from None


def console() -> Console:
    """Where tables are printed: a log or a pipe has no width of its own, and 120 columns keep them readable there."""
    return Console(width=None if sys.stdout.isatty() else 120)


def keep_files_private() -> None:
    """Files that this process makes, the database above all, are for its own user alone."""
    os.umask(0o077)


def set_up_logging(level: str) -> None:
    """Log to standard error from this level on, without patients' values."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("alembic", "apscheduler", "dicomweb_client", "waitress"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Their warnings quote the whole address, and with it study UIDs and patient ids; our own errors say what failed.
    for telling in ("urllib3", "retrying"):
        logging.getLogger(telling).setLevel(logging.CRITICAL)
    # It logs a traceback for each connection that a restarted database has ended; whoever asked is told in a line.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    # Their warnings on odd values quote them, and a value may be a patient's name; highdicom names images even at work.
    for quoting in ("highdicom", "pydicom"):
        logging.getLogger(quoting).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=rf"{quoting}\b")
