"""The Segment tab's picture in a real browser: pointing, modes, clicking, the keyboard, a finger."""

import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, stage_button, upload

pytestmark = pytest.mark.browser

WIDTH, HEIGHT = 451, 300
"""Of the cat."""
COLORS = """canvas => {
  const {width, height} = canvas;
  const colors = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, width, height).data.buffer);
  const counts = {};
  colors.forEach(color => { counts[color.toString(16)] = (counts[color.toString(16)] ?? 0) + 1; });
  return {size: [width, height], counts};
}"""
YELLOW, PURPLE = "ff25e7fd", "ff540144"
"""The ends of viridis, as alpha, blue, green, red."""
NOTHING = {"size": [1, 1], "counts": {"0": 1}}


def painted(page: Page, layer: str) -> dict[str, Any]:
    """How often each colour lies on a canvas."""
    counts: dict[str, Any] = page.locator(f"#segment-view .ece-{layer}").evaluate(COLORS)
    return counts


def show_cat(page: Page) -> Locator:
    """The picture, once it is there."""
    upload(page, PHOTOS / "chelsea.png")
    picture = page.locator("#segment-view .ece-photo")
    expect(picture).to_be_visible(timeout=LONG)
    return picture


def place_of(picture: Locator, x: int, y: int) -> tuple[float, float]:
    """Where a pixel of the cat is on the page."""
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    return box["x"] + (x + 0.5) / WIDTH * box["width"], box["y"] + (y + 0.5) / HEIGHT * box["height"]


def near(color: str, other: str) -> bool:
    """Whether the channels of two colours such as `YELLOW` differ by 16 at most."""
    channels, others = (np.frombuffer(bytes.fromhex(one), np.uint8).astype(int) for one in (color, other))
    return bool(np.abs(channels - others).max() <= 16)


def choose(page: Page, mode: str) -> None:
    page.locator("#mask-mode").get_by_label(mode, exact=True).check()


def test_pointing_tells_class_and_runner_up_without_asking_the_server(page: Page, asked: list[str]) -> None:
    picture = show_cat(page)
    tip = page.locator("#segment-view .ece-tip")
    expect(tip).to_be_hidden()
    page.mouse.move(*place_of(picture, 225, 150))
    expect(tip).to_contain_text(re.compile(r"cat\s*\d+ %\s*\w[\w ]*?\s*<? ?\d+ %\s*x 225, y 150"))
    expect(tip).to_have_attribute("aria-live", "off")
    page.mouse.move(*place_of(picture, 440, 20))
    expect(tip).to_contain_text(re.compile(r"^\s*(?:unsure: best guess )?wall\s*\d+ %"))
    expect(tip).to_contain_text("x 440, y 20")
    page.mouse.move(5, 5)
    expect(tip).to_be_hidden()
    assert not asked


def test_modes_are_painted_without_asking_the_server(page: Page, asked: list[str]) -> None:
    show_cat(page)
    mask = page.locator("#segment-view img.ece-mask[data-stage=final]")
    line = page.locator("#segment-view .ece-change")
    assert painted(page, "paint") == NOTHING

    choose(page, "Confidence")
    expect(page.locator("[data-scale=confidence]")).to_be_visible()
    expect(mask).to_be_hidden()
    expect(page.locator("#segment-view .ece-paint")).to_have_attribute("width", str(WIDTH))
    confidence = painted(page, "paint")
    assert confidence["size"] == [WIDTH, HEIGHT]
    assert near(max(confidence["counts"], key=confidence["counts"].get), YELLOW), "mostly sure"
    page.locator("#mask-opacity input[type=range]").fill("0.9")
    expect(page.locator("#segment-view .ece-paint")).to_have_css("opacity", "0.9")

    choose(page, "Entropy")
    expect(page.locator("[data-scale=entropy]")).to_be_visible()
    expect(page.locator("[data-scale=confidence]")).to_be_hidden()
    entropy = painted(page, "paint")
    assert near(max(entropy["counts"], key=entropy["counts"].get), PURPLE), "mostly sure"
    page.screenshot(path=ARTIFACTS / "segment-entropy.png")

    choose(page, "Changed")
    expect(line).to_contain_text("since Stage 1")
    counts = painted(page, "paint")["counts"]
    assert set(counts) == {YELLOW, PURPLE}
    share = 100 * counts[YELLOW] / (WIDTH * HEIGHT)
    assert 0 < share < 20
    expect(line).to_contain_text(f"{share:.1f} %")
    assert not asked

    stage_button(page, "Coarse (ECE)").click()
    expect(line).to_contain_text("the first")
    assert painted(page, "paint") == NOTHING
    stage_button(page, "Stage 4").click()
    expect(line).to_contain_text("since Coarse (ECE)")

    # What is shown stays so for the next photo, and after a look at another tab.
    choose(page, "Entropy")
    page.get_by_role("tab", name="Similarity").click()
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("[data-scale=entropy]")).to_be_visible()
    upload(page, PHOTOS / "astronaut.png")
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("person", timeout=LONG)
    expect(page.locator("[data-scale=entropy]")).to_be_visible()
    expect(page.locator("#segment-view .ece-paint")).to_have_attribute("width", "512")
    expect(page.locator("#segment-view .ece-segment")).to_have_attribute("style", re.compile("--mask-opacity: ?0.9"))

    choose(page, "Classes")
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage4]")).to_be_visible()
    expect(page.locator("#segment-view [data-scale]:visible")).to_have_count(0)


