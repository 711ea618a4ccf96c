"""Who watches the service is known by the secret and nothing else."""

from __future__ import annotations

from base64 import b64encode

import pytest

from cds.web.monitors import Monitors

SECRET = "monitor-secret"


def basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def test_a_program_brings_it_as_a_token_and_a_browser_as_a_password() -> None:
    monitors = Monitors(SECRET)

    assert monitors.may_read(f"Bearer {SECRET}")
    assert monitors.may_look(basic("operator", SECRET))


def test_a_secret_that_is_not_ascii_is_known_as_programs_send_it() -> None:
    sent = f"Bearer {SECRET} ü€".encode().decode("latin-1")  # as WSGI has it

    assert Monitors(f"{SECRET} ü€").may_read(sent)
    assert not Monitors(f"{SECRET} ü€").may_read(f"Bearer {SECRET} ü€")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic é",
        f"Bearer {SECRET}",
        basic("operator", ""),
        basic("operator", SECRET[:-1]),
        basic("operator", f"{SECRET} "),
        basic("", SECRET),
        basic("admin", SECRET),
        f"{basic('operator', SECRET)} ",
    ],
)
def test_a_browser_without_it_sees_nothing(header: str) -> None:
    assert not Monitors(SECRET).may_look(header)


def test_a_program_does_not_come_in_as_a_browser() -> None:
    assert not Monitors(SECRET).may_read(basic("operator", SECRET))


def test_in_a_demonstration_there_is_none_and_anybody_may() -> None:
    assert Monitors().may_read("")
    assert Monitors().may_look("")


def test_the_secret_never_shows_itself() -> None:
    assert SECRET not in repr(Monitors(SECRET))
