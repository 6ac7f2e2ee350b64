"""The Evaluate tab in a real browser: a cell of the matrix opens what is behind it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.bank import embed_split
from ecenet.evaluation.bank_parquet import write_bank
from ecenet.inference.predictor import Predictor
from tests.support.helpers import write_classes, write_pair
from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS

pytestmark = pytest.mark.browser


def test_a_cell_opens_its_images_and_a_foreign_bank_is_refused(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Evaluate").click()
    expect(page.locator("#bank-about")).to_contain_text("300 images", timeout=LONG)
    page.locator("#confusion [data-truth='20'][data-predicted='23']").click()
    expect(page.locator("#cell-images")).to_contain_text("wall predicted as floor", timeout=LONG)
    expect(page.locator("#cell-images li").first).to_contain_text("everyday")
    page.screenshot(path=ARTIFACTS / "evaluate.png", full_page=True)

    (tmp_path / "foreign.parquet").write_bytes(b"PAR1 no table PAR1")
    with page.expect_file_chooser() as chooser:
        page.locator("#open-bank").click()
    chooser.value.set_files(tmp_path / "foreign.parquet")
    expect(page.locator(".toast-message-text", has_text="foreign.parquet")).to_be_visible(timeout=LONG)
    expect(page.locator("#bank-about")).to_contain_text("300 images")

    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"


def test_a_cell_leads_to_the_pixels_behind_it(page: Page, tmp_path: Path) -> None:
    predictor = Predictor.from_weights("everyday")
    names = predictor.model.class_names
    write_classes(tmp_path / "data", names=names)
    for name, label in (("chelsea", "cat"), ("astronaut", "person")):
        photo = Image.open(PHOTOS / f"{name}.png").convert("RGB")
        mask = np.full((photo.height, photo.width), names.index(label), dtype=np.uint8)
        write_pair(tmp_path / "data", "val", name, mask, image=photo)
    write_bank(embed_split(predictor, read_folder(tmp_path / "data", "val")), tmp_path / "bank.parquet")

    page.get_by_role("tab", name="Evaluate").click()
    with page.expect_file_chooser() as chooser:
        page.locator("#open-bank").click()
    chooser.value.set_files(tmp_path / "bank.parquet")
    expect(page.locator("#bank-about")).to_contain_text("2 images", timeout=LONG)
    page.locator("#bank-data textarea, #bank-data input").fill(str(tmp_path / "data"))
    page.locator("#bank-data textarea, #bank-data input").press("Enter")
    expect(page.locator("#cell-images .ece-card")).to_have_count(2, timeout=LONG)

    page.locator("#confusion [data-truth='7'][data-predicted='20']").click()
    expect(page.locator("#cell-images")).to_contain_text("cat predicted as wall", timeout=LONG)
    expect(page.locator("#cell-images .ece-card")).to_have_count(1, timeout=LONG)
    page.screenshot(path=ARTIFACTS / "evaluate-images.png", full_page=True)
    page.locator("#cell-images .ece-card").click()
    expect(page.locator("#segment-view")).to_contain_text("chelsea:", timeout=LONG)
    page.get_by_role("tab", name="Pixel").click()
    expect(page.locator("#truth-scores")).to_contain_text("labelled pixels", timeout=LONG)
    page.get_by_role("tab", name="Similarity").click()
    expect(page.locator("#class-picker input")).to_have_value("wall", timeout=LONG)
