"""The commands `mammotrend study ...`: the site's own evidence, from its store or from a file, into a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.progress import track

from cds.commands.command_line import Config, console, plain_errors, set_up_logging
from cds.errors import StudyNotPossible
from cds.settings import Settings, read_settings
from cds.study.telling.small_cells import FEWEST
from model.calibration_file import read_calibration, write_calibration
from model.card import read_card
from model.errors import CalibrationRefused

if TYPE_CHECKING:
    # What they import belongs to the extra `study`, which no other command needs.
    from cds.store.refusal_rates import MonthOfRefusals
    from cds.study.cohorts.cohort import Cohort
    from cds.study.progress import Track
    from cds.study.telling.report import Report

LIBRARIES = ("pandas", "pyarrow", "ruptures", "sklearn", "statsmodels", "torchsurv")
"""Those of the extra `study`, as they are imported."""
ADD_LIBRARIES = ".venv/bin/pip install -c constraints.txt -e '.[study]'"
One = TypeVar("One")
Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day of the period, both with it.", show_default=False)
]

study_app = typer.Typer(
    help="Study the site's own scores: from its store and a file of outcomes, or from one file.", no_args_is_help=True
)


class ScoresIn(StrEnum):
    """What the scores of a file are written in."""

    PERCENT = "percent"
    FRACTION = "fraction"


@dataclass(frozen=True)
class Asked:
    """What is to be studied, and where its report goes."""

    cohort: Path | None
    outcomes: Path | None
    scores_in: ScoresIn | None
    output: Path
    fewest: int
    config: Path | None

    @property
    def files(self) -> list[Path]:
        """What it is read from."""
        return [file for file in (self.cohort, self.outcomes) if file is not None]

    @property
    def source(self) -> str:
        """The same in words."""
        if self.cohort is not None:
            return f"the file {self.cohort.name!r}"
        return "the site's store" + (f" and the file {self.outcomes.name!r}" if self.outcomes else "")

    def read(self, *, needs_outcomes: bool) -> Cohort:
        """The cohort of the file, or of the store with the outcomes; raises StudyNotPossible."""
        from cds.study.cohorts.reading import read_cohort
        from cds.study.cohorts.stored import read_stored_cohort

        if self.cohort is not None and self.outcomes is not None:
            raise StudyNotPossible(
                "--cohort is studied without the store, and --outcomes goes with the store: name one of them"
            )
        if self.cohort is not None:
            return read_cohort(self.cohort, self.scores_in)
        if self.outcomes is None and needs_outcomes:
            raise StudyNotPossible(
                "this study asks what became of the women: name a file of exams by --cohort, or one of the outcomes "
                "of the store's women by --outcomes"
            )
        return read_stored_cohort(self.config, self.outcomes)


@study_app.callback()
def what_is_studied(
    ctx: typer.Context,
    cohort: Annotated[
        Path | None, typer.Option(help="CSV or Parquet with a row an exam, instead of the store.", show_default=False)
    ] = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(help="With the store: CSV or Parquet with a row a woman, what became of her.", show_default=False),
    ] = None,
    scores_in: Annotated[
        ScoresIn | None, typer.Option(help="What the scores of --cohort are in, where it is not plain.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for report.html, summary.json and the tables as CSV.")] = Path(
        "mammotrend-study"
    ),
    fewest: Annotated[int, typer.Option(min=1, help="The least count of women or exams that is told.")] = FEWEST,
    config: Config = None,
) -> None:
    """What every study begins with."""
    set_up_logging("WARNING")
    with plain_errors():
        if any(find_spec(name) is None for name in LIBRARIES):
            raise StudyNotPossible(f"studies need more libraries: in the checkout, {ADD_LIBRARIES}")
    ctx.obj = Asked(cohort, outcomes, scores_in, output, fewest, config)


@study_app.command("simulate")
def simulate(
    file: Annotated[Path, typer.Argument(help="CSV to write, to be studied by --cohort.")],
    women: Annotated[int, typer.Option(min=1)] = 54_014,
    cancers: Annotated[int, typer.Option(min=0)] = 817,
    exams: Annotated[int, typer.Option(min=1)] = 158_807,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same women.")] = 1,
) -> None:
    """Write a cohort that nobody is in, of the size and shape of the published one, to try the studies on."""
    from cds.study.cohorts.simulated import simulated_cohort, write_simulated

    with plain_errors():
        if file.exists():
            raise StudyNotPossible(f"{file.name!r} is there already, and may be of women who are: name another file")
        try:
            write_simulated(simulated_cohort(seed, women, cancers, exams), file)
        except OSError as e:
            raise StudyNotPossible(f"{file.name!r} cannot be written ({type(e).__name__})") from e


@study_app.command("trajectories")
def trajectories(ctx: typer.Context) -> None:
    """Repeat the published analysis: scores by year before the last exam, and their slopes, in both groups."""
    from cds.study.trajectories import trajectories_report

    _study(ctx, trajectories_report)


@study_app.command("impact")
def impact(
    ctx: typer.Context,
    capacity: Annotated[float, typer.Option(help="Places for breast MRI a week.")],
    threshold: Annotated[
        float | None, typer.Option(min=0.1, max=99.9, help="In per cent, instead of the site's.", show_default=False)
    ] = None,
    percentile: Annotated[
        float, typer.Option(help="Compare with flagging what is over this one of the scores.")
    ] = 97.0,
    minimum_change: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=99.9, help="Least rise, in percentage points, instead of the site's.", show_default=False
        ),
    ] = None,
    since: Day = None,
    until: Day = None,
    follow_up: Annotated[float, typer.Option(help="Years after the exam in which a cancer counts.")] = 1.0,
) -> None:
    """Foresee who would be flagged by which policy, and how many MRI a week that is, before going live."""
    from cds.services import mri_policy
    from cds.settings import read_settings
    from cds.study.impact import Foreseen, impact_report

    asked: Asked = ctx.obj
    told = {"threshold_percent": threshold, "minimum_detectable_change_points": minimum_change}
    with plain_errors():
        settings = read_settings(asked.config)
        own = settings.policy.model_copy(update={name: value for name, value in told.items() if value is not None})
        policy = mri_policy(settings.model_copy(update={"policy": own}))
        foreseen = Foreseen(capacity, policy, percentile, since and since.date(), until and until.date(), follow_up)
    _study(ctx, partial(impact_report, asked=foreseen), needs_outcomes=False)


@study_app.command("repeatability")
def repeatability(
    ctx: typer.Context,
    within_days: Annotated[int, typer.Option(min=0, max=366, help="How far apart two exams are repeats.")] = 92,
) -> None:
    """Measure how far two scores of one woman differ by chance, and write it as a setting."""
    from cds.study.repeatability import repeatability_report

    _study(ctx, partial(repeatability_report, within_days=within_days), needs_outcomes=False)


@study_app.command("drift")
def drift(ctx: typer.Context) -> None:
    """Look for changes of the scores and of the refused exams, month by month and unit by unit."""
    from cds.study.drift import drift_report

    with plain_errors():
        refusals = _refusals(ctx.obj)
    _study(ctx, partial(drift_report, refusals=refusals), needs_outcomes=False)


def _refusals(asked: Asked) -> list[MonthOfRefusals]:
    """Those of the store; a file of exams has none."""
    from cds.services import usable_card
    from cds.settings import read_settings
    from cds.store.database import open_database
    from cds.store.refusal_rates import refusals_by_month

    if asked.cohort is not None:
        return []
    settings = read_settings(asked.config)
    engine = open_database(settings.database_url, must_exist=True)
    return refusals_by_month(engine, usable_card(settings).version.key, date.min)


@study_app.command("discrimination")
def discrimination(
    ctx: typer.Context,
    samples: Annotated[int, typer.Option(min=100, help="How many resamples the intervals are of.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the resamples and the folds: the same gives the same report.")] = 1,
) -> None:
    """How well the latest score, its change and both tell apart who is diagnosed, and what the threshold gains."""
    from cds.services import mri_policy
    from cds.study.discrimination import discrimination_report

    with plain_errors():
        policy = mri_policy(read_settings(ctx.obj.config))
    _study(ctx, partial(discrimination_report, policy=policy, samples=samples, seed=seed))


@study_app.command("calibrate")
def calibrate(
    ctx: typer.Context,
    write: Annotated[Path | None, typer.Option(help="Write the calibrator to this file.", show_default=False)] = None,
    name: Annotated[str, typer.Option(help="The calibration's name in charts; its year at best.")] = "site",
    by: Annotated[str, typer.Option(help="Who fitted it, for the file.")] = "",
    for_model: Annotated[
        Path | None, typer.Option(help="The model that made the scores of --cohort.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the folds: the same gives the same calibrator.")] = 1,
) -> None:
    """Whether the predicted risks came true; with --write, a calibrator for the setting scoring.calibration."""
    from cds.study.calibration import study_calibration

    asked: Asked = ctx.obj
    with plain_errors():
        _keep_other_file(write)
        cohort = _ready(asked, needs_outcomes=True)
        model = "" if write is None else model_of_scores(read_settings(asked.config), cohort.model, for_model)
        found = study_calibration(cohort, asked.fewest, seed=seed)
        # First the report, which says why, where no calibrator can be written.
        _tell(ctx, found.report, cohort)
        if write is not None:
            write_calibration(found.for_model(name, model, by, _today()), write)


def _keep_other_file(write: Path | None) -> None:
    """Raise StudyNotPossible where a file would be replaced that is no calibration."""
    if write is None or not write.exists():
        return
    try:
        read_calibration(write)
    except CalibrationRefused:
        raise StudyNotPossible(
            f"{write.name!r} is there already and is no calibration that can be read: name another file by --write"
        ) from None


def model_of_scores(settings: Settings, said: str | None, for_model: Path | None) -> str:
    """The key of the model, with its own calibration, that made the scores of a cohort; raises StudyNotPossible.

    `said` is what the cohort says of it.
    """
    if said is None and for_model is None:
        raise StudyNotPossible("--cohort does not say which model made its scores: name it by --for-model")
    key = read_card(settings.with_model(for_model or settings.model).model_folder).version.key
    if said not in (None, key):
        raise StudyNotPossible(
            f"the scores are of the model version {said!r}, and a calibrator would be for {key!r}: name the right "
            "model by --for-model; where the settings have a calibration already, leave it out of those of the study"
        )
    return key


def _study(ctx: typer.Context, make: Callable[[Cohort, int, Track], Report], *, needs_outcomes: bool = True) -> None:
    """Read the cohort, make its report, hiding counts of fewer than the second argument, and say where it is."""
    asked: Asked = ctx.obj
    with plain_errors():
        cohort = _ready(asked, needs_outcomes=needs_outcomes)
        _tell(ctx, make(cohort, asked.fewest, _track), cohort)


def _ready(asked: Asked, *, needs_outcomes: bool) -> Cohort:
    """The cohort, where there is a place for its report."""
    from cds.study.cohorts.assembling import up_to_today
    from cds.study.telling.report import ready_folder

    cohort = up_to_today(asked.read(needs_outcomes=needs_outcomes), _today())
    ready_folder(asked.output, asked.files)
    return cohort


def _tell(ctx: typer.Context, report: Report, cohort: Cohort) -> None:
    """Write the report and print its sentences."""
    from cds.study.telling.report import write_report
    from cds.study.telling.summaries import Origin

    asked: Asked = ctx.obj
    origin = Origin(str(ctx.info_name), cohort.model, _today(), asked.source, cohort.is_simulated)
    page = write_report(report, asked.output, asked.fewest, origin, asked.files)
    for sentence in report.sentences:
        console().print(sentence, markup=False, highlight=False, soft_wrap=True)
    console().print(f"The report: {page}", markup=False, highlight=False, soft_wrap=True)


def _today() -> date:
    return datetime.now(UTC).date()


def _track(steps: Sequence[One], words: str, /) -> Iterable[One]:
    return track(steps, words, console=console())
