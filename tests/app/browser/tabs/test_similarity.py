"""Similarity in a real browser: a click on a map or a gate is followed by every tab; the arrays can be saved."""

import re

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG

pytestmark = pytest.mark.browser


def test_a_click_on_a_map_or_a_gate_is_followed_and_the_arrays_can_be_saved(page: Page) -> None:
    page.locator("#examples button").first.click()
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat", timeout=LONG)
    page.get_by_role("tab", name="Similarity").click()
    maps = page.locator("#similarity-view .ece-card")
    expect(maps).to_have_count(6)

    maps.nth(2).click()
    expect(maps.nth(2)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#stage-picker").get_by_label("Stage 3")).to_be_checked()
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage3]")).to_be_visible()

    page.get_by_role("tab", name="Similarity").click()
    page.get_by_label("all classes, one stage").check()
    expect(page.locator("#similarity-view .ece-scale")).to_contain_text("at Stage 3")
    wall = page.locator("#similarity-view .ece-card", has_text="wall")
    wall.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#class-picker input")).to_have_value("wall")
    page.locator("#gate-view [data-stage=stage1]").first.click()
    expect(page.locator("#similarity-view .ece-scale")).to_contain_text("at Stage 1")
    page.screenshot(path=ARTIFACTS / "similarity-classes.png", full_page=True)

    with page.expect_download() as download:
        page.locator("#download-maps").click()
    assert download.value.suggested_filename == "chelsea-maps.npz"
    with np.load(download.value.path()) as arrays:
        assert "cat" in arrays["classes"]
        assert arrays["similarity_stage1"].shape[0] == len(arrays["classes"])

    page.locator("#judge-map").click()
    badge = page.locator("#map-badge")
    expect(badge).to_contain_text("Insertion", timeout=LONG)
    for number in ("Leakage", "Robustness"):
        expect(badge.locator(".ece-state", has_text=number)).to_contain_text(re.compile(r"untrained (–|-?\d)"))
    expect(page.locator("#faithfulness-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    page.screenshot(path=ARTIFACTS / "faithfulness.png", full_page=True)
    maps.nth(1).click()
    expect(badge).not_to_contain_text("Insertion", timeout=LONG)
