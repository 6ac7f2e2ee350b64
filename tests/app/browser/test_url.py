"""The page's address follows what is looked at, and opens it again."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import LONG

pytestmark = pytest.mark.browser


def test_the_address_follows_and_opens_the_view_again(page: Page, address: str) -> None:
    page.locator("#examples button").first.click()
    legend = page.locator("#segment-view .ece-legend:visible")
    expect(legend).to_contain_text("cat", timeout=LONG)
    page.locator("#stage-picker").get_by_label("Stage 3").check()
    expect(page).to_have_url(re.compile(r"\?photo=cat&stage=stage3"))
    page.get_by_role("tab", name="Similarity").click()
    expect(page).to_have_url(re.compile("tab=similarity"))

    page.goto(page.url)
    expect(page.get_by_role("tab", name="Similarity")).to_have_attribute("aria-selected", "true", timeout=LONG)
    expect(page.locator("#similarity-view .ece-card[aria-pressed=true]")).to_contain_text("Stage 3", timeout=LONG)
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#stage-picker").get_by_label("Stage 3")).to_be_checked()

    page.goto(f"{address}/?photo=cat&stage=no&class=no&pixel=no&tab=no")
    expect(legend).to_contain_text("cat", timeout=LONG)
    expect(page.get_by_label("Final", exact=True)).to_be_checked()
