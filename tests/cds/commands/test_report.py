"""`mammotrend report cards`: what is counted, and as what."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds.cli import app
from cds.store.card_counts import count_cards
from cds.store.cards import CardRecords
from cds.store.database import open_database
from cds.store.tables import Feedback, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from tests.cds.builders import EHR, NOW, PATIENT

pytestmark = pytest.mark.usefixtures("logging_as_found")


def with_cards(url: str) -> CardRecords:
    """Three cards of one kind, of which one is accepted and two are overridden, and one that was withheld."""
    records = CardRecords(open_database(url))
    values: dict[str, Any] = {
        "ehr": EHR,
        "patient_id": PATIENT,
        "service": "s",
        "summary": "x",
        "indicator": "info",
        "made_at": NOW,
    }
    cards = [ShownCard(uuid=f"c{number}", kind="mri-suggested", **values) for number in range(3)]
    withheld = ShownCard(uuid="c3", kind="mri-suggested", withheld="silent", **values)
    records.save([*cards, withheld], AccessEvent(Action.ANSWERED, NOW, EHR, PATIENT))
    told = [("c0", "accepted", None), ("c1", "overridden", "patient-declined"), ("c2", "overridden", None)]
    given = [
        Feedback(card=card, outcome=outcome, outcome_at="x", override_reason=reason, received_at=NOW)
        for card, outcome, reason in told
    ]
    records.save_feedback(given, EHR, WebCall("feedback"))
    records.save_feedback(given, EHR, WebCall("feedback"))
    return records


def test_cards_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    with_cards(url)

    count = count_cards(open_database(url))["mri-suggested"]

    assert (count.shown, count.accepted, count.overridden) == (3, 1, 2)
    assert dict(count.reasons) == {"patient-declined": 1, "": 1}
    assert dict(count.withheld) == {"silent": 1}
    assert count_cards(open_database(url), NOW + timedelta(seconds=1)) == {}


def test_a_card_that_is_reported_again_counts_once_and_a_reason_that_was_not_offered_has_no_name(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    records = with_cards(url)
    for moment, reason in enumerate(["patient-declined", "Jane Doe wants none", "decide-later"]):
        for card, outcome in (("c0", "accepted"), ("c1", "overridden")):
            values: dict[str, Any] = {"outcome_at": str(moment), "override_reason": reason, "received_at": NOW}
            records.save_feedback([Feedback(card=card, outcome=outcome, **values)], EHR, WebCall("feedback"))

    count = count_cards(open_database(url))["mri-suggested"]

    assert (count.shown, count.accepted, count.overridden) == (3, 1, 2)
    assert dict(count.reasons) == {"patient-declined": 1, "other": 1, "decide-later": 1, "": 1}


def test_the_report_names_rates_and_reasons(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    with_cards(url)
    file = tmp_path / "mammotrend.toml"
    file.write_text(f'database_url = "{url}"\n')

    result = CliRunner().invoke(app, ["report", "cards", "--config", str(file)])

    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "mri-suggested" in said
    assert "1 (33%)" in said
    assert "patient-declined 1" in said


def test_a_site_without_cards_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "mammotrend.toml"
    file.write_text(f'database_url = "sqlite:///{tmp_path / "site.sqlite"}"\n')
    result = CliRunner().invoke(app, ["report", "cards", "--since", "2026-01-01", "--config", str(file)])
    assert (result.exit_code, result.stdout) == (0, "no card yet\n")
