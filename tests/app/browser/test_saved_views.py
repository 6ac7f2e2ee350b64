"""What is looked at comes back: by the page's address, and by a session saved in one page and opened in another."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, stage_button

pytestmark = pytest.mark.browser


def test_the_address_follows_and_opens_the_view_again(page: Page, address: str) -> None:
    page.locator("#examples button").first.click()
    legend = page.locator("#segment-view .ece-legend:visible")
    expect(legend).to_contain_text("cat", timeout=LONG)
    stage_button(page, "Stage 3").click()
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


def test_a_session_is_saved_and_opened_in_another_page(page: Page, tmp_path: Path) -> None:
    expect(page.locator("#save-session")).to_be_disabled()
    for number in (0, 1):
        page.locator("#examples button").nth(number).click()
        expect(page.locator("#session-photos button")).to_have_count(number + 1, timeout=LONG)
    legend = page.locator("#segment-view .ece-legend:visible")
    expect(legend).to_contain_text("person", timeout=LONG)
    page.locator("#session-photos button").first.click()
    expect(legend).to_contain_text("cat")
    stage_button(page, "Stage 2").click()
    with page.expect_download() as download:
        page.locator("#save-session").click()
    download.value.save_as(tmp_path / "session.zip")

    page.reload()
    expect(page.locator("#segment-view")).to_contain_text("Drop or paste a photo")
    with page.expect_file_chooser() as chooser:
        page.locator("#open-session").click()
    chooser.value.set_files(tmp_path / "session.zip")
    expect(legend).to_contain_text("cat", timeout=LONG)
    expect(page.locator("#stage-picker").get_by_label("Stage 2")).to_be_checked()
    expect(page.locator("#session-photos button")).to_have_count(2)
    page.screenshot(path=ARTIFACTS / "session.png")

    (tmp_path / "other.zip").write_text("no zip")
    with page.expect_file_chooser() as chooser:
        page.locator("#open-session").click()
    chooser.value.set_files(tmp_path / "other.zip")
    expect(page.locator(".toast-message-text", has_text="other.zip")).to_be_visible(timeout=LONG)
    expect(legend).to_contain_text("cat")
