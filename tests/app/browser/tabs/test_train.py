"""The Train tab by its shortest ways: a name, a folder, Start; a zip, Start, and the run's embeddings on the map."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.helpers import write_folder, write_leaves
from tests.support.web.browsing import ARTIFACTS, LONG

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


def test_a_zip_becomes_a_run_and_its_embeddings_are_on_the_map(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Train").click()
    page.set_input_files("#run-zip input[type=file]", write_leaves(tmp_path / "leaves.zip"))
    found = page.locator("#run-data-found")
    expect(found).to_contain_text("2 classes, 6 photos to train on, 2 to validate", timeout=LONG)
    expect(found.locator("tbody tr")).to_have_count(3)
    expect(found.locator("img")).to_have_count(6)
    page.screenshot(path=ARTIFACTS / "train-data.png", full_page=True)

    page.locator("#run-advanced button").first.click()
    page.locator("#run-crop :is(input, textarea)").fill("64")
    page.locator("#run-more :is(input, textarea)").fill("--image-size 96 --workers 0 --precision fp32")
    page.locator("#measure-steps").click()
    expect(page.locator("#run-length")).to_contain_text("A step takes about", timeout=LONG)
    page.locator("#run-steps :is(input, textarea)").fill("20")
    page.locator("#start-run").click()
    expect(page.locator("#run-status")).to_contain_text("leaves-1", timeout=LONG)
    expect(page.locator("#run-status [data-state=finished]")).to_be_visible(timeout=LONG)

    page.locator("#open-run").click()
    expect(page.get_by_role("tab", name="Class embeddings")).to_have_attribute("aria-selected", "true", timeout=LONG)
    expect(page.locator("#projection-note")).to_contain_text("points of reference photos", timeout=LONG)
    expect(page.locator("#embedding-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    expect(page.locator("#model-picker input")).to_have_value(re.compile(r"^leaves-1 \(run"))
    page.screenshot(path=ARTIFACTS / "train-map.png", full_page=True)


def test_mistakes_are_told_beside_their_fields(page: Page, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Train").click()
    page.locator("#start-run").click()
    expect(page.locator("#run-name-error [role=alert]")).to_contain_text("run name", timeout=LONG)
    page.locator("#run-name :is(input, textarea)").fill("mistaken")
    page.locator("#run-data :is(input, textarea)").fill(str(tmp_path))
    page.locator("#check-data").click()
    expect(page.locator("#run-data-error [role=alert]")).to_contain_text("images/train", timeout=LONG)
    page.locator("#start-run").click()
    expect(page.locator("#run-name-error")).not_to_be_visible(timeout=LONG)
    expect(page.locator("#run-data-error [role=alert]")).to_contain_text("images/train")
    expect(page.locator(".toast-message-text")).to_have_count(0)
