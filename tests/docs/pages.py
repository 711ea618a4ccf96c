"""The pages of the documentation, and the commands on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers import CHECKOUT

PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:mammotrend|make) [^`]+)`")
_COMMENT = re.compile(r"(^|\s)#.*$", re.MULTILINE)


@dataclass(frozen=True)
class Written:
    """A command as it stands on a page, without comments; `\\` at the end of a line is taken away."""

    page: str
    command: str


def commands_in_blocks() -> Iterator[Written]:
    """Every line of every block of shell."""
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in _COMMENT.sub("", block).replace("\\\n", " ").splitlines():
                if line.strip():
                    yield Written(page.name, _as_called_here(line))


def _as_called_here(line: str) -> str:
    """A command without the place of the program, and without the user of an installed site."""
    return re.sub(r"^(runuser -u mammotrend -- |\.venv/bin/)(?=mammotrend )", "", " ".join(line.split()))


def commands_in_texts() -> Iterator[Written]:
    """Every command that is named within a sentence."""
    for page in PAGES:
        for command in _INLINE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
            yield Written(page.name, " ".join(command.split()))


def links() -> Iterator[tuple[Path, str]]:
    """Every link of a page that leads into the repository: the page, and where it leads."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8")):
            leads = "".join(target)
            if not re.match(r"https?:|mailto:", leads):
                yield page, leads
