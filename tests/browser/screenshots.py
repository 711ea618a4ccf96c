"""`make screenshots`: the pictures of the demo EHR in docs/images, taken anew from the running demo."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.browser.demo import running_demo
from tests.servers import CHECKOUT, temporary_folder

IMAGES = CHECKOUT / "docs" / "images"
WIDTH, HEIGHT = 1280, 900
MOST_BYTES = 300_000


def take(page: Page, address: str, place: Path) -> None:
    """The patients, the card of the first one, its page, and her chart once she is decided on."""
    page.goto(address, wait_until="networkidle")
    _taken(page, place / "patients.png")
    page.get_by_role("link", name="Ada Rising").click()
    page.get_by_role("button", name="Screening mammogram").click()
    _shown_from_the_top(page, place / "card.png")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Show the scores over time").click()
    _shown_from_the_top(opened.value, place / "scores-over-time.png", height=1100)
    opened.value.close()
    page.get_by_role("button", name="Draft a breast MRI order").click()
    page.get_by_role("button", name="Record the risk assessment").click()
    _shown_from_the_top(page, place / "chart.png", height=1240)


def _shown_from_the_top(page: Page, file: Path, height: int = HEIGHT) -> None:
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.wait_for_load_state("networkidle")
    page.evaluate("scrollTo(0, 0)")
    _taken(page, file)


def _taken(page: Page, file: Path) -> None:
    """In 256 colours: the noise of the mammograms would make the file three times as large."""
    with Image.open(BytesIO(page.screenshot())) as shown:
        shown.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def main() -> None:
    """Take all pictures; SystemExit where one is too large for a README."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with temporary_folder() as folder, running_demo(folder) as demo, chromium() as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        take(page, demo.address, IMAGES)
    large = [file.name for file in IMAGES.glob("*.png") if file.stat().st_size > MOST_BYTES]
    if large:
        raise SystemExit(f"over {MOST_BYTES} bytes: {', '.join(sorted(large))}")


if __name__ == "__main__":
    main()
