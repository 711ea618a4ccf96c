"""A short soak: nobody gets another's data, no feedback is lost, and memory does not grow, whatever fails."""

from __future__ import annotations

import pytest
from rich.console import Console
from sqlalchemy import text

from tests.soak.books import wrong_books
from tests.soak.calls import user
from tests.soak.soak import Soaked, Ward, admitted, books, soak
from tests.soak.table import print_table
from tests.soak.truth import strange
from tests.soak.women import Woman

pytestmark = pytest.mark.slow

SEED, SECONDS = 1, 20.0

MIXED_UP = (
    "DELETE FROM feedback WHERE id = (SELECT max(id) FROM feedback)",
    "UPDATE feedback SET comment = 'other words'",
    "UPDATE feedback SET outcome_at = 'another moment' WHERE id = (SELECT max(id) FROM feedback)",
    "UPDATE card SET ehr = 'hospital-05' WHERE ehr = (SELECT min(ehr) FROM card)",
    "UPDATE exam SET patient_id = 'p1' WHERE patient_id = 'p0'",
    "UPDATE assessment SET ehr = 'hospital-05' WHERE ehr = (SELECT min(ehr) FROM assessment)",
    "UPDATE score SET performed_on = '2020-02-02' WHERE id = (SELECT max(id) FROM score)",
)
"""What a fault could have made of the database."""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """The same women for every database."""
    return admitted(tmp_path_factory.mktemp("images"), SEED)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def soaked(request: pytest.FixtureRequest, ward: Ward, tmp_path_factory: pytest.TempPathFactory) -> Soaked:
    """One soak on each database, with its table printed."""
    folder = tmp_path_factory.mktemp("site")
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'site.sqlite'}"
    else:
        url = request.getfixturevalue("postgresql_server").new_database()
    done = soak(ward, folder, url, SECONDS, SEED)
    print_table(done, Console(width=120))
    return done


def test_every_answer_and_every_row_is_of_the_woman_it_was_asked_for(soaked: Soaked) -> None:
    assert soaked.problems == ()


def test_memory_is_flat(soaked: Soaked) -> None:
    assert soaked.memory.is_flat, soaked.memory.quarters_mb


def test_there_was_enough_to_be_wrong(soaked: Soaked) -> None:
    found, answered = soaked.found, [report for report in soaked.found.reports if report.answered]
    assert sum(found.calls.values()) > 200
    assert {status for _, status in found.calls} >= {200, 401, 403, 412}
    assert len(soaked.world.faults) > 10
    assert len(answered) > 20
    assert found.hung_up["feedback"] > 5
    assert soaked.kept["score"] > 20


def test_a_card_that_another_hospital_got_for_the_same_patient_id_would_have_been_noticed(
    soaked: Soaked, ward: Ward
) -> None:
    named = [(card, hospital, woman) for card, hospital, woman in soaked.found.samples if woman_is_told_of(card)]
    assert len(named) > 20
    for card, hospital, woman in named:
        assert strange([card], woman, user(hospital)) == []
        for other in elsewhere(woman, ward):
            assert strange([card], other, user(hospital))


@pytest.mark.parametrize("change", MIXED_UP)
def test_what_is_lost_or_mixed_up_in_the_database_would_have_been_noticed(soaked: Soaked, change: str) -> None:
    with books(soaked.database_url) as session:
        assert wrong_books(session, soaked.world, soaked.found) == []
        assert session.connection().execute(text(change)).rowcount > 0
        assert wrong_books(session, soaked.world, soaked.found)


def woman_is_told_of(card: dict[str, object]) -> bool:
    """Whether a card says anything of an exam; one that says that nothing could be read is anybody's."""
    return not str(card["summary"]).startswith("Research: mammography exams could not")


def elsewhere(woman: Woman, ward: Ward) -> list[Woman]:
    """The women of other hospitals who have her ids."""
    return [other for other in ward.women if other.id == woman.id and other.hospital != woman.hospital]


def test_hospitals_share_the_ids_of_their_patients_and_nothing_else(ward: Ward) -> None:
    assert {woman.id for woman in ward.women} == {"p0", "p1", "p2"}
    days = [exam.day for woman in ward.women for exam in woman.exams]
    assert len(set(days)) == len(days)
