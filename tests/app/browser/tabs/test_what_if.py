"""The What if tab under a real mouse: painting, a class made of it, its file, parts knocked out."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, covered, paint, upload, wait_for_cover

pytestmark = pytest.mark.browser


def open_tab(page: Page) -> None:
    upload(page, PHOTOS / "chelsea.png")
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat", timeout=LONG)
    page.get_by_role("tab", name="What if").click()
    expect(page.locator("#easel canvas")).to_be_visible(timeout=LONG)
    page.locator("#easel").scroll_into_view_if_needed()


def test_a_painted_region_becomes_a_class(page: Page) -> None:
    open_tab(page)
    expect(page.locator("#what-if-result")).to_contain_text("No changes yet")
    page.locator("#make-class").click()
    expect(page.locator(".toast-message-text", has_text="painted region")).to_be_visible(timeout=LONG)

    # The forehead, with a brush; then a second line, taken back.
    page.mouse.wheel(0, 0)
    paint(page, (0.35, 0.2), (0.6, 0.25))
    wait_for_cover(page, 0.02, 0.3)
    once = covered(page)
    paint(page, (0.1, 0.8), (0.9, 0.8))
    wait_for_cover(page, 1.5 * once, 0.6)
    page.locator("#easel-undo").click()
    wait_for_cover(page, 0.9 * once, 1.1 * once)

    page.locator("#class-name input, #class-name textarea").fill("forehead")
    page.locator("#make-class").click()
    result = page.locator("#what-if-result")
    expect(result).to_contain_text("Pixels that changed class", timeout=LONG)
    expect(result.locator("table")).to_contain_text("forehead")
    expect(result.locator("img")).to_have_count(4)
    expect(page.locator("#what-if-details")).to_contain_text("Similarity to forehead", timeout=LONG)
    expect(page.locator("#what-if-details .ece-card")).to_have_count(5)
    page.screenshot(path=ARTIFACTS / "what-if.png", full_page=True)

    expect(page.locator("#save-class-file")).to_be_hidden()
    with page.expect_download() as download:
        page.locator("#save-class").click()
    assert download.value.suggested_filename == "forehead.safetensors"
    page.locator("#what-if-reset").click()
    expect(result).to_contain_text("No changes yet", timeout=LONG)
    with page.expect_file_chooser() as chooser:
        page.locator("#open-class").click()
    chooser.value.set_files(download.value.path())
    expect(page.locator(".toast-message-text, #what-if-result table").first).to_be_visible(timeout=LONG)

    # Other tabs show the photo as it is.
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#segment-view .ece-legend:visible")).not_to_contain_text("forehead")


def test_boxes_patches_and_the_keyboard_paint_too(page: Page) -> None:
    open_tab(page)
    page.locator("#easel-tool").get_by_label("Box").check()
    paint(page, (0.25, 0.25), (0.75, 0.75))
    wait_for_cover(page, 0.24, 0.27)
    page.locator("#easel-clear").click()
    wait_for_cover(page, 0, 0)
    page.locator("#easel-tool").get_by_label("Patch of a class").check()
    paint(page, (0.5, 0.5))
    wait_for_cover(page, 0.6, 0.95)
    page.locator("#easel-clear").click()
    wait_for_cover(page, 0, 0)
    page.locator("#easel-tool").get_by_label("Brush").check()
    page.locator("#easel canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_cover(page, 0.001, 0.02)

    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#easel canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"


def test_masks_are_swapped_and_parts_knocked_out(page: Page) -> None:
    open_tab(page)
    result = page.locator("#what-if-result")
    page.locator("#edit-stages button").first.click()
    page.locator("#edit-action input").click()
    page.get_by_role("option", name="Swap two classes everywhere").click()
    page.locator("#edit-other input").click()
    page.get_by_role("option", name="dog", exact=True).click()
    page.locator("#change-mask").click()
    expect(result.locator("table")).to_contain_text("dog", timeout=LONG)
    page.locator("#forget-masks").click()
    expect(result).to_contain_text("No changes yet", timeout=LONG)

    page.locator("#knock-out button").first.click()
    page.locator("#off-updater").get_by_label("Stage 4").uncheck()
    expect(result).to_contain_text("Pixels that changed class", timeout=LONG)
    page.locator("#what-if-reset").click()
    expect(result).to_contain_text("No changes yet", timeout=LONG)
