"""One photo in every tab, for `docs/tour.md`."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.support.helpers import write_leaves
from tests.support.web.browsing import paint, stage_button, wait_for_cover
from tests.tools.scenes import ASTRONAUT, choose, look_at, open_tab, open_what_if, result_of

SHUTTLE = (0.86, 0.3)
"""A place in the photo, as shares of its width and height."""
FLAG = ((0.05, 0.25), (0.2, 0.5))


def segment(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    return [page.locator("#segment-view")]


def similarity(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    open_tab(page, "Similarity")
    choose(page, "class-picker", "person")
    expect(page.locator("#similarity-view img").first).to_be_visible()
    return [page.locator("#similarity-view")]


def pixel(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    picture = page.locator("#segment-view .ece-picture .ece-stack").first
    box = picture.bounding_box()
    assert box is not None
    picture.click(position={"x": SHUTTLE[0] * box["width"], "y": SHUTTLE[1] * box["height"]})
    open_tab(page, "Pixel")
    expect(page.locator("#probability-plot .js-plotly-plot")).to_be_visible()
    return [page.locator("#decided-map"), page.locator("#probability-plot")]


def embeddings(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    open_tab(page, "Class embeddings")
    expect(page.locator("#neighbors .ece-neighbors li")).to_have_count(8)
    page.wait_for_function("document.querySelector('#embedding-plot .js-plotly-plot')?._fullLayout.annotations.length")
    return [page.locator("#embedding-plot"), page.locator("#neighbors"), page.locator("#map-stages")]


def what_if(page: Page) -> list[Locator]:
    open_what_if(page, ASTRONAUT, accordion="paint-class")
    paint(page, *FLAG)
    wait_for_cover(page, 0.005, 0.4)
    page.locator("#class-name input, #class-name textarea").fill("flag")
    page.locator("#make-class").click()
    return [page.locator("#easel"), result_of(page)]


def compare(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    open_tab(page, "Compare")
    choose(page, "other-picker", "everyday-vit")
    expect(page.locator("#model-pair")).to_contain_text("%")
    return [page.locator("#model-pair")]


def evaluate(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    stage_button(page, "Stage 1").click()
    open_tab(page, "Evaluate")
    expect(page.locator("#embedding-quality")).to_be_visible()
    return [page.locator("#confusion"), page.locator("#embedding-quality")]


def train(page: Page) -> list[Locator]:
    open_tab(page, "Train")
    with tempfile.TemporaryDirectory() as folder:
        page.set_input_files("#run-zip input[type=file]", write_leaves(Path(folder) / "leaves.zip"))
        expect(page.locator("#run-data-found img")).to_have_count(6)
    return [page.locator("#run-data-found")]


TOUR: dict[str, Callable[[Page], list[Locator]]] = {
    "tour-segment": segment,
    "tour-similarity": similarity,
    "tour-pixel": pixel,
    "tour-embeddings": embeddings,
    "tour-what-if": what_if,
    "tour-compare": compare,
    "tour-evaluate": evaluate,
    "tour-train": train,
}
