"""The map's script, given maps made by hand: lost WebGL, keys, selections, pictures behind points."""

import json
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from ecenet.analysis.plots import embeddings as plots
from ecenet.app.static_files import read_static
from ecenet.app.widgets.markup import data_uri
from tests.support.maps import MADE_STAGES, map_of, render, session_of
from tests.support.web.map_page import map_page

pytestmark = pytest.mark.browser

MAP = "document.querySelector('#embedding-plot .js-plotly-plot')"
INKED = f"""() => [...{MAP}.querySelectorAll('.gl-container canvas')].some((canvas) => {{
  const copy = Object.assign(document.createElement('canvas'), {{ width: canvas.width, height: canvas.height }});
  const context = copy.getContext('2d');
  context.drawImage(canvas, 0, 0);
  return context.getImageData(0, 0, copy.width, copy.height).data.some((value) => value > 0);
}})"""
"""Whether anything is drawn with WebGL."""
LOSE = f"""(forGood) => {{
  const canvases = [...{MAP}.querySelectorAll('.gl-container canvas')];
  const contexts = canvases.map((canvas) => canvas.getContext('webgl') ?? canvas.getContext('webgl2'));
  const get = HTMLCanvasElement.prototype.getContext;
  if (forGood) HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {{
    return kind.includes('webgl') ? null : get.call(this, kind, ...rest);
  }};
  contexts.forEach((context) => context?.getExtension('WEBGL_lose_context').loseContext());
}}"""
PLACES = f"""() => {{
  const {{ left, top }} = {MAP}.getBoundingClientRect(), {{ xaxis, yaxis }} = {MAP}._fullLayout;
  return {MAP}._fullData.filter((trace) => trace.customdata && trace.visible === true).flatMap(
    (trace) => [...trace.customdata].map((row, i) => [
      row, left + xaxis._offset + xaxis.l2p(trace.x[i]), top + yaxis._offset + yaxis.l2p(trace.y[i]),
    ]));
}}"""
"""Rows of the points that are shown, and where they are on the page."""
TYPES = f"[...new Set({MAP}._fullData.map((trace) => trace.type))]"


COLOR_AT = f"""([x, y]) => {{
  const {{ xaxis, yaxis }} = {MAP}._fullLayout;
  const [canvas, picked] = {MAP}.querySelectorAll('.gl-container canvas');
  const copy = Object.assign(document.createElement('canvas'), {{ width: canvas.width, height: canvas.height }});
  const context = copy.getContext('2d'), scale = canvas.width / {MAP}.offsetWidth;
  context.fillStyle = 'white';
  context.fillRect(0, 0, copy.width, copy.height);
  for (const one of [canvas, picked]) context.drawImage(one, 0, 0);
  const place = [xaxis._offset + xaxis.l2p(x), yaxis._offset + yaxis.l2p(y)].map((one) => Math.round(scale * one));
  return [...context.getImageData(...place, 1, 1).data].slice(0, 3);
}}"""
"""Red, green and blue at a place of the map."""
LAST_PICKED = "window.sent.at(-1)[1].points"
PRESS = f"""(keys) => keys.forEach((key) => (
  {MAP}.dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true, cancelable: true }}))))"""
"""At once, however busy the machine is."""
CARD_COLORS = """() => {
  const canvas = document.querySelector('.ece-map-card canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return Array.from({ length: data.length / 4 }, (_, i) => [...data.slice(4 * i, 4 * i + 3)]);
}"""
NEAREST = """([places, from, direction]) => nearestAlong(
  places.map(([row, x, y]) => ({row, x, y})), {x: from[0], y: from[1]}, direction)?.row"""


DIMENSIONS = """document.body.insertAdjacentHTML(
  'beforeend', '<p id="projection-dimensions"><input type="radio" aria-label="2-D"></p>')"""


def value_of(*names: str, **changes: Any) -> str:
    """What the script is given of hand-made photos."""
    return str(render(session_of(*names), **changes)[0])


def wait_for_ink(page: Page) -> None:
    page.wait_for_function(f"{MAP}?._fullData && ({INKED})()")


