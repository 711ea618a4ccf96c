"""The operator's page: last nights, what waits, refusals, speed, deliveries, cards, and how the scores lie."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from flask import Blueprint, Flask, Response, make_response, render_template, request

from cds.operations.figures import SPREAD_KEPT_S, Operations
from cds.operations.kept import Kept
from cds.operations.readiness import Lookout
from cds.scoring.stages import limiting
from cds.store.card_counts import OTHER_REASON, CardCounts
from cds.store.score_spread import FEWEST, ScoreSpread
from cds.store.tables import OutboxState, Run, Stage
from cds.web.monitors import Monitors
from hooks.cards import CardKind
from hooks.site import DEFAULT_OVERRIDE_REASONS

CARDS_OF = timedelta(days=90)
STAGES_OF = timedelta(days=7)
"""Long enough for a site with few exams, and short enough to show what a new archive or device made of it."""
STAGES = {
    Stage.FETCH: "finding the images in the archive and fetching them",
    Stage.PREPARE: "checking and decoding them",
    Stage.SCORE: "the network",
    Stage.STORE: "writing down what came of it",
}
KINDS = {
    CardKind.MRI_SUGGESTED: "MRI suggested",
    CardKind.OVER_WITHOUT_MRI: "over the threshold, no MRI suggested",
    CardKind.NOT_OVER: "not over the threshold",
    CardKind.NOT_SCORABLE: "exam cannot be scored",
    CardKind.UNDER_WAY: "scoring under way",
    CardKind.HELD: "exam held",
    CardKind.EXAMS_UNREAD: "exams could not be read",
    "": "of an older program",
}
REASONS = {reason.code: reason.display for reason in DEFAULT_OVERRIDE_REASONS} | {
    OTHER_REASON: "another reason",
    "": "no reason given",
}
"""As the form of a card puts them."""
MOST_UNITS = 6
"""Drawn, those with the most exams; the table has all."""
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STYLE_SHEET = Path(__file__).parent / "static" / "operations.css"
CHALLENGE = 'Basic realm="MammoTrend operations", charset="UTF-8"'


@dataclass(frozen=True)
class Drift:
    """The spread of one unit's scores: its months, newest first, and the drawing where it is among the largest."""

    device: str
    exams: int
    months: tuple[ScoreSpread, ...]
    drawing: str = ""


@dataclass(frozen=True)
class CardLine:
    """The cards of one kind, and which part of those that were shown was accepted and overridden."""

    kind: str
    counts: CardCounts

    @property
    def words(self) -> str:
        """What cards of this kind say."""
        return KINDS.get(self.kind, self.kind)

    @property
    def accepted(self) -> str:
        """How many, and of those shown which part."""
        return _part(self.counts.accepted, self.counts.shown)

    @property
    def overridden(self) -> str:
        """How many, and of those shown which part."""
        return _part(self.counts.overridden, self.counts.shown)

    @property
    def reasons(self) -> str:
        """Why they were overridden, the most frequent reason first."""
        told = self.counts.reasons.most_common()
        return "; ".join(f"{REASONS.get(reason, reason)}: {times}" for reason, times in told)


def register(app: Flask, operations: Operations, lookout: Lookout, monitors: Monitors) -> None:
    """The page at `/operations`, for `monitors` alone."""
    pages = Blueprint("operations", __name__, template_folder="templates")
    drift = Kept(partial(_drift, operations), SPREAD_KEPT_S)

    @pages.before_request
    def guard() -> Response | None:
        if monitors.may_look(request.headers.get("Authorization", "")):
            return None
        return Response(status=401, headers={"WWW-Authenticate": CHALLENGE})

    @pages.get("/operations")
    def page() -> Response:
        """How the service does, for whoever runs it."""
        answer = make_response(render_template("operations.html", **_shown(operations, lookout), drift=drift.get()))
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    @pages.get("/operations/operations.css")
    def style_sheet() -> Response:
        """What the page looks like."""
        return Response(STYLE_SHEET.read_text(encoding="utf-8"), mimetype="text/css")

    app.register_blueprint(pages)


def _shown(operations: Operations, lookout: Lookout) -> dict[str, object]:
    now, letters, under_way = operations.now(), operations.letters(), operations.run_under_way()
    stages = operations.stages((now - STAGES_OF).date())
    return {
        "now": now,
        "model": operations.model,
        "ready": lookout.look(),
        "alarms": [one for one in operations.drift() if one.is_alarm],
        "outside": lookout.outside(),
        "runs": [(run, _length(run, run.id == under_way)) for run in operations.runs()],
        "errands": operations.errands(),
        "waits": _since(operations.oldest_queued_at(), now),
        "refusals": sorted(operations.refusals().items(), key=lambda refusal: -refusal[1]),
        "stages": [(stage, STAGES[stage], spent) for stage, spent in stages.items() if spent.exams],
        "limiting": limiting(stages),
        "stages_of_days": STAGES_OF.days,
        "letters": sorted(letters.items()),
        "dead": sum(count for (_, state), count in letters.items() if state == OutboxState.DEAD),
        "cards": [CardLine(*line) for line in sorted(operations.cards(now - CARDS_OF).items())],
        "cards_of_days": CARDS_OF.days,
        "fewest": FEWEST,
    }


def _drift(operations: Operations) -> list[Drift]:
    """Every unit, those with the most exams first."""
    by_unit: defaultdict[str, list[ScoreSpread]] = defaultdict(list)
    spread = operations.spread()
    for one in spread:
        by_unit[one.device].append(one)
    units = sorted(by_unit.items(), key=lambda unit: -sum(one.exams for one in unit[1]))
    return [
        Drift(device, sum(one.exams for one in of_unit), tuple(reversed(of_unit)), _drawing(number, spread, of_unit))
        for number, (device, of_unit) in enumerate(units)
    ]


def _drawing(number: int, spread: list[ScoreSpread], of_unit: list[ScoreSpread]) -> str:
    """The drawing of a unit; none where others have more exams, or where it has too few in every month."""
    if number >= MOST_UNITS or all(one.median is None for one in of_unit):
        return ""
    # Only here: the library that draws is slow to load, and the hooks do not need it.
    from cds.pages.drift_plot import Scale, drift_svg

    return drift_svg(number, Scale.of(spread), of_unit)


def _length(run: Run, is_under_way: bool) -> str:
    if run.finished_at is None:
        return "not ended" if is_under_way else "ended without a word"
    return _in_words(run.finished_at - run.started_at)


def _since(moment: datetime | None, now: datetime) -> str:
    return "" if moment is None else _in_words(now - moment)


def _in_words(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h" if minutes < 2880 else f"{span.days} days"


def _part(some: int, whole: int) -> str:
    return f"{some} ({100 * some / whole:.0f} %)" if whole else str(some)
