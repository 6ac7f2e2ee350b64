"""What axe finds on every tab, in light and in dark: contrast, names, headings, tables, roles."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, upload

pytestmark = pytest.mark.browser

SHOWN = {
    "Segment": "#segment-view .ece-legend",
    "Similarity": ".ece-gates",
    "Pixel": "#pixel-sentence p",
    "Class embeddings": "#map-quality .ece-quality",
    "What if": "#what-if-result table",
    "Compare": "#model-pair table",
    "Evaluate": ".ece-confusion",
    "Train": "#start-run",
}
"""What stands on a tab once it shows all that it can of the photo."""
GRADIOS_OWN = ["footer", "#photo-input"]


def open_tab(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()
    if tab == "Compare":
        page.locator("#other-picker input").click()
        page.get_by_role("option", name="camvid").click()
    closed = page.locator("button.label-wrap:not(.open):visible, summary:visible")
    for number in reversed(range(closed.count())):
        closed.nth(number).click()
    if tab == "What if":
        page.locator("#off-diverse").get_by_role("checkbox").uncheck()
    expect(page.locator(f"{SHOWN[tab]}:visible").first).to_be_visible(timeout=LONG)
    # Gradio's plots stand empty until the library that draws them has come.
    expect(page.locator(".empty:visible")).to_have_count(0, timeout=LONG)


def test_axe_finds_nothing_on_any_tab_in_light_or_dark(page: Page) -> None:
    upload(page, PHOTOS / "astronaut.png")
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("person", timeout=LONG)
    page.locator("#segment-view .ece-photo").click()
    found = []
    for tab in SHOWN:
        open_tab(page, tab)
        for theme in ("light", "dark"):
            page.evaluate("dark => document.body.classList.toggle('dark', dark)", theme == "dark")
            page.screenshot(path=ARTIFACTS / f"{theme}-{tab.lower().replace(' ', '-')}.png", full_page=True)
            report = Axe().run(page, {"exclude": [[one] for one in GRADIOS_OWN]})
            if report.violations_count:
                found.append(f"{tab}, {theme}: {report.generate_report()}")
    assert not found, "\n".join(found)
