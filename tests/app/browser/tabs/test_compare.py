"""The Compare tab in a real browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, stage_button

pytestmark = pytest.mark.browser


def test_photos_and_models_side_by_side(page: Page) -> None:
    files = [PHOTOS / name for name in ("chelsea.png", "astronaut.png", "coffee.png")]
    page.locator("input[type=file][multiple]").set_input_files(files)
    expect(page.locator("#session-photos button")).to_have_count(3, timeout=LONG)
    stage_button(page, "Stage 4").click()
    page.get_by_role("tab", name="Compare").click()
    cards = page.locator("#photo-grid .ece-card")
    expect(cards).to_have_count(3)
    expect(page.locator("#photo-grid")).to_contain_text("Stage 4")
    expect(cards.nth(2)).to_have_attribute("aria-pressed", "true")

    cards.first.click()
    expect(cards.first).to_have_attribute("aria-pressed", "true")
    page.locator("#other-picker input").click()
    page.get_by_role("option", name="camvid", exact=True).click()
    pair = page.locator("#model-pair")
    expect(pair.locator("img")).to_have_count(3, timeout=LONG)
    expect(pair).to_contain_text("agree on 0.0% of the pixels", timeout=LONG)
    expect(pair).to_contain_text("camvid, Stage 4")
    page.screenshot(path=ARTIFACTS / "compare.png", full_page=True)

    # It follows to another photo, on a phone too.
    page.locator("#session-photos button").nth(1).click()
    expect(pair.locator("img").first).to_have_attribute("alt", "astronaut", timeout=LONG)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(cards.first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
    page.screenshot(path=ARTIFACTS / "compare-phone.png", full_page=True)
