"""The command line: `mammotrend demo | serve | worker | rescore | score | model`."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.console import Console

from cds.command_line import Config, keep_files_private, plain_errors, set_up_logging
from cds.errors import SettingsError
from cds.model_commands import model_app
from cds.settings import Settings, read_settings

log = logging.getLogger("cds")

app = typer.Typer(
    help="Image-based 5-year breast cancer risk over a woman's mammograms, as a CDS Hooks service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.add_typer(model_app, name="model")


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the table.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the demo's files in this new folder.", show_default=False)
    ] = None,
) -> None:
    """Run the main job on the embedded hospital, on loopback only."""
    from cds.demo.story import run_demo

    keep_files_private()
    set_up_logging("WARNING")
    with plain_errors():
        # A log or a pipe has no width of its own; 120 columns keep the table readable there.
        console = Console(width=None if sys.stdout.isatty() else 120)
        run_demo(console, once=once, folder=folder)


@app.command()
def serve(config: Config = None) -> None:
    """Answer the EHR's hook calls."""
    import waitress

    from cds.services import web_services
    from cds.web.app import create_app

    keep_files_private()
    set_up_logging("INFO")
    with plain_errors():
        settings = _settings(config)
        service = settings.service
        wsgi = create_app(web_services(settings))
        try:
            server = waitress.create_server(
                wsgi, host=service.host, port=service.port, threads=service.threads, ident=None
            )
        except OSError as e:
            raise SettingsError(f"cannot listen on {service.host}:{service.port} ({e.strerror})") from e
        modes = ", ".join(f"{ehr.name} is {ehr.mode}" for ehr in settings.ehrs)
        log.info("listening on %s, port %d; %s", service.host, _port(server), modes)
        server.run()


def _port(server: Any) -> int:
    """The port that was taken; a host name of several addresses has a socket for each."""
    listening = getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    return int(listening[0][1])


@app.command()
def worker(config: Config = None) -> None:
    """Score queued exams, and look for new ones every night."""
    from cds.scheduler import schedule_night
    from cds.services import night, worker

    keep_files_private()
    set_up_logging("INFO")
    with plain_errors():
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
    """Do the nightly run now: find the site's exams, try all that have no score, say why any is held.

    Exit status 1: an exam is still queued, or something could not be looked at.
    """
    from cds.rescore import rescore_site
    from cds.services import night, worker

    keep_files_private()
    set_up_logging("WARNING")
    with plain_errors():
        settings = _settings(config)
        summary = rescore_site(night(settings), worker(settings), Console())
    if summary.problems or summary.pending:
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

    set_up_logging("WARNING")
    with plain_errors():
        result = score_files(files, read_settings(config).model_folder, gate=gate)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if "refused" in result:
        raise typer.Exit(1)


def _settings(config: Path | None) -> Settings:
    settings = read_settings(config)
    if not settings.ehrs:
        raise SettingsError("no EHR is configured; name a settings file with [[ehrs]] by --config")
    return settings


def _stop_on_signal() -> Event:
    """Set by Ctrl-C or SIGTERM, so that the exam in hand is finished first."""
    stop = Event()

    def request_stop(_signal: int, _frame: Any) -> None:
        stop.set()

    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    return stop


if __name__ == "__main__":
    app()