def test_a_map_that_lost_its_webgl_is_drawn_anew_with_what_was_hidden(browser: Browser) -> None:
    with map_page(browser, value_of("one")) as page:
        wait_for_ink(page)
        page.locator("#embedding-plot .legend .traces", has_text="cat").locator(".legendtoggle").click()
        hidden = f"{MAP}._fullData.filter((trace) => trace.visible === 'legendonly').map((trace) => trace.name)"
        page.wait_for_function(f"{hidden}.length > 0")
        page.evaluate(LOSE)
        assert not page.evaluate(INKED), "the test can tell"
        wait_for_ink(page)
        assert set(page.evaluate(hidden)) == {"cat"}
        assert page.evaluate(TYPES) == ["scattergl"]
        expect(page.locator(".ece-map-note")).to_be_hidden()
        # Its clicks are still heard.
        row, *place = page.evaluate(PLACES)[4]
        page.mouse.move(place[0] - 2, place[1])
        page.mouse.move(*place)
        expect(page.locator(".hoverlayer .hovertext")).to_be_visible()
        page.mouse.click(*place)
        page.wait_for_function("window.sent.length > 0")
        ((event, data),) = page.evaluate("window.sent")
        assert event == "point"
        assert data["index"] == row


@pytest.mark.parametrize("by_stage", [False, True])
def test_a_map_that_loses_webgl_again_is_drawn_as_svg_and_says_so(browser: Browser, by_stage: bool) -> None:
    with map_page(browser, value_of("one", "two", by_stage=by_stage)) as page:
        for _ in range(2):
            wait_for_ink(page)
            page.evaluate(LOSE)
        page.wait_for_function(f"{MAP}?._fullData && {TYPES}.join() === 'scatter'")
        expect(page.locator(".ece-map-note")).to_contain_text("drawn as SVG")
        expect(page.locator("#embedding-plot .scatterlayer .point").first).to_be_visible()
        if by_stage:
            before = page.locator("#embedding-plot .scatterlayer .point").count()
            page.locator("#embedding-plot [data-frame]").first.click()
            expect(page.locator("#embedding-plot [data-frame]").first).to_have_attribute("aria-pressed", "true")
            page.wait_for_function(f"{TYPES}.join() === 'scatter'")
            assert page.locator("#embedding-plot .scatterlayer .point").count() == before == 6


def test_without_webgl_a_lost_map_is_svg_at_once_and_three_dimensions_say_what_they_need(browser: Browser) -> None:
    with map_page(browser, value_of("one", "two")) as page:
        wait_for_ink(page)
        page.evaluate(LOSE, True)
        page.wait_for_function(f"{MAP}?._fullData && {TYPES}.join() === 'scatter'")
        page.evaluate("value => window.set('value', value)", value_of("one", "two", options=("PCA", 3, 0, 15, 0.2, 30)))
        expect(page.locator(".ece-plot")).to_contain_text("Three dimensions need WebGL")
        page.evaluate("value => window.set('value', value)", value_of("one"))
        expect(page.locator("#embedding-plot .scatterlayer .point").first).to_be_visible()


def test_an_arrow_key_leads_to_the_nearest_point_within_its_quarter(browser: Browser) -> None:
    page = browser.new_page()
    page.add_script_tag(content=read_static("map/keys.js"))
    right, left, up, down = [1, 0], [-1, 0], [0, -1], [0, 1]
    places = [[0, 0, 0], [1, 10, 9], [2, 6, 7], [3, 30, 0], [4, 0, -4], [5, 0.2, 0]]

    def nearest(start: list[float], direction: list[int]) -> Any:
        return page.evaluate(NEAREST, [places, start, direction])

    assert nearest([0, 0], right) == 1, "2 is nearer, but lies below rather than beside"
    assert nearest([0, 0], down) == 2
    assert nearest([0, 0], up) == 4
    assert nearest([0, 0], left) is None
    assert nearest([10, 9], right) == 3, "beyond it, though higher"
    assert nearest([0.2, 0], left) is None, "a fifth of a pixel is no step"
    page.close()


def test_arrow_keys_select_points_as_clicks_do_and_leave_out_what_the_legend_hides(browser: Browser) -> None:
    session = session_of("one", "two")
    current = map_of(session)
    places = current.projection.coordinates
    dog = current.points.find(image=0, stage="stage4", class_index=1)
    assert places[dog].tolist() == [1, 1]
    with map_page(browser, value_of("one", "two")) as page:
        wait_for_ink(page)
        key = page.evaluate("JSON.parse(window.props.value).key")
        start = {"index": dog, "map": key, "at": [1, 1], "size": 12}
        page.evaluate("ring => window.set('ring', ring)", start)
        page.wait_for_function(f"{MAP}._fullLayout.annotations.length === 1")
        page.locator(".ece-plot").focus()
        # The scripted map is a grid: classes from left to right, stages from bottom to top.
        page.evaluate(PRESS, ["ArrowUp", "ArrowRight"])
        page.wait_for_function("window.sent.length > 0")
        ((event, data),) = page.evaluate("window.sent")
        assert (event, data["map"]) == ("point", key)
        assert places[data["index"]].tolist() == [2, 2], "one event for both keys"
        expect(page.locator(".ece-map-said")).to_contain_text("cat at Stage 3")
        expect(page.locator(".ece-map-card")).to_contain_text("cat at Stage 3")
        ring = f"{MAP}._fullLayout.annotations.map((ring) => [ring.x, ring.y])"
        page.wait_for_function(f"JSON.stringify({ring}) === '[[2,2]]'")

        # What the server answers then moves the ring again.
        page.evaluate("ring => window.set('ring', ring)", start | {"index": data["index"], "at": [2, 2]})
        page.locator("#embedding-plot .legend .traces", has_text="dog").locator(".legendtoggle").click()
        page.wait_for_function(f"{MAP}._fullData.some((trace) => trace.visible === 'legendonly')")
        page.locator(".ece-plot").focus()
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("window.sent.length > 1")
        assert places[page.evaluate("window.sent[1][1].index")].tolist() == [0, 2], "past the dogs"
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(400)
        assert page.evaluate("window.sent.length") == 2, "there is nothing further left"
        found = Axe().run(page, context="#embedding-plot")
        assert found.violations_count == 0, found.generate_report()


