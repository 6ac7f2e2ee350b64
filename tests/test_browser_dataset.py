"""The Evaluate tab in a real browser: a cell of the matrix opens what is behind it."""

from pathlib import Path

import pytest
from browsing import ARTIFACTS, LONG
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_a_cell_opens_its_images_and_a_foreign_bank_is_refused(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Evaluate").click()
    expect(page.locator("#bank-about")).to_contain_text("300 images", timeout=LONG)
    page.locator("#confusion [data-truth='2'][data-predicted='1']").click()
    expect(page.locator("#cell-images")).to_contain_text("cat taken for dog", timeout=LONG)
    expect(page.locator("#cell-images li").first).to_contain_text("VOC-13")
    page.screenshot(path=ARTIFACTS / "evaluate.png", full_page=True)

    (tmp_path / "foreign.parquet").write_bytes(b"PAR1 no table PAR1")
    with page.expect_file_chooser() as chooser:
        page.locator("#open-bank").click()
    chooser.value.set_files(tmp_path / "foreign.parquet")
    expect(page.locator(".toast-message-text", has_text="foreign.parquet")).to_be_visible(timeout=LONG)
    expect(page.locator("#bank-about")).to_contain_text("300 images")

    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
