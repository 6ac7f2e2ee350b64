"""The app as a person meets it: photos, masks, trainings."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.helpers import write_folder
from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, stage_button, upload

pytestmark = pytest.mark.browser

TRAINING = 300_000
"""Milliseconds: a process that imports torch, sixty tiny steps, three validations."""
TINY = (
    "--no-pretrained --embed-dim 8 --image-size 64 --batch-size 4 --crop-size 32 --frozen-steps 4 --validate-every 20"
)


def shown_stage(page: Page) -> str | None:
    return page.locator("#segment-view img[data-stage]:visible").get_attribute("data-stage")


def test_from_a_photo_to_masks_similarity_and_embeddings(page: Page) -> None:
    expect(page.locator("#segment-view")).to_contain_text("Drop or paste a photo")

    upload(page, PHOTOS / "chelsea.png")
    legend = page.locator("#segment-view .ece-legend:visible")
    expect(legend).to_contain_text("cat", timeout=LONG)
    assert shown_stage(page) == "final"
    page.screenshot(path=ARTIFACTS / "segment.png")

    for title, name in (("Coarse (ECE)", "ece"), ("Stage 4", "stage4"), ("Stage 1", "stage1")):
        stage_button(page, title).click()
        expect(page.locator(f"#segment-view img.ece-mask[data-stage={name}]")).to_be_visible()
        assert shown_stage(page) == name
        expect(legend).to_contain_text("cat")

    page.locator("#segment-view [data-frame=stage3]").click()
    expect(page.locator("#segment-view img.ece-mask[data-stage=stage3]")).to_be_visible()
    expect(page.locator("#stage-picker").get_by_label("Stage 3")).to_be_checked()
    stage_button(page, "Stage 1").click()

    # The stage and the opacity that were chosen hold for the next photo too.
    upload(page, PHOTOS / "astronaut.png")
    expect(legend).to_contain_text("person", timeout=LONG)
    assert shown_stage(page) == "stage1"

    page.get_by_role("tab", name="Similarity").click()
    maps = page.locator("#similarity-view .ece-card")
    expect(maps).to_have_count(6)
    picture = maps.first.locator("img").get_attribute("src")
    page.locator("#class-picker input").click()
    page.get_by_role("option", name="dog", exact=True).click()
    expect(page.locator("#similarity-view .ece-scale")).to_contain_text("dog")
    assert maps.first.locator("img").get_attribute("src") != picture
    page.screenshot(path=ARTIFACTS / "similarity.png")

    page.get_by_role("tab", name="Class embeddings").click()
    expect(page.locator("#projection-note")).to_contain_text(re.compile("UMAP of|UMAP</strong> of"), timeout=LONG)
    expect(page.locator("#embedding-plot .js-plotly-plot")).to_be_visible()
    page.locator("#color-by").get_by_label("Stage").check()
    expect(page.locator("#embedding-plot .legend")).not_to_contain_text("wall")
    expect(page.locator("#embedding-plot .legend")).to_contain_text("Stage 4")
    page.screenshot(path=ARTIFACTS / "embeddings.png")


def test_opacity_changes_the_mask_without_asking_the_server(page: Page, asked: list[str]) -> None:
    page.locator("#examples button").first.click()
    mask = page.locator("#segment-view img.ece-mask[data-stage=final]")
    expect(mask).to_be_visible(timeout=LONG)
    page.locator("#mask-opacity input[type=range]").fill("0.2")
    expect(mask).to_have_css("opacity", "0.2")
    assert not asked


PUT_PICTURE_ON_CLIPBOARD = """async () => {
  const canvas = Object.assign(document.createElement('canvas'), {width: 300, height: 200});
  canvas.getContext('2d').fillRect(50, 50, 100, 100);
  const blob = await new Promise(resolve => canvas.toBlob(resolve, 'image/png'));
  await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
}"""


def test_a_picture_can_be_pasted(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(PUT_PICTURE_ON_CLIPBOARD)
    page.get_by_role("button", name="Paste from clipboard").click()
    expect(page.locator("#segment-view")).to_contain_text("300×200 image", timeout=LONG)
    expect(page.locator("#session-photos button")).to_have_count(1)


def test_a_file_that_is_no_image_is_told_so_and_the_photos_stay(page: Page, tmp_path: Path) -> None:
    page.locator("#examples button").first.click()
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat", timeout=LONG)
    for name, content in (
        ("empty.png", b""),
        ("text.jpg", b"this is no image"),
        ("cut.png", (PHOTOS / "chelsea.png").read_bytes()[:20_000]),
    ):
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        toast = page.locator(".toast-message-text", has_text=name)
        expect(toast).to_be_visible(timeout=LONG)
        expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat")
        expect(page.locator("#session-photos button")).to_have_count(1)


def test_the_page_fits_a_phone_and_goes_to_new_masks(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(LONG)
    page = context.new_page()
    page.goto(address)
    page.locator("#examples button").first.click()
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat", timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
    expect(page.locator("#segment-view .ece-stack").first).to_be_in_viewport(ratio=0.9)
    page.screenshot(path=ARTIFACTS / "phone-view.png")
    page.screenshot(path=ARTIFACTS / "phone.png", full_page=True)
    page.mouse.wheel(0, -300)
    expect(page.locator("#session-photos button")).to_be_in_viewport()
    page.locator("#examples button").last.dispatch_event("click")  # Playwright's click would scroll there first
    expect(page.locator("#segment-view .ece-legend:visible")).not_to_contain_text("cat", timeout=LONG)
    expect(page.locator("#segment-view .ece-stack").first).to_be_in_viewport(ratio=0.9)
    context.close()


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#run-{name} :is(input, textarea)")


def fill_form(page: Page, *, name: str, data: Path, steps: int) -> None:
    page.get_by_role("tab", name="Train").click()
    field(page, "name").fill(name)
    field(page, "data").fill(str(data))
    page.locator("#run-start-from input").click()
    page.get_by_role("option", name="none: download").click()
    if not field(page, "more").is_visible():
        page.locator("#run-advanced button").first.click()
    field(page, "steps").fill(str(steps))
    field(page, "more").fill(TINY)


def test_a_run_from_its_form_to_a_photo_segmented_by_it(page: Page, tmp_path: Path) -> None:
    page.locator("#examples button").first.click()
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("cat", timeout=LONG)

    fill_form(page, name="../up", data=tmp_path / "data", steps=60)
    page.locator("#start-run").click()
    expect(page.locator("#run-name-error [role=alert]")).to_contain_text("run name", timeout=LONG)
    field(page, "name").fill("tiny")
    page.locator("#start-run").click()
    expect(page.locator("#run-data-error [role=alert]")).to_contain_text("data", timeout=LONG)

    write_folder(tmp_path / "data")
    page.locator("#start-run").click()
    status = page.locator("#run-status")
    expect(status).to_contain_text("starting", timeout=LONG)
    expect(page.locator("#loss-plot .js-plotly-plot")).to_be_visible(timeout=TRAINING)
    expect(page.locator("#sample-picture img")).to_be_visible(timeout=TRAINING)

    # A page that is opened anew finds the run again.
    page.reload()
    page.get_by_role("tab", name="Train").click()
    expect(status).to_contain_text("tiny", timeout=LONG)
    expect(page.locator("#run-status [data-state=finished]")).to_be_visible(timeout=TRAINING)
    expect(page.locator("#loss-plot .js-plotly-plot")).to_be_visible()
    expect(page.locator("#miou-plot .legend")).to_contain_text("Stage 4")
    page.locator("#sample-number input[type=range]").fill("1")
    expect(page.locator("#sample-picture")).to_contain_text("Step 20")
    page.screenshot(path=ARTIFACTS / "train.png", full_page=True)

    page.locator("#examples button").first.click()
    page.get_by_role("tab", name="Segment").click()
    legend = page.locator("#segment-view .ece-legend:visible")
    expect(legend).not_to_contain_text("grass")
    page.locator("#model-picker input").click()
    page.get_by_role("option", name="tiny (run").click()
    # What sixty steps have learned is anybody's guess, perhaps the cat alone, but only the run's three classes.
    rows = r"(\s*(sky|grass|cat)\s*[\d.]+%\s*\d+%)+"
    expect(legend).to_have_text(re.compile(rf"^\s*Final\s*Class\s*Area\s*Confidence{rows}\s*$"), timeout=LONG)
    page.get_by_role("tab", name="Similarity").click()
    expect(page.locator("#class-picker input")).to_have_value(re.compile("sky|grass|cat"))

    page.locator("#model-picker input").click()
    page.get_by_role("option", name="everyday", exact=True).click()
    page.get_by_role("tab", name="Segment").click()
    expect(legend).to_contain_text("wall", timeout=LONG)


def test_a_run_is_stopped_and_resumed_from_the_page(page: Page, tmp_path: Path) -> None:
    fill_form(page, name="endless", data=write_folder(tmp_path / "data"), steps=100_000)
    page.locator("#start-run").click()
    expect(page.locator("#run-status [data-state=running]")).to_be_visible(timeout=TRAINING)
    page.locator("#stop-run").click()
    expect(page.locator("#run-status [data-state=stopped]")).to_be_visible(timeout=TRAINING)
    expect(page.locator("#stop-run")).to_be_disabled()
    page.locator("#resume-run").click()
    expect(page.locator("#run-status [data-state=running]")).to_be_visible(timeout=TRAINING)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing may stick out sideways"
    page.screenshot(path=ARTIFACTS / "train-phone.png", full_page=True)
    page.locator("#stop-run").click()
    expect(page.locator("#run-status [data-state=stopped]")).to_be_visible(timeout=TRAINING)
