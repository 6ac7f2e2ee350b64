"""The map's script, given maps made by hand: lost WebGL, keys, selections, pictures behind points."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.maps import render, session_of
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
