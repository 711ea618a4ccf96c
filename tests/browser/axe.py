"""axe-core, which looks at a page as those who check accessibility for a living do."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")


def serious_faults(page: Page) -> list[str]:
    """The rules that axe finds broken on a page, where that shuts somebody out, each with the first place."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in GRAVE]
