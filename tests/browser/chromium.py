"""A real browser for the tests: the system's Chromium, without a window, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.servers import left_out


@contextmanager
def chromium() -> Iterator[Browser]:
    """One Chromium while the block runs; each test opens pages of its own in it."""
    executable = shutil.which("chromium")
    if executable is None:
        left_out("Chromium is not installed: sudo apt-get install chromium")
    # Its sandbox does not start as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