def test_boundaries_and_the_class_of_a_legend_row_stand_out(page: Page) -> None:
    show_cat(page)
    assert painted(page, "lines") == NOTHING
    page.get_by_label("Boundaries", exact=True).check()
    expect(page.locator("#segment-view .ece-lines")).to_have_attribute("width", str(WIDTH))
    counts = painted(page, "lines")["counts"]
    assert set(counts) == {"0", "ffffffff", "ff000000"}
    assert counts["ffffffff"] < 0.05 * WIDTH * HEIGHT, "thin"
    page.get_by_label("Boundaries", exact=True).uncheck()
    expect(page.locator("#segment-view .ece-lines")).to_have_attribute("width", "1")

    row = page.locator("#segment-view .ece-legend:visible tr[data-class]").first
    row.hover()
    counts = painted(page, "lines")["counts"]
    area = float(row.locator("td").nth(1).inner_text().removesuffix("%"))
    assert set(counts) == {"0", "a0000000"}
    assert 100 * counts["0"] / (WIDTH * HEIGHT) == pytest.approx(area, abs=0.06)
    page.mouse.move(5, 5)
    assert painted(page, "lines") == NOTHING


def marker_place(page: Page) -> tuple[float, float]:
    """Centre of the marker in pixels of the cat."""
    picture = page.locator("#segment-view .ece-photo").bounding_box()
    marker = page.locator("#segment-view .ece-marker").bounding_box()
    assert picture is not None
    assert marker is not None
    x = (marker["x"] + marker["width"] / 2 - picture["x"]) / picture["width"] * WIDTH
    y = (marker["y"] + marker["height"] / 2 - picture["y"]) / picture["height"] * HEIGHT
    return x, y


def test_a_click_selects_the_pixel_until_another_photo_is_shown(page: Page) -> None:
    picture = show_cat(page)
    marker = page.locator("#segment-view .ece-marker")
    selected = page.locator("#segment-marker")
    expect(marker).to_be_hidden()
    page.mouse.click(*place_of(picture, 100, 200))
    expect(marker).to_be_visible()
    assert marker_place(page) == pytest.approx((100.5, 200.5), abs=1)
    expect(page.locator("#segment-view .ece-tip")).to_contain_text("selected")
    # What the server holds comes back to the page.
    expect(selected).to_have_text("100,200", timeout=LONG)

    stage_button(page, "Stage 2").click()
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage2]")).to_be_visible()
    expect(marker).to_be_visible()
    page.mouse.click(*place_of(picture, 300, 50))
    expect(selected).to_have_text("300,50", timeout=LONG)
    assert marker_place(page) == pytest.approx((300.5, 50.5), abs=1)

    upload(page, PHOTOS / "astronaut.png")
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("person", timeout=LONG)
    expect(marker).to_be_hidden()
    expect(selected).to_have_text("")


def test_the_keyboard_moves_a_crosshair_by_cells_of_the_grid_and_selects(page: Page) -> None:
    picture = show_cat(page)
    tip = page.locator("#segment-view .ece-tip")
    page.locator("#mask-least input[type=range]").focus()
    page.keyboard.press("Tab")
    expect(picture).to_be_focused()
    expect(page.locator("#segment-view .ece-cross")).to_be_visible()
    expect(tip).to_contain_text("x 225, y 150")
    expect(tip).to_have_attribute("aria-live", "polite")
    # The final stage has 112 × 76 cells: four pixels each.
    columns, rows = page.locator("img.ece-mask[data-stage=final]").evaluate("mask => JSON.parse(mask.dataset.grid)")
    step = round(WIDTH / columns), round(HEIGHT / rows)
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    expect(tip).to_contain_text(f"x {225 + 2 * step[0]}, y {150 - step[1]}")
    page.keyboard.press("Shift+ArrowLeft")
    x, y = 224 + 2 * step[0], 150 - step[1]
    expect(tip).to_contain_text(f"x {x}, y {y}")
    page.keyboard.press("Enter")
    expect(tip).to_contain_text("selected")
    expect(page.locator("#segment-marker")).to_have_text(f"{x},{y}", timeout=LONG)

    stage_button(page, "Coarse (ECE)").click()
    picture.focus()
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text(f"x 0, y {y}")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(tip).to_be_visible()
    page.locator("#mask-boundaries input").focus()
    expect(tip).to_be_hidden()
