"""The map of class embeddings under a real mouse."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.web.browsing import ARTIFACTS, LONG, PHOTOS, stage_button, upload

pytestmark = pytest.mark.browser

MAP = "document.querySelector('#embedding-plot .js-plotly-plot')"
PLACES = f"""() => {{
  const map = {MAP}, {{ left, top }} = map.getBoundingClientRect(), {{ xaxis, yaxis }} = map._fullLayout;
  return map._fullData.filter(trace => trace.customdata).flatMap(trace => [...trace.customdata].map((row, i) => ({{
    row, text: trace.text[i],
    x: left + xaxis._offset + xaxis.l2p(trace.x[i]), y: top + yaxis._offset + yaxis.l2p(trace.y[i]),
  }})));
}}"""
ONLY_PHOTOS = (
    f"{MAP}?._fullData?.some(trace => trace.customdata) && {MAP}._fullData.every("
    "trace => !trace.customdata || trace.text.every(text => /chelsea|astronaut/.test(text)))"
)
SHOWN = f"{MAP}._fullLayout.uirevision"
"""Names the map that is drawn."""
RING = f"{MAP}._fullLayout.annotations.map(ring => [ring.x, ring.y])"


def open_map(page: Page) -> None:
    """With two photos in it."""
    for name, count in (("chelsea.png", 1), ("astronaut.png", 2)):
        upload(page, PHOTOS / name)
        expect(page.locator("#session-photos button")).to_have_count(count, timeout=LONG)
    page.get_by_role("tab", name="Class embeddings").click()
    page.get_by_label("All together").check()
    # Reference points may lie over the photos' own, where a mouse would hit them.
    page.get_by_label("Reference photos").uncheck()
    page.wait_for_function(f"{ONLY_PHOTOS} && {RING}.length === 1", timeout=LONG)
    expect(page.locator("#projection-note")).to_contain_text(re.compile(r"UMAP of \d+ points"), timeout=LONG)
    page.wait_for_function(f"{ONLY_PHOTOS} && {RING}.length === 1")
    # Gradio's own plot brings a Plotly of its own, which must leave the map's clicks alone.
    expect(page.locator("#centroids-plot .js-plotly-plot")).to_be_visible(timeout=LONG)
    # Beneath it, tables come and go: their scroll bar must not move it.
    page.locator("#embedding-plot").scroll_into_view_if_needed()


def place_of(page: Page, *texts: str) -> dict[str, Any]:
    """A point whose hover text has all of these."""
    return next(place for place in page.evaluate(PLACES) if all(text in place["text"] for text in texts))


def click_point(page: Page, class_name: str, *texts: str) -> None:
    """As a person does: once its label stands beside the pointer, as the page above the map may still move it."""
    label = page.locator("#embedding-plot .hoverlayer .hovertext")
    for _ in range(40):
        place = place_of(page, f"<b>{class_name}</b>", *texts)
        page.mouse.move(place["x"] - 3, place["y"])
        page.mouse.move(place["x"], place["y"])
        try:
            for text in (class_name, *texts):
                expect(label).to_contain_text(text, timeout=3000)
        except AssertionError:
            continue
        page.mouse.click(place["x"], place["y"])
        return
    raise AssertionError(f"no label of {class_name}, {texts} at any pointer")


def test_a_click_on_a_point_changes_photo_stage_and_class_everywhere(page: Page) -> None:
    open_map(page)
    expect(page.locator("#neighbors .ece-point")).to_contain_text("astronaut", timeout=LONG)
    assert page.locator("#embedding-plot .modebar-btn").count() > 3
    expect(page.locator("#embedding-plot [data-title*=Share]")).to_have_count(0)
    ring = page.evaluate(RING)
    key = page.evaluate(SHOWN)

    click_point(page, "cat", "Coarse (ECE)", "chelsea")
    expect(page.locator("#neighbors .ece-point")).to_contain_text("Coarse (ECE), chelsea", timeout=LONG)
    expect(page.locator("#neighbors .ece-point")).to_contain_text("cat")
    page.wait_for_function(f"ring => JSON.stringify({RING}) !== ring", arg=json.dumps(ring))
    assert page.evaluate(SHOWN) == key, "nothing was fitted again"
    page.screenshot(path=ARTIFACTS / "map.png")

    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#segment-view img.ece-mask[data-stage=ece]")).to_be_visible(timeout=LONG)
    expect(page.locator("#segment-view")).to_contain_text("chelsea:")
    page.get_by_role("tab", name="Similarity").click()
    expect(page.locator("#class-picker input")).to_have_value("cat")

    # And back: another view's choice moves the ring.
    page.get_by_role("tab", name="Segment").click()
    stage_button(page, "Stage 3").click()
    page.get_by_role("tab", name="Class embeddings").click()
    expect(page.locator("#neighbors .ece-point")).to_contain_text("Stage 3, chelsea", timeout=LONG)

    # A neighbour may be another class of the same photo and stage.
    page.locator("#neighbors [data-point]").filter(has_not_text="Stage 3, chelsea").first.click()
    expect(page.locator("#neighbors .ece-point")).not_to_contain_text("Stage 3, chelsea", timeout=LONG)


def test_arrow_keys_on_the_map_select_points_for_every_tab(page: Page) -> None:
    open_map(page)
    page.locator("#embedding-plot .ece-plot").focus()
    said = page.locator("#embedding-plot .ece-map-said")
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
        if said.inner_text():
            break
    found = re.fullmatch(r"(.+?) +at (.+) (chelsea|astronaut), [\d.]+% of it", said.inner_text().strip())
    assert found, said.inner_text()
    class_name, stage, photo = found.groups()
    point = page.locator("#neighbors .ece-point")
    expect(point).to_contain_text(f"{stage}, {photo}", timeout=LONG)
    expect(point).to_contain_text(class_name)
    expect(page.locator("#embedding-plot .ece-map-card canvas")).to_be_visible()
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#segment-view")).to_contain_text(f"{photo}:", timeout=LONG)
    expect(stage_button(page, stage)).to_have_attribute("aria-pressed", "true", timeout=LONG)


def test_a_photo_that_is_added_again_lies_on_itself_and_the_note_says_so(page: Page) -> None:
    for count in (1, 2):
        upload(page, PHOTOS / "chelsea.png")
        expect(page.locator("#session-photos button")).to_have_count(count, timeout=LONG)
    page.get_by_role("tab", name="Class embeddings").click()
    page.get_by_label("Reference photos").uncheck()
    note = page.locator("#projection-note")
    expect(note).to_contain_text("10 of 20 points are duplicates", timeout=LONG)
    expect(note).to_contain_text("too few points to form clusters")


RANGE = f"[...{MAP}.layout.xaxis.range, ...{MAP}.layout.yaxis.range]"
CANVAS = "document.querySelector('#embedding-plot .gl-container canvas').style.transform"


def test_the_map_is_moved_as_it_is_and_drawn_once_it_rests(page: Page) -> None:
    open_map(page)
    before, ring = page.evaluate(RANGE), page.evaluate(RING)
    point = page.locator("#neighbors .ece-point").inner_text()
    place = place_of(page, "<b>cat</b>", "Coarse (ECE)")
    width, height = page.locator("#embedding-plot .nsewdrag").evaluate(
        "({width, height}) => [+width.baseVal.value, +height.baseVal.value]"
    )

    page.mouse.move(place["x"], place["y"])  # on a point, which a drag does not choose
    page.mouse.down()
    page.mouse.move(place["x"] + 60, place["y"] - 30, steps=5)
    assert page.evaluate(CANVAS) == "translate(60px, -30px) scale(1)"
    assert page.evaluate(RANGE) == before, "nothing is drawn yet"
    page.mouse.up()
    page.wait_for_function(f"{CANVAS} === ''")
    x, y = 60 / width * (before[1] - before[0]), 30 / height * (before[3] - before[2])
    moved = [before[0] - x, before[1] - x, before[2] - y, before[3] - y]
    assert page.evaluate(RANGE) == pytest.approx(moved, abs=1e-6)
    now = place_of(page, "<b>cat</b>", "Coarse (ECE)")
    assert (now["x"], now["y"]) == pytest.approx((place["x"] + 60, place["y"] - 30), abs=0.5)
    assert page.locator("#neighbors .ece-point").inner_text() == point, "it was no click"
    assert page.evaluate(RING) == ring

    page.mouse.move(now["x"], now["y"])
    page.mouse.wheel(0, -40)
    page.wait_for_function(f"{CANVAS} === '' && {MAP}.layout.xaxis.range[0] > {moved[0]}")
    nearer = page.evaluate(RANGE)
    assert nearer[1] - nearer[0] == pytest.approx((moved[1] - moved[0]) / math.exp(0.2), rel=1e-4)
    there = place_of(page, "<b>cat</b>", "Coarse (ECE)")
    assert (there["x"], there["y"]) == pytest.approx((now["x"], now["y"]), abs=0.5), "the place under the pointer stays"

    page.locator("#color-by").get_by_label("Stage").check()
    expect(page.locator("#embedding-plot .legend").first).not_to_contain_text("wall")
    assert page.evaluate(RANGE) == pytest.approx(nearer), "other colours, the same part of the map"
    click_point(page, "cat", "Coarse (ECE)", "chelsea")
    expect(page.locator("#neighbors .ece-point")).to_contain_text("Coarse (ECE), chelsea", timeout=LONG)

    box = page.locator("#embedding-plot .nsewdrag").bounding_box()
    assert box is not None, "beside the point the map may end"
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function(f"{MAP}.layout.xaxis.autorange === true")
    assert page.evaluate(RANGE) == pytest.approx(before, abs=0.05), "a double click shows all again"


def test_points_in_a_box_become_a_table_that_can_be_downloaded(page: Page) -> None:
    open_map(page)
    page.locator("#embedding-plot [data-val=select]").click()
    page.wait_for_function(f"{MAP}._fullLayout.dragmode === 'select'")
    places = page.evaluate(PLACES)
    left, top = min(place["x"] for place in places) - 15, min(place["y"] for place in places) - 15
    right, bottom = max(place["x"] for place in places) + 15, max(place["y"] for place in places) + 15
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    page.mouse.move(right, bottom, steps=4)
    page.mouse.up()
    expect(page.locator("#picked-points tbody tr")).to_have_count(len(places), timeout=LONG)
    page.screenshot(path=ARTIFACTS / "map-picked.png", full_page=True)
    with page.expect_download() as download:
        page.locator("#picked-points a").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "photo,stage,class,area,confidence"
    assert len(lines) == 1 + len(places)

    card = page.locator("#picked-points .ece-card", has_text="Stage 2, chelsea").first
    card.click()
    expect(page.locator("#neighbors .ece-point")).to_contain_text("Stage 2, chelsea")


def test_the_legend_hides_a_class_and_shows_one_alone(page: Page) -> None:
    upload(page, PHOTOS / "chelsea.png")
    page.get_by_role("tab", name="Class embeddings").click()
    page.wait_for_function(f"{MAP}?._fullData?.length > 20", timeout=LONG)
    names = f"""shown => [...new Set({MAP}._fullData.filter(
        trace => trace.customdata?.length && (trace.visible === true) === shown).map(trace => trace.name))]"""
    cat = page.locator("#embedding-plot .legend .traces", has_text=re.compile("^cat$")).locator(".legendtoggle")
    assert "cat" in page.evaluate(names, True)
    cat.click()
    page.wait_for_function(f"({names})(false).join() === 'cat'", timeout=LONG)
    assert "cat" not in page.evaluate(names, True)
    cat.click()
    page.wait_for_function(f"({names})(false).length === 0", timeout=LONG)
    cat.dblclick()
    page.wait_for_function(f"({names})(true).join() === 'cat'", timeout=LONG)


CAT = f"""() => {{
  const trace = {MAP}._fullData.find(trace => trace.customdata?.length && trace.text.some(
    text => text.includes('<b>cat</b>') && text.includes('chelsea')));
  const i = trace?.text.findIndex(text => text.includes('<b>cat</b>') && text.includes('chelsea'));
  return trace && {{ x: trace.x[i], y: trace.y[i], text: trace.text[i] }};
}}"""
"""Where the map of one stage has the cat of the visitor's photo."""