def test_a_crowd_in_three_dimensions_is_offered_in_two(browser: Browser) -> None:
    deep = value_of("one", options=("PCA", 3, 0, 15, 0.2, 30))
    crowd = json.dumps(json.loads(deep) | {"count": 10_001})
    with map_page(browser, crowd) as page:
        expect(page.locator(".ece-plot")).to_contain_text("10,001 points in three dimensions")
        page.evaluate(DIMENSIONS)
        page.get_by_role("button", name="Show in 2D").click()
        assert page.locator("#projection-dimensions input").is_checked()
        page.get_by_role("button", name="Show in 3D anyway").click()
        page.wait_for_function(f"{MAP}?._fullData?.[0]?.type === 'scatter3d'")
    with map_page(browser, deep) as page:
        page.wait_for_function(f"{MAP}?._fullData?.[0]?.type === 'scatter3d'")


def box_of(page: Page) -> Any:
    """The part of the page that the map's points lie on."""
    box = page.locator("#embedding-plot .nsewdrag").bounding_box()
    assert box is not None
    return box


def pick_left(page: Page, share: float) -> None:
    """Draw a box around the left share of the map."""
    page.locator("#embedding-plot [data-val=select]").click()
    page.wait_for_function(f"{MAP}._fullLayout.dragmode === 'select'")
    box = box_of(page)
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 60, steps=3)
    page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] - 2, steps=3)
    page.mouse.up()


def told(page: Page, count: int) -> set[int]:
    """Rows that the server was told last, once they are this many."""
    page.wait_for_function(f"window.sent.at(-1)?.[0] === 'lasso' && window.sent.at(-1)[1].points.length === {count}")
    return set(page.evaluate("window.sent.at(-1)[1].points"))


def test_a_lasso_counts_what_the_legend_shows_and_greys_the_rest(browser: Browser) -> None:
    current = map_of(session_of("one", "two"))
    classes = current.points.class_index
    with map_page(browser, value_of("one", "two")) as page:
        wait_for_ink(page)
        pick_left(page, 0.7)  # the backgrounds and dogs; cats lie further right
        assert told(page, 20) == set(np.flatnonzero(classes < 2).tolist())
        looks = page.evaluate(f"{MAP}._fullData.filter((trace) => trace.customdata).map((t) => t.unselected.marker)")
        assert looks == [{"color": "rgb(150,150,150)", "opacity": 0.25}] * 3
        dogs, cats = (page.evaluate(COLOR_AT, [x, 2]) for x in (1, 2))
        assert dogs == pytest.approx([200, 40, 40], abs=5)
        assert max(cats) - min(cats) < 10, "cats have lost their blue"

        dog = page.locator("#embedding-plot .legend .traces", has_text="dog").locator(".legendtoggle")
        dog.click()
        assert told(page, 10) == set(np.flatnonzero(classes == 0).tolist())
        dog.click()
        assert told(page, 20) == set(np.flatnonzero(classes < 2).tolist())

        before = page.evaluate("window.sent.length")
        page.evaluate("value => window.set('value', value)", page.evaluate("window.props.value"))
        page.wait_for_timeout(500)
        assert page.evaluate("window.sent.length") == before, "drawn anew, the same points"
        box = box_of(page)
        page.mouse.click(box["x"] + 0.85 * box["width"], box["y"] + 8)
        assert told(page, 0) == set()
        page.wait_for_function(f"!{MAP}._fullLayout.selections.length && !{MAP}.data.some((t) => t.selectedpoints)")
        red, _, blue = page.evaluate(COLOR_AT, [2, 2])
        assert blue - red > 100, "cats have it again"


