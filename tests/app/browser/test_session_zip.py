"""A session saved in one page and opened in another."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG

pytestmark = pytest.mark.browser


def test_a_session_is_saved_and_opened_in_another_page(page: Page, tmp_path: Path) -> None:
    expect(page.locator("#save-session")).to_be_disabled()
    for number in (0, 1):
        page.locator("#examples button").nth(number).click()
        expect(page.locator("#session-photos button")).to_have_count(number + 1, timeout=LONG)
    legend = page.locator("#segment-view .ece-legend:visible")
    expect(legend).to_contain_text("person", timeout=LONG)
    page.locator("#session-photos button").first.click()
    expect(legend).to_contain_text("cat")
    page.locator("#stage-picker").get_by_label("Stage 2").check()
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
