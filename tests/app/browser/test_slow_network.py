"""A slow network: no click, no stroke and no answer is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.support.web.browsing import LONG, covered, paint, stage_button, wait_for_cover

pytestmark = pytest.mark.browser

SLOW_NETWORK = """
const fetchAtOnce = window.fetch;
const wait = () => new Promise((resolve) => setTimeout(resolve, 500));
window.fetch = async (input, init) => {
  const address = input.url ?? String(input);
  const response = await fetchAtOnce(input, init);
  if (address.includes('/queue/join')) await wait();
  if (!address.includes('/queue/data')) return response;
  const late = new TransformStream({
    async transform(chunk, controller) {
      const text = new TextDecoder().decode(chunk), end = text.indexOf('data: {"msg":"close_stream"');
      if (end < 0) return controller.enqueue(chunk);
      controller.enqueue(new TextEncoder().encode(text.slice(0, end)));
      await wait(); await wait();
      controller.enqueue(new TextEncoder().encode(text.slice(end)));
    },
  });
  return new Response(response.body.pipeThrough(late), response);
};
"""
"""Half a second until events are accepted, and a whole one until the page hears that a stream of answers has ended."""


@pytest.fixture
def slow_page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(LONG)
    page = context.new_page()
    page.add_init_script(SLOW_NETWORK)
    page.goto(address)
    yield page
    context.close()


def add_examples(page: Page, number: int) -> None:
    for index in range(number):
        page.locator("#examples button").nth(index).click()
        expect(page.locator("#session-photos button")).to_have_count(index + 1, timeout=LONG)
    expect(page.locator("#segment-view .ece-legend:visible")).to_be_visible(timeout=LONG)


def test_the_last_of_several_photos_clicked_is_shown(slow_page: Page) -> None:
    add_examples(slow_page, 3)
    legend = slow_page.locator("#segment-view .ece-legend:visible")
    expect(legend).not_to_contain_text("person", timeout=LONG)
    for number in (0, 1):
        slow_page.locator("#session-photos button").nth(number).click()
    expect(legend).to_contain_text("person", timeout=LONG)


def test_the_last_of_several_stages_clicked_is_shown(slow_page: Page) -> None:
    add_examples(slow_page, 1)
    for title in ("Stage 4", "Stage 3", "Stage 2"):
        stage_button(slow_page, title).click()
    slow_page.get_by_role("tab", name="Compare").click()
    expect(slow_page.locator("#photo-grid")).to_contain_text("Stage 2", timeout=LONG)
    slow_page.wait_for_timeout(3000)
    expect(slow_page.locator("#photo-grid")).to_contain_text("Stage 2")
    expect(slow_page.locator("#stage-picker").get_by_label("Stage 2")).to_be_checked()


def test_the_last_of_several_tabs_clicked_is_drawn(slow_page: Page) -> None:
    add_examples(slow_page, 1)
    for tab in ("Similarity", "Pixel", "Compare"):
        slow_page.get_by_role("tab", name=tab).click()
    expect(slow_page.locator("#photo-grid img").first).to_be_visible(timeout=LONG)


def test_every_stroke_counts_and_undo_takes_back_the_last(slow_page: Page) -> None:
    add_examples(slow_page, 1)
    slow_page.get_by_role("tab", name="What if").click()
    expect(slow_page.locator("#easel canvas")).to_be_visible(timeout=LONG)
    slow_page.locator("#easel").scroll_into_view_if_needed()
    paint(slow_page, (0.35, 0.2), (0.6, 0.25))
    once = covered(slow_page)
    paint(slow_page, (0.1, 0.5), (0.9, 0.5))
    paint(slow_page, (0.1, 0.8), (0.9, 0.8))
    thrice = covered(slow_page)
    assert thrice > 2 * once
    slow_page.locator("#easel-undo").click()
    slow_page.locator("#easel-undo").click()
    wait_for_cover(slow_page, 0.9 * once, 1.1 * once)


def test_every_upload_counts_a_double_click_counts_once(slow_page: Page, tmp_path: Path) -> None:
    photos = slow_page.locator("#session-photos button")
    slow_page.locator("#examples button").first.dblclick()
    for color in ("red", "green"):
        Image.new("RGB", (64, 48), color).save(tmp_path / f"{color}.png")
        # The network says which of two files sent at once is there first; the app, which of two that are there.
        with slow_page.expect_response(lambda response: response.url.partition("?")[0].endswith("/upload")):
            slow_page.set_input_files("input[type=file][multiple]", tmp_path / f"{color}.png")
        expect(slow_page.locator("input[type=file][multiple]")).to_have_count(1)
    expect(photos).to_have_count(3, timeout=LONG)
    expect(photos.last).to_contain_text("green")
    slow_page.locator("#clear-photos").click()
    expect(photos.first).to_be_hidden(timeout=LONG)
    slow_page.locator("#examples button").first.click()
    expect(photos).to_have_count(1, timeout=LONG)
