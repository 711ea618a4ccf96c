"""`mammotrend report cards` and `report unscored`: what is counted or listed, and as what."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cds.cli import app
from cds.services import usable_card
from cds.settings import Settings
from cds.store.card_counts import count_cards
from cds.store.cards import CardRecords
from cds.store.database import open_database
from cds.store.store import Store
from cds.store.tables import Feedback, ShownCard
from fhir_mappings.access_events import AccessEvent, Action, WebCall
from tests.cds.builders import EHR, NOW, PATIENT, new_exam, refused

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


def run(command: list[str], url: str) -> str:
    """What a command prints about this database."""
    result = CliRunner().invoke(app, command, env={"MAMMOTREND_DATABASE_URL": url})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_report_names_rates_and_reasons(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    with_cards(url)

    said = " ".join(run(["report", "cards"], url).split())
    assert "mri-suggested" in said
    assert "1 (33%)" in said
    assert "patient-declined 1" in said


def test_a_site_without_cards_is_told_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sqlite'}"
    open_database(url)
    assert run(["report", "cards", "--since", "2026-01-01"], url) == "no card yet\n"


def test_the_exams_without_a_score_are_listed_with_their_reasons(tmp_path: Path) -> None:
    url, model = f"sqlite:///{tmp_path / 'site.sqlite'}", usable_card(Settings()).version.key
    store = Store(open_database(url))
    store.register([new_exam("1.2.1", performed_on=date(2026, 5, 3))], model, NOW)
    job = store.claim(model, NOW, timedelta(minutes=1))
    assert job is not None
    store.save_refusal(job, refused("1.2.1"), NOW)

    answer = run(["report", "unscored", "--format", "csv"], url)

    (row,) = csv.DictReader(StringIO(answer))
    assert (row["ehr"], row["patient_id"], row["exam_date"], row["study_uid"]) == (EHR, PATIENT, "2026-05-03", "1.2.1")
    assert row["place"] == "refused"
    assert row["reasons"] == "There is no usable R MLO view.; It shows a part of the breast."
    assert "There is no usable R MLO view." in " ".join(run(["report", "unscored"], url).split())
