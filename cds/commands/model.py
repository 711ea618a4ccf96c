"""The commands `mammotrend model import | list | card | attributes | verify`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table
from rich.text import Text

from cds.attribute_sheet import NOT_AVAILABLE, AttributeSheet, as_json, attribute_sheet
from cds.commands.command_line import Config, console, plain_errors, set_up_logging
from cds.errors import MammoTrendError
from cds.settings import Settings, read_settings
from model.calibration_file import calibrated_by
from model.card import CARD_NAME, read_card
from model.domain import YEARS
from model.installed import installed_models
from model.precision import Precision

EXPECTED_WITHIN = 0.0005
"""Published risks are printed with four decimals; another decoder or resampling differs by more than this."""

model_app = typer.Typer(
    help="Import the published Mirai, and see and verify the installed models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Name = Annotated[Path, typer.Argument(metavar="NAME", help="An installed model's name, or a model's folder.")]


@model_app.command("import")
def import_model(
    snapshots: Annotated[
        Path, typer.Argument(metavar="SNAPSHOTS", help="snapshots.zip of Mirai v0.8.0, or its folder.", exists=True)
    ],
    into: Annotated[
        Path | None, typer.Option(help="The new model's folder; otherwise in the models folder.", show_default=False)
    ] = None,
    accept_checksum: Annotated[
        bool, typer.Option("--accept-checksum", help="Take unknown files too; such a model is never clinical.")
    ] = False,
    config: Config = None,
) -> None:
    """Convert the published release to a model of this service. Nothing in its files is run."""
    from model.release.mirai import import_release

    set_up_logging("WARNING")
    with plain_errors():
        models_folder = read_settings(config).models_folder
        card, folder = import_release(snapshots, models_folder, into=into, accept_checksum=accept_checksum)
    _say(f"{card.name} is installed in {folder}" + (f". {card.banner}" if card.banner else ""))
    _say(f'To use it, set model = "{folder if into else card.name}" and run: mammotrend model verify {folder}')


@model_app.command("list")
def list_models(config: Config = None) -> None:
    """List the installed models; a star marks the one that the settings name."""
    with plain_errors():
        settings = read_settings(config)
        for found in installed_models(settings.models_folder):
            star = "*" if found.folder == settings.model_folder else " "
            said = _summary(found.card) if found.card else f"cannot be used: {found.problem}"
            _say(f"{star} {found.name}  {said}")


def _summary(card: Any) -> str:
    return f"{'clinical' if card.clinical else 'not clinical'}, weights {card.weights_sha256[:12]}"


class NoSuchModel(MammoTrendError):
    """The name given to a command about a model is neither an installed one's nor a model's folder."""


def _with_model(settings: Settings, name: Path) -> Settings:
    chosen = settings.with_model(name)
    if not (chosen.model_folder / CARD_NAME).is_file():
        raise NoSuchModel(
            f"{str(name)!r} is neither an installed model nor a model's folder: see `mammotrend model list`"
        )
    return chosen


@model_app.command("card")
def show_card(name: Name, config: Config = None) -> None:
    """Print a model's card as JSON; that of the site's model with its own calibration."""
    with plain_errors():
        settings = _with_model(read_settings(config), name)
        card = calibrated_by(read_card(settings.model_folder), settings.scoring.calibration)
    _say(json.dumps(asdict(card), indent=2))


@model_app.command("attributes")
def show_attributes(
    name: Annotated[Path | None, typer.Argument(metavar="[NAME]", help="Another model than the site's.")] = None,
    as_object: Annotated[bool, typer.Option("--json", help="As JSON, for a program.")] = False,
    config: Config = None,
) -> None:
    """Show the 31 source attributes of 45 CFR 170.315(b)(11)(iv)(B), and what this site's studies say of them."""
    with plain_errors():
        settings = read_settings(config)
        settings = _with_model(settings, name) if name else settings
        card = calibrated_by(read_card(settings.model_folder), settings.scoring.calibration)
        sheet = attribute_sheet(settings.model_folder, card, settings.operations.studies_folder)
    if as_object:
        _say(json.dumps(as_json(sheet), indent=2))
        return
    console().print(_attribute_table(sheet), markup=False)
    if sheet.banner:
        _say(sheet.banner)
    for words in filter(None, (*sheet.unused, sheet.problem)):
        _say(f"Not used: {words}")


def _attribute_table(sheet: AttributeSheet) -> Table:
    # Sources are paths and addresses, which are of use only whole.
    columns = ("Attribute", "What is told", Column("Source", overflow="fold"))
    table = Table(*columns, title=sheet.version, show_lines=True)
    for row in sheet.rows():
        told = [row.told.text] if row.told else []
        table.add_row(
            Text(f"{row.attribute.paragraph} {row.attribute.title}"),
            Text("\n".join([*told, *row.local]) or NOT_AVAILABLE),
            Text(row.told.source if row.told else ""),
        )
    return table