def test_at_another_stage_a_lasso_holds_the_points_that_lie_in_it_there(browser: Browser) -> None:
    with map_page(browser, value_of(*"abcdef", by_stage=True)) as page:
        wait_for_ink(page)
        pick_left(page, 0.7)
        picked = told(page, 12)
        first = page.evaluate("JSON.parse(window.props.value).items")
        page.locator("#embedding-plot [data-frame]").last.click()
        page.wait_for_function(f"rows => !rows.includes({LAST_PICKED}[0])", arg=sorted(picked))
        moved = told(page, 12)
        assert {first[row] for row in moved} == {first[row] for row in picked}, "its classes lie where they were"


def test_the_region_behind_a_point_is_shown_beside_it_and_a_reference_point_says_it_has_none(browser: Browser) -> None:
    photo = Image.new("RGB", (4, 2), (250, 10, 10))
    labels = np.array([[0, 1, 2, 2], [0, 1, 2, 2]] * len(MADE_STAGES), np.uint8)
    labels[2:4] = 2  # at stage 4 it is a cat all over
    picture = {
        "photo": data_uri(photo, file_format="PNG"),
        "labels": data_uri(Image.fromarray(labels), file_format="PNG"),
        "stages": MADE_STAGES,
    }
    value = json.loads(value_of("one"))
    points = map_of(session_of("one")).points
    dog = points.find(image=0, stage="ece", class_index=1)
    whole = points.find(image=0, stage="stage4", class_index=2)
    reference = points.find(image=0, stage="stage1", class_index=0)
    del value["own"][str(reference)]
    with map_page(browser, json.dumps(value)) as page:
        wait_for_ink(page)
        card = page.locator(".ece-map-card")
        photos = {"map": value["key"], "pictures": [picture]}
        page.evaluate("photos => window.set('photos', photos)", photos)
        for row, colors in ((dog, "f.ff" * 2), (whole, "...." * 2)):
            expect(card).to_be_hidden()
            point_at(page, row)
            expect(card).to_be_visible()
            seen = page.evaluate(CARD_COLORS)
            assert "".join("." if color == [250, 10, 10] else "f" for color in seen) == colors
            assert pytest.approx(seen[0], abs=1) == [0.35 * (0.299 * 250 + 0.701 * 10) + 0.65 * 128] * 3 or row == whole
            inside = card.evaluate(
                "card => { const a = card.getBoundingClientRect(), b = card.parentElement.getBoundingClientRect();"
                " return a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom; }"
            )
            assert inside
            page.mouse.move(2, 2)
        expect(card).to_be_hidden()
        point_at(page, reference)
        expect(card).to_contain_text("Reference photo (no picture stored)")
        expect(card.locator("canvas")).to_be_hidden()
        assert page.evaluate("window.sent") == [], "no server is asked"
        page.mouse.down()
        expect(card).to_be_hidden()
        page.mouse.up()


def test_names_that_would_lie_over_others_give_way_to_those_of_more_points(browser: Browser) -> None:
    page = browser.new_page()
    page.add_script_tag(content=read_static("map/names.js"))
    kept = page.evaluate(
        """(names) => namesApart(names.map(([text, x, y, width, count]) => ({text, x, y, width, count})))
          .map(({text}) => text)""",
        [
            ["few", 10, 10, 20, 3],
            ["many", 29, 20, 20, 9],
            ["beside", 50, 20, 20, 2],
            ["below", 29, 36, 20, 1],
            ["over two", 40, 27, 40, 4],
        ],
    )
    assert kept == ["many", "beside", "below"]
    page.close()


def test_a_narrow_map_shows_fewer_names_and_a_wide_one_all_of_them(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "NAMED_FROM", 3)
    monkeypatch.setattr(plots, "NAMED_MEMBERS", 1)
    # The server leaves out none.
    monkeypatch.setattr(plots, "NAME_WIDTH", 0)
    monkeypatch.setattr(plots, "NAME_HEIGHT", 0)
    texts = f"{MAP}._fullData.filter((trace) => trace.mode === 'text' && trace.text[0]).map((trace) => trace.text[0])"
    value = value_of(*"abcdef", by_stage=True)
    with map_page(browser, value, width=1000) as page:
        page.wait_for_function(f"{MAP}?._fullData && {texts}.length === 3")
        page.set_viewport_size({"width": 130, "height": 800})
        page.wait_for_function(f"{texts}.length < 3")
        shown = page.evaluate(texts)
        assert shown
        page.set_viewport_size({"width": 1000, "height": 800})
        page.wait_for_function(f"{texts}.length === 3")


def point_at(page: Page, row: int | None) -> None:
    place = next(place[1:] for place in page.evaluate(PLACES) if place[0] == row)
    page.mouse.move(place[0] - 3, place[1])
    page.mouse.move(*place)
