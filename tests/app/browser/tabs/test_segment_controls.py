"""The controls around the Segment tab's picture: least confidence, legend, keys, a finger on a phone."""

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.app.browser.tabs.test_segment import HEIGHT, NOTHING, WIDTH, painted, place_of, show_cat
from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, stage_button, upload

pytestmark = pytest.mark.browser


def test_what_is_less_sure_fades_and_leaves_the_areas(page: Page, asked: list[str]) -> None:
    show_cat(page)
    cat = page.locator("#segment-view .ece-legend:visible tr[data-class]").first
    area = cat.locator("td").nth(1)
    before = float(area.inner_text().removesuffix("%"))
    names = page.locator("#segment-view .ece-names span:visible")
    expect(names.first).to_be_visible()
    written = names.count()
    assert painted(page, "faded") == NOTHING
    page.locator("#mask-least input[type=range]").fill("90")
    expect(page.locator("#segment-view .ece-left")).to_have_text(
        re.compile(r"^\d+\.\d% of the photo has a confidence of 90% or more\.$")
    )
    counts = painted(page, "faded")["counts"]
    told = float(page.locator("#segment-view .ece-left").inner_text().partition("%")[0])
    assert 100 * counts["0"] / (WIDTH * HEIGHT) == pytest.approx(told, abs=0.06)
    assert float(area.inner_text().removesuffix("%")) < before
    page.locator("#mask-least input[type=range]").fill("100")
    expect(names).to_have_count(0)
    page.locator("#mask-least input[type=range]").fill("0")
    expect(names).to_have_count(written)
    expect(area).to_have_text(f"{before}%")
    expect(page.locator("#segment-view .ece-left")).to_be_hidden()
    assert painted(page, "faded") == NOTHING
    assert not asked


def test_a_class_of_the_legend_is_chosen_on_every_tab(page: Page) -> None:
    show_cat(page)
    button = page.locator("#segment-view .ece-legend:visible .ece-class").nth(1)
    name = button.inner_text()
    button.click()
    expect(page.locator("#segment-class")).not_to_have_text("", timeout=LONG)
    page.mouse.move(5, 5)
    assert set(painted(page, "lines")["counts"]) == {"0", "a0000000"}
    page.get_by_role("tab", name="Similarity").click()
    expect(page.locator("#class-picker input")).to_have_value(name, timeout=LONG)
    page.get_by_role("tab", name="Segment").click()
    button.click()
    expect(page.locator("#segment-class")).to_have_text("", timeout=LONG)
    page.mouse.move(5, 5)
    assert painted(page, "lines") == NOTHING


def test_keys_choose_stages_modes_and_photos(page: Page) -> None:
    show_cat(page)
    page.locator("h1").click()
    page.keyboard.press("2")
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage4]")).to_be_visible()
    page.keyboard.press("e")
    expect(page.locator("[data-scale=entropy]")).to_be_visible()
    page.keyboard.press("v")
    mask = page.locator("#segment-view img.ece-mask[data-stage=stage4]")
    expect(mask).to_be_visible()
    page.keyboard.press("Space")
    expect(mask).to_have_css("visibility", "hidden")
    page.keyboard.press("Space")
    expect(mask).to_have_css("visibility", "visible")

    stage_button(page, "Stage 4").focus()
    page.keyboard.press("ArrowRight")
    expect(stage_button(page, "Stage 3")).to_be_focused()
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage3]")).to_be_visible()

    upload(page, PHOTOS / "astronaut.png")
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("person", timeout=LONG)
    page.locator("h1").click()
    page.keyboard.press("[")
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat", timeout=LONG)

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("previous and next photo")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    field = page.locator("#mask-least input[type=number]")
    field.click()
    page.keyboard.type("1")
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage3]")).to_be_visible()


def swipe(page: Page, picture: Locator, *, by: int) -> None:
    """A finger across the middle of the picture, `by` pixels to the right."""
    box = picture.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = page.context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for part in (0.5, 1.0):
        point = {"x": x + part * by, "y": y}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    session.detach()


def test_a_tap_on_a_phone_tells_and_selects(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)
    context.set_default_timeout(LONG)
    page = context.new_page()
    page.goto(address)
    picture = show_cat(page)
    # Where the page comes to rest after the upload, the picture is on the screen.
    expect(picture).to_be_in_viewport(ratio=1)
    expect(stage_button(page, "Final")).to_be_in_viewport(ratio=0.9)
    picture.scroll_into_view_if_needed()
    for x, y in ((5, 5), (WIDTH - 6, 5), (WIDTH - 6, HEIGHT - 6)):
        page.touchscreen.tap(*place_of(picture, x, y))
        tip = page.locator("#segment-view .ece-tip")
        expect(tip).to_contain_text("selected")
        box = tip.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390, "the tooltip stays on the screen"
    checkbox = page.locator("#mask-boundaries input").bounding_box()
    assert checkbox is not None
    assert checkbox["x"] + checkbox["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
    page.screenshot(path=ARTIFACTS / "segment-phone.png", full_page=True)
    # Last: Chromium takes the tap after a swipe as one that stops a scroll.
    picture.scroll_into_view_if_needed()
    for by, stage in ((120, "stage1"), (120, "stage2"), (-120, "stage1")):
        swipe(page, picture, by=by)
        expect(page.locator(f"#segment-view img.ece-mask[data-stage={stage}]")).to_be_visible()
    context.close()