@model_app.command("verify")
def verify(
    name: Name,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILES]...", help="More files of the exam.", exists=True)
    ] = None,
    exam: Annotated[
        list[Path] | None, typer.Option(help="The DICOM files of one exam, or their folder.", exists=True)
    ] = None,
    expect: Annotated[
        str | None, typer.Option(help="Its five known risks as fractions, with commas.", show_default=False)
    ] = None,
    golden: Annotated[
        bool, typer.Option("--golden", help="Score the built-in exam; the default without --exam.")
    ] = False,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Without the gate: research only.")] = True,
    precision: Annotated[
        Precision | None, typer.Option(help="Check how far this precision moves the risks, and record it.")
    ] = None,
    config: Config = None,
) -> None:
    """Check a model's files and its risks on this machine.

    Ends with status 1 where an expected risk is not met, or a precision is not accurate enough for this model.
    """
    set_up_logging("WARNING")
    images = [*(exam or []), *(files or [])]
    with plain_errors():
        settings = _with_model(read_settings(config), name)
        folder, device = settings.model_folder, settings.scoring.device
        expected = _expected(expect, images)
        if golden or not (images or precision):
            _verify_golden(folder, device)
        if precision and not _verify_precision(settings, precision):
            raise typer.Exit(1)
        if images and not _verify_exam(folder, images, expected, gate=gate, device=device):
            raise typer.Exit(1)


class ExpectedRisksNotUsable(MammoTrendError):
    """`--expect` is not five fractions, or does not come with an exam."""


def _expected(text: str | None, images: Sequence[Path]) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        risks = tuple(float(part) for part in text.split(","))
    except ValueError:
        risks = ()
    if len(risks) != len(YEARS) or not all(0 <= risk <= 1 for risk in risks):
        raise ExpectedRisksNotUsable(
            f"--expect takes {len(YEARS)} fractions, such as 0.0298,0.0483,0.0684,0.0900,0.1016"
        )
    if not images:
        raise ExpectedRisksNotUsable("--expect needs the files of the exam, by --exam")
    return risks


def _verify_golden(folder: Path, device: str) -> None:
    from model.scorer import Scorer
    from model.self_check import TOLERANCE, check

    scorer = Scorer(folder, device or None)
    difference = check(scorer)
    _say(f"self-check passed on {scorer.processor}: largest difference {difference:.1e}, {TOLERANCE:.0e} is allowed")


def _verify_precision(settings: Settings, precision: Precision) -> bool:
    from model.accuracy import check_accuracy
    from model.accuracy_records import LARGEST_SHIFT
    from model.processor import processor

    if precision is Precision.FLOAT32:
        _say("float32 is what the others are compared with; there is nothing to check")
        return True
    scoring = settings.scoring
    place = processor(scoring.device or None, precision)
    if precision is Precision.TF32 and place.device.type == "cpu":
        _say("TF32 changes nothing on a CPU: torch computes in float32 there")
    folder, models, at = settings.model_folder, settings.models_folder, datetime.now(UTC)
    record = check_accuracy(folder, place, models, at=at, calibration=scoring.calibration)
    word = "passed" if record.passed else "failed"
    found = f"largest difference from float32 {100 * record.largest_difference:.4f} percentage points"
    _say(f"accuracy check {word} on {place}: {found}, {100 * LARGEST_SHIFT:.2f} is allowed")
    return record.passed


def _verify_exam(
    folder: Path, images: list[Path], expected: tuple[float, ...] | None, *, gate: bool, device: str
) -> bool:
    from cds.local_exam import score_files
    from model.scorer import Scorer

    # By the model's own calibration, which the known risks are of, whatever the site's is.
    result = score_files(_files(images), Scorer(folder, device or None), gate=gate)
    if "refused" in result:
        for reason in result["refused"]:
            _say(f"refused ({reason['reason']}): {reason['sentence']}")
        return False
    risks = tuple(result["risk_calibrated"].values())
    for year, risk in zip(YEARS, risks, strict=True):
        _say(f"year {year}: {risk:.5f}" + (f", expected {expected[year - 1]:.5f}" if expected else ""))
    if expected is None:
        return True
    difference = max(abs(risk - known) for risk, known in zip(risks, expected, strict=True))
    _say(f"largest difference {difference:.5f}, {EXPECTED_WITHIN} is allowed")
    return bool(difference <= EXPECTED_WITHIN)


def _files(images: list[Path]) -> list[Path]:
    """The files themselves; a folder stands for the files in it."""
    return [file for path in images for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file()]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
