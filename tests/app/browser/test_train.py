"""The Train tab by its shortest way: a name, a folder, Start."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.helpers import write_folder
from tests.support.web.browsing import LONG

pytestmark = pytest.mark.browser


def test_a_name_and_a_folder_are_enough_to_start(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Train").click()
    page.locator("#run-name :is(input, textarea)").fill("shortest")
    page.locator("#run-data :is(input, textarea)").fill(str(write_folder(tmp_path / "data")))
    expect(page.locator("#run-more :is(input, textarea)")).not_to_be_visible()
    page.locator("#start-run").click()
    expect(page.locator("#run-status")).to_contain_text("shortest", timeout=LONG)
    expect(page.locator("#run-status [data-state=running]")).to_be_visible(timeout=LONG)
    expect(page.locator(".toast-message-text")).to_have_count(0)
    page.locator("#stop-run").click()
    expect(page.locator("#run-status [data-state=stopped]")).to_be_visible(timeout=LONG)
