"""The command line: `mammotrend demo | serve | worker | rescore | score`."""

from __future__ import annotations

import json
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from cds.errors import MammoTrendError, SettingsError
from cds.settings import Settings, read_settings

app = typer.Typer(
    help="Image-based 5-year breast cancer risk over a woman's mammograms, as a CDS Hooks service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Config = Annotated[
    Path | None, typer.Option("--config", envvar="MAMMOTREND_CONFIG", help="Settings file (TOML).", show_default=False)
]


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the table.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Keep the demo's files here.", show_default=False)] = None,
) -> None:
    """Run the main job on the embedded hospital, on loopback only."""
    from cds.demo.story import run_demo

    _logging("WARNING")
    with _plain_errors():
        # A log or a pipe has no width of its own; 120 columns keep the table readable there.
        console = Console(width=None if sys.stdout.isatty() else 120)
        run_demo(console, once=once, folder=folder)


@app.command()
def serve(config: Config = None) -> None:
    """Answer the EHR's hook calls."""
    import waitress

    from cds.services import web_services
    from cds.web.app import create_app

    _logging("INFO")
    with _plain_errors():
        settings = _settings(config)
        service = settings.service
        wsgi = create_app(web_services(settings))
        try:
            waitress.serve(wsgi, host=service.host, port=service.port, threads=service.threads, ident=None)
        except OSError as e:
            raise SettingsError(f"cannot listen on {service.host}:{service.port} ({e.strerror})") from e


@app.command()
def worker(config: Config = None) -> None:
    """Score queued exams, and look for new ones every night."""
    from cds.scheduler import schedule_night
    from cds.services import night, worker

    _logging("INFO")
    with _plain_errors():
        settings = _settings(config)
        scoring = worker(settings)
        scheduler = schedule_night(night(settings), settings.night)
        stop = _stop_on_signal()
        if scheduler:
            scheduler.start()
        try:
            scoring.run(stop)
        finally:
            if scheduler:
                scheduler.shutdown()


@app.command()
def rescore(config: Config = None) -> None:
    """Do the nightly run now: find the site's exams, score those without a score, print a summary."""
    from cds.rescore import rescore_site
    from cds.services import night, worker

    _logging("WARNING")
    with _plain_errors():
        settings = _settings(config)
        summary = rescore_site(night(settings), worker(settings), Console())
    if summary.problems:
        raise typer.Exit(1)


@app.command()
def score(
    files: Annotated[list[Path], typer.Argument(help="The DICOM files of one exam.", exists=True, dir_okay=False)],
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Without the gate: research only, refusals become warnings.")
    ] = True,
    config: Config = None,
) -> None:
    """Score one local exam and print JSON."""
    from cds.local_exam import score_files

    _logging("WARNING")
    with _plain_errors():
        result = score_files(files, read_settings(config).model, gate=gate)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if "refused" in result:
        raise typer.Exit(1)


def _settings(config: Path | None) -> Settings:
    settings = read_settings(config)
    if not settings.ehrs:
        raise SettingsError("no EHR is configured; name a settings file with [[ehrs]] by --config")
    return settings


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What we foresee ends in one line on standard error and status 2, not in a traceback."""
    try:
        yield
    except MammoTrendError as problem:
        sys.stderr.write(f"mammotrend: {problem}\n")
        raise typer.Exit(2) from None
    except SQLAlchemyError as fault:
        sys.stderr.write(f"mammotrend: the database failed ({type(fault).__name__})\n")
        raise typer.Exit(2) from None


def _stop_on_signal() -> Event:
    """Set by Ctrl-C or SIGTERM, so that the exam in hand is finished first."""
    stop = Event()

    def request_stop(_signal: int, _frame: Any) -> None:
        stop.set()

    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    return stop


def _logging(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("apscheduler", "dicomweb_client", "urllib3", "waitress"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # pydicom's warnings on odd values quote them, and a value may be a patient's name.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pydicom\b")


if __name__ == "__main__":
    app()
