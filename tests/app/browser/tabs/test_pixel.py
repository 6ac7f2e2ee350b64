"""The Pixel tab as a person meets it: a click on the map, the charts, and a mask to compare with."""

import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, upload

pytestmark = pytest.mark.browser

PHOTO = Path(skimage.data.__file__).parent / "chelsea.png"
"""The first example, 451×300."""


def open_pixel_tab(page: Page) -> None:
    page.locator("#examples button").first.click()
    page.get_by_role("tab", name="Pixel").click()
    expect(page.locator("#decided-map img")).to_be_visible(timeout=LONG)


def upload_truth(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#truth-upload").click()
    chooser.value.set_files(path)


def test_a_click_on_the_map_explains_that_pixel(page: Page) -> None:
    page.get_by_role("tab", name="Pixel").click()
    expect(page.locator("#decided-map")).to_contain_text("Add a photo")
    expect(page.locator("#pixel-hint")).to_contain_text("Click on the photo")

    open_pixel_tab(page)
    expect(page.locator("#decided-map")).to_contain_text("Coarse (ECE)")
    expect(page.locator("#flow-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(page.locator("#pixel-hint")).to_be_visible()

    width, height = Image.open(PHOTO).size
    picture = page.locator("#decided-map .ece-decided")
    box = picture.bounding_box()
    assert box is not None
    picture.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    sentence = page.locator("#pixel-sentence")
    expect(sentence).to_contain_text("Decided at", timeout=LONG)
    told = re.search(r"Pixel \((\d+), (\d+)\)", sentence.inner_text())
    assert told is not None
    # The mouse stands at whole pixels of the screen, which are not those of the photo.
    assert abs(int(told[1]) - width / 2) <= 1.5
    assert abs(int(told[2]) - height / 2) <= 1.5
    expect(page.locator("#probability-plot .gtitle")).to_contain_text("finally cat", timeout=LONG)
    expect(page.locator("#pixel-similarity-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(page.locator("#pixel-hint")).to_be_hidden()
    cross = page.locator("#decided-map .ece-decided span").bounding_box()
    assert cross is not None
    assert abs(cross["x"] + cross["width"] / 2 - box["x"] - box["width"] / 2) < 2
    page.screenshot(path=ARTIFACTS / "pixel.png", full_page=True)

    # Another photo has no selected pixel yet.
    page.locator("#examples button").nth(1).click()
    expect(page.locator("#pixel-hint")).to_be_visible(timeout=LONG)
    expect(page.locator("#decided-map .ece-decided span")).to_be_hidden()


def test_a_mask_is_compared_with_and_a_wrong_one_refused(page: Page, tmp_path: Path) -> None:
    open_pixel_tab(page)
    # What if and Compare show something that a truth can judge.
    page.get_by_role("tab", name="What if").click()
    page.locator("#knock-out button").first.click()
    page.locator("#off-diverse input").uncheck()
    changed, pair = page.locator("#what-if-result"), page.locator("#model-pair")
    expect(changed).to_contain_text("Pixels that changed class", timeout=LONG)
    page.get_by_role("tab", name="Compare").click()
    page.locator("#other-picker input").click()
    page.get_by_role("option", name="everyday", exact=True).click()
    expect(pair).to_contain_text("agree on 100.0%", timeout=LONG)
    page.get_by_role("tab", name="Pixel").click()
    width, height = Image.open(PHOTO).size
    # Class 7 of everyday is the cat.
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = 7
    Image.fromarray(mask).save(tmp_path / "mask.png")
    upload_truth(page, tmp_path / "mask.png")
    scores = page.locator("#truth-scores")
    expect(scores).to_contain_text("mIoU", timeout=LONG)
    expect(page.locator("#fixed-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(page.locator("#iou-plot .legend")).to_contain_text("cat", timeout=LONG)
    page.get_by_role("tab", name="What if").click()
    expect(changed).to_contain_text("Change in mIoU", timeout=LONG)
    page.get_by_role("tab", name="Compare").click()
    expect(pair).to_contain_text("Against the ground truth: mIoU", timeout=LONG)
    page.get_by_role("tab", name="Pixel").click()

    Image.fromarray(mask.T).save(tmp_path / "turned.png")
    upload_truth(page, tmp_path / "turned.png")
    expect(page.locator(".toast-message-text", has_text="turned.png")).to_contain_text("proportions", timeout=LONG)
    expect(scores).to_contain_text("labelled pixels")

    # A mask belongs to its photo.
    page.locator("#examples button").nth(1).click()
    expect(scores).to_contain_text("8-bit PNG", timeout=LONG)
    expect(page.locator("#truth-clear")).to_be_hidden()
    page.locator("#session-photos button").first.click()
    expect(scores).to_contain_text("labelled pixels", timeout=LONG)
    page.locator("#truth-clear").click()
    expect(scores).to_contain_text("8-bit PNG", timeout=LONG)
    page.get_by_role("tab", name="What if").click()
    expect(changed).not_to_contain_text("mIoU", timeout=LONG)
    page.get_by_role("tab", name="Compare").click()
    expect(pair).not_to_contain_text("mIoU", timeout=LONG)


def test_the_tab_fits_a_phone(page: Page) -> None:
    open_pixel_tab(page)
    page.locator("#decided-map .ece-decided").click(position={"x": 60, "y": 60})
    expect(page.locator("#probability-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator("#decided-map .ece-decided")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"


SIDE, RIGHT, DOWN = 320, 64, 32
"""Of two crops of one picture, the second further right and down."""


def upload_crops(page: Page, folder: Path) -> None:
    """And show the first in the Pixel tab."""
    picture = Image.open(PHOTOS / "astronaut.png").convert("RGB")
    for number, (left, top) in enumerate(((60, 0), (60 + RIGHT, DOWN))):
        picture.crop((left, top, left + SIDE, top + SIDE)).save(folder / f"crop {number}.png")
        upload(page, folder / f"crop {number}.png")
        expect(page.locator("#session-photos button")).to_have_count(number + 1, timeout=LONG)
    page.locator("#session-photos button").first.click()
    page.get_by_role("tab", name="Pixel").click()
    expect(page.locator("#decided-map img")).to_have_attribute("alt", re.compile("crop 0"), timeout=LONG)


def click_pixel(page: Page, x: int, y: int) -> None:
    box = page.locator("#decided-map .ece-decided").bounding_box()
    assert box is not None
    page.locator("#decided-map .ece-decided").click(
        position={"x": box["width"] * x / SIDE, "y": box["height"] * y / SIDE}
    )


def found_at(page: Page, card: int) -> tuple[int, int]:
    x, y = (int(page.locator("#match-view .ece-match").nth(card).get_attribute(f"data-{axis}") or -1) for axis in "xy")
    return x, y


def test_a_pixel_is_found_in_another_photo_of_the_same_thing(page: Page, tmp_path: Path) -> None:
    upload_crops(page, tmp_path)
    click_pixel(page, 200, 140)
    expect(page.locator("#pixel-sentence")).to_contain_text(re.compile(r"Pixel \((199|200|201), (139|140|141)\)"))
    page.locator("#match-pixel").click()
    cards = page.locator("#match-view .ece-match")
    expect(cards).to_have_count(2, timeout=LONG)
    expect(cards.first).to_contain_text("crop 0")
    found = found_at(page, 1)
    assert np.hypot(found[0] - (200 - RIGHT), found[1] - (140 - DOWN)) <= 8
    ring, shown = cards.nth(1).locator("i").bounding_box(), cards.nth(1).locator("img").bounding_box()
    assert ring is not None
    assert shown is not None
    assert (ring["x"] + ring["width"] / 2 - shown["x"]) / shown["width"] == pytest.approx(found[0] / SIDE, abs=0.02)
    page.screenshot(path=ARTIFACTS / "match.png", full_page=True)
    # Another pixel is another question, which is answered at once.
    click_pixel(page, 120, 250)
    scale = page.locator("#match-view .ece-scale")
    expect(scale).to_contain_text(re.compile(r"the pixel \((119|120|121), (249|250|251)\)"), timeout=LONG)
    found = found_at(page, 1)
    assert np.hypot(found[0] - (120 - RIGHT), found[1] - (250 - DOWN)) <= 8
    # In a photo without a selected pixel there is none to look for.
    page.locator("#session-photos button").nth(1).click()
    expect(page.locator("#match-view")).to_contain_text("click on the photo", timeout=LONG)


def test_a_dragged_box_and_a_class_embedding_are_found_in_another_photo(page: Page, tmp_path: Path) -> None:
    upload_crops(page, tmp_path)
    picture = page.locator("#decided-map .ece-decided")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box is not None
    factor = box["width"] / SIDE
    page.mouse.move(box["x"] + 220 * factor, box["y"] + 160 * factor)
    page.mouse.down()
    page.mouse.move(box["x"] + 180 * factor, box["y"] + 120 * factor, steps=6)
    page.mouse.up()
    cards, scale = page.locator("#match-view .ece-match"), page.locator("#match-view .ece-scale")
    expect(scale).to_contain_text("the box (", timeout=LONG)
    expect(page.get_by_label("Box", exact=True)).to_be_checked()
    for card, (right, down) in enumerate(((0, 0), (RIGHT, DOWN))):
        found = found_at(page, card)
        assert 175 <= found[0] + right <= 225
        assert 115 <= found[1] + down <= 165
    drawn = picture.locator("i").bounding_box()
    assert drawn is not None
    assert drawn["width"] == pytest.approx(40 * factor, abs=6)
    expect(page.locator("#pixel-hint")).to_be_visible()  # a drag selects no pixel

    page.get_by_label("Class embedding", exact=True).check()
    expect(scale).to_contain_text("mask logits of the embedding of person", timeout=LONG)
    expect(cards.nth(1)).to_contain_text("final mask: person")
    page.locator("#match-level").get_by_label("Stage 4").check()
    expect(page.locator("#match-level").get_by_label("Backbone")).to_have_count(0)
    page.locator("#match-class input").click()
    page.get_by_role("option", name="cat", exact=True).click()
    expect(scale).to_contain_text("mask logits of the embedding of cat", timeout=LONG)

    page.get_by_label("Box", exact=True).check()
    expect(scale).to_contain_text("the box (", timeout=LONG)
    click_pixel(page, 200, 140)
    expect(scale).to_contain_text("the pixel (", timeout=LONG)
    expect(picture.locator("i")).to_have_count(0)
