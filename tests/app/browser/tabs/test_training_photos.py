"""The training photos behind a class, as a person finds them below the map."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, upload

pytestmark = pytest.mark.browser


def test_nearest_training_photos_and_groups_follow_class_and_slider(page: Page) -> None:
    upload(page, PHOTOS / "chelsea.png")
    expect(page.locator("#session-photos button")).to_have_count(1, timeout=LONG)
    page.get_by_role("tab", name="Class embeddings").click()
    tables = page.locator("#reference-neighbors table")
    expect(tables).to_have_count(2, timeout=LONG)
    expect(tables.first).to_contain_text("nearest to cat of chelsea")
    expect(tables.first.locator("tbody tr")).to_have_count(8)
    expect(tables.first.locator("tbody tr").first).to_contain_text(re.compile(r"everyday \d+\s*cat"))
    expect(tables.nth(1).locator("tbody tr")).to_have_count(3)
    page.locator("#reference-clusters input[type=number]").fill("2")
    page.locator("#reference-clusters input[type=number]").press("Enter")
    expect(tables.nth(1).locator("tbody tr")).to_have_count(2, timeout=LONG)
    page.locator("#reference-class input").click()
    page.get_by_role("option", name="dog", exact=True).click()
    expect(tables.first).to_contain_text("nearest to dog of chelsea", timeout=LONG)
    # It is the class of every tab.
    page.get_by_role("tab", name="Similarity").click()
    expect(page.locator("#class-picker input")).to_have_value("dog", timeout=LONG)
    page.get_by_role("tab", name="Class embeddings").click()
    # The photos themselves are not beside the weights.
    page.locator("#reference-show").click()
    expect(page.locator(".toast-message-text", has_text="folder of the data")).to_be_visible(timeout=LONG)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(tables.first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
    page.screenshot(path=ARTIFACTS / "training-photos.png", full_page=True)
