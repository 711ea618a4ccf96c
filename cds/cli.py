"""The command line, `mammotrend`: demonstration, processes, lists, and what an administrator does."""

from __future__ import annotations

import json
import logging
import signal
import sys
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer

from cds.commands.audit import audit_app
from cds.commands.check import check
from cds.commands.command_line import Config, console, keep_files_private, plain_errors, set_up_logging
from cds.commands.model import model_app
from cds.commands.report import report_app
from cds.commands.store import db_app, list_runs, outbox_app
from cds.commands.study import study_app
from cds.errors import SettingsError
from cds.listing import Form, write
from cds.operations.log_lines import write_log_as
from cds.operations.safety import refuse_unsafe
from cds.settings import Settings, read_settings

log = logging.getLogger("cds")

app = typer.Typer(
    help="Image-based 5-year breast cancer risk over a woman's mammograms, as a CDS Hooks service.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.add_typer(model_app, name="model")
app.add_typer(db_app, name="db")
app.add_typer(outbox_app, name="outbox")
app.add_typer(audit_app, name="audit")
app.add_typer(report_app, name="report")
app.add_typer(study_app, name="study")
app.command("runs")(list_runs)
app.command("check")(check)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"mammotrend {version('mammotrend')}\n")
        raise typer.Exit


@app.callback()
def every_command(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    """What comes before every command."""
    keep_files_private()


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the table.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the demo's files in this new folder.", show_default=False)
    ] = None,
) -> None:
    """Run the main job on the embedded hospital, on loopback only."""
    from cds.demo.story import run_demo

    set_up_logging("WARNING")
    with plain_errors():
        run_demo(console(), once=once, folder=folder)


@app.command()
def serve(config: Config = None) -> None:
    """Answer the EHR's hook calls."""
    from cds.shared_counting import counting_together

    set_up_logging("INFO")
    with plain_errors():
        settings = _settings(config)
        write_log_as(settings.operations.log_format)
        with counting_together(settings.service.processes):
            # Only now: what counts looks for its folder when it is imported.
            from cds.serving import serve_site

            serve_site(settings, _stop_on_signal())


@app.command()
def worker(config: Config = None) -> None:
    """Score queued exams, write what is concluded, and look for new exams every night."""
    from cds.worker_services import worker_services

    set_up_logging("INFO")
    with plain_errors():
        settings = _settings(config)
        write_log_as(settings.operations.log_format)
        worker_services(settings).run(_stop_on_signal())


@app.command()
def rescore(
    model: Annotated[
        Path | None,
        typer.Option(
            help="Score with this installed model; another than the site's writes nothing.", show_default=False
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(help="Only exams of this day and later.", formats=["%Y-%m-%d"], show_default=False),
    ] = None,
    patient: Annotated[str | None, typer.Option(help="Only this patient, by her FHIR id.", show_default=False)] = None,
    config: Config = None,
) -> None:
    """Do the nightly run now: find the site's exams, try all that have no score, say why any is held.

    With another model than the site's only what is known is scored, and the site's own nights go on meanwhile.

    It can be ended and begun again at any time. Exit status 1: an exam is held, or something could not be looked at.
    """
    from cds.nightly.rescore import SiteRun, refuse_unknown
    from cds.store.store import Selection
    from cds.worker_services import worker_services

    set_up_logging("WARNING" if sys.stdout.isatty() else "INFO")
    with plain_errors():
        settings = _settings(config)
        chosen = settings.with_model(model) if model else settings
        parts = worker_services(chosen, writes=chosen.model_folder == settings.model_folder)
        selection = Selection(patient, since.date() if since else None)
        run = SiteRun(parts.night, parts.pipeline, parts.clerk, console())
        summary = run.run(_stop_on_signal(), selection)
        if patient is not None:
            refuse_unknown(parts.night, [ehr.name for ehr in settings.ehrs], patient)
    if summary.problems or summary.failed:
        raise typer.Exit(1)


@app.command()
def worklist(
    form: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.TABLE,
    newly_over: Annotated[bool, typer.Option("--newly-over", help="Only those over it for the first time.")] = False,
    rising: Annotated[bool, typer.Option("--rising", help="Only those whose score rose measurably.")] = False,
    config: Config = None,
) -> None:
    """List who is over the threshold and without a breast MRI suggestion acted on, highest score first."""
    from cds.services import mri_policy, usable_card
    from cds.store.assessments import AssessmentRecords
    from cds.store.cards import CardRecords
    from cds.store.database import open_database
    from cds.worklist import Entry, as_table
    from cds.worklist import worklist as listed

    set_up_logging("WARNING")
    with plain_errors():
        settings = read_settings(config)
        engine = open_database(settings.database_url, must_exist=True)
        policy, model = mri_policy(settings), usable_card(settings).version.key
        entries = listed(AssessmentRecords(engine), CardRecords(engine), model, policy.is_crossed_by)
    wanted = [one for one in entries if (one.newly_over or not newly_over) and (one.rising or not rising)]
    write(wanted, Entry, form, sys.stdout, partial(as_table, policy=policy))


@app.command()
def score(
    files: Annotated[list[Path], typer.Argument(help="The DICOM files of one exam.", exists=True, dir_okay=False)],
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Without the gate: research only, refusals become warnings.")
    ] = True,
    config: Config = None,
) -> None:
    """Score one local exam as the worker would, but always in float32, and print JSON."""
    from cds.local_exam import score_files
    from cds.scoring.site_scorer import site_scorer
    from model.precision import Precision

    set_up_logging("WARNING")
    with plain_errors():
        # A faster precision saves nothing for one exam.
        scorer = site_scorer(read_settings(config), Precision.FLOAT32)
        result = score_files(files, scorer, gate=gate)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    if "refused" in result:
        raise typer.Exit(1)


def _settings(config: Path | None) -> Settings:
    settings = read_settings(config)
    if not settings.ehrs:
        raise SettingsError("no EHR is configured; name a settings file with [[ehrs]] by --config")
    refuse_unsafe(settings)
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