def test_stages_are_chosen_under_the_map_and_every_tab_follows(page: Page) -> None:
    upload(page, PHOTOS / "chelsea.png")
    page.get_by_role("tab", name="Class embeddings").click()
    small = page.locator("#embedding-plot [data-frame]")
    expect(small).to_have_count(5, timeout=LONG)
    expect(page.locator("#projection-note")).to_contain_text("UMAP of each stage", timeout=LONG)
    page.wait_for_function(f"{RING}.length === 1", timeout=LONG)
    ranges = page.evaluate(RANGE)
    expect(small.last).to_have_attribute("aria-pressed", "true")
    expect(small.last).to_contain_text(re.compile(r"purity [01]\.\d\d, silhouette -?[01]\.\d\d"))
    fine = page.evaluate(CAT)
    assert "Stage 1" in fine["text"]

    small.first.click()
    page.wait_for_function(f"({CAT})().text.includes('Coarse (ECE)') && {RING}.length === 1", timeout=LONG)
    expect(small.first).to_have_attribute("aria-pressed", "true")
    coarse = page.evaluate(CAT)
    assert (coarse["x"], coarse["y"]) != (fine["x"], fine["y"])
    apart = math.hypot(
        (coarse["x"] - fine["x"]) / (ranges[1] - ranges[0]), (coarse["y"] - fine["y"]) / (ranges[3] - ranges[2])
    )
    assert apart < 0.25, "points stay near where they were"
    assert page.evaluate(RANGE) == ranges, "the map stays where it is"
    assert page.evaluate(RING) == [pytest.approx([coarse["x"], coarse["y"]])]
    expect(page.locator("#neighbors .ece-point")).to_contain_text("Coarse (ECE), chelsea", timeout=LONG)
    page.screenshot(path=ARTIFACTS / "map-stages.png", full_page=True)

    # Keys walk along the stages, and Segment shows the same one.
    small.first.focus()
    page.keyboard.press("ArrowRight")
    expect(small.nth(1)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("tab", name="Segment").click()
    expect(stage_button(page, "Stage 4")).to_have_attribute("aria-pressed", "true", timeout=LONG)
    stage_button(page, "Stage 2").click()
    page.get_by_role("tab", name="Class embeddings").click()
    expect(small.nth(3)).to_have_attribute("aria-pressed", "true", timeout=LONG)
    page.wait_for_function(f"({CAT})().text.includes('Stage 2')", timeout=LONG)

    # All of them, one after the other.
    page.locator("#embedding-plot .ece-play").click()
    page.wait_for_function(f"({CAT})().text.includes('Stage 4')", timeout=LONG)
    page.wait_for_function(f"({CAT})().text.includes('Stage 1')", timeout=LONG)
    expect(page.locator("#embedding-plot .ece-play")).to_contain_text("Play")


def test_the_map_has_a_third_dimension_and_other_methods(page: Page) -> None:
    open_map(page)
    page.locator("#projection-options button").first.click()
    page.locator("#projection-dimensions").get_by_label("3-D").check()
    page.wait_for_function(f"{MAP}?._fullData?.[0]?.type === 'scatter3d'", timeout=LONG)
    page.locator("#projection-method").get_by_label("PCA").check()
    expect(page.locator("#projection-note")).to_contain_text("PCA of", timeout=LONG)
    page.locator("#projection-dimensions").get_by_label("2-D").check()
    page.wait_for_function(f"{MAP}?._fullData?.[0]?.type === 'scattergl'", timeout=LONG)
    page.wait_for_function(f"{RING}.length === 1", timeout=LONG)
    page.get_by_label("Stage by stage").check()
    page.locator("#projection-dimensions").get_by_label("3-D").check()
    page.wait_for_function(f"{MAP}?._fullData?.[0]?.type === 'scatter3d'", timeout=LONG)
    page.locator("#embedding-plot [data-frame]").nth(1).click()
    expect(page.locator("#neighbors .ece-point")).to_contain_text("Stage 4", timeout=LONG)
    page.locator("#min-area input[type=range]").fill("10")
    page.locator("#min-area input[type=range]").dispatch_event("pointerup")
    expect(page.locator("#map-quality")).to_contain_text("Trustworthiness")
