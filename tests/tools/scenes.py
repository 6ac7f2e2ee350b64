"""Views of the app that the docs show: what leads to each, and which parts of the page it holds."""

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.support.web.browsing import paint, stage_button, wait_for_cover

CAT, ASTRONAUT = 0, 1
"""Places among the examples."""


def look_at(page: Page, *examples: int) -> None:
    """Examples, one after the other; the last one stays selected."""
    for count, example in enumerate(examples, start=1):
        page.locator("#examples button").nth(example).click()
        expect(page.locator("#session-photos button")).to_have_count(count)
    expect(page.locator("#segment-view .ece-legend:visible")).to_contain_text("%")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def choose(page: Page, field: str, option: str) -> None:
    page.locator(f"#{field} input").click()
    page.get_by_role("option", name=option, exact=True).click()
    expect(page.get_by_role("option")).to_have_count(0)


def open_what_if(page: Page, *examples: int, accordion: str) -> None:
    """With one accordion open."""
    look_at(page, *examples)
    open_tab(page, "What if")
    expect(page.locator("#easel canvas")).to_be_visible()
    if accordion != "paint-class":
        page.locator("#paint-class button").first.click()
        page.locator(f"#{accordion} button").first.click()


def result_of(page: Page) -> Locator:
    """Of a what-if, once it is there."""
    result = page.locator("#what-if-result")
    expect(result).to_contain_text("Pixels that change their class")
    return result


def segment(page: Page) -> list[Locator]:
    look_at(page, CAT)
    picture = page.locator("#segment-view .ece-picture .ece-stack").first
    box = picture.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.86 * box["width"], box["y"] + 0.45 * box["height"])
    expect(page.locator("#segment-view .ece-tip")).to_be_visible()
    return [page.locator("h1"), page.locator("#segment-view"), page.locator("#photo-input")]


def embeddings(page: Page) -> list[Locator]:
    look_at(page, CAT)
    open_tab(page, "Class embeddings")
    expect(page.locator("#projection-note")).to_contain_text(re.compile(r"UMAP of .* reference photos"))
    expect(page.locator("#neighbors .ece-neighbors li")).to_have_count(8)
    page.wait_for_function("document.querySelector('#embedding-plot .js-plotly-plot')?._fullLayout.annotations.length")
    return [
        page.locator("h1"),
        page.locator("#model-picker"),
        page.locator("#embedding-plot"),
        page.locator("#neighbors"),
    ]


def paint_a_class(page: Page) -> list[Locator]:
    open_what_if(page, CAT, accordion="paint-class")
    paint(page, (0.32, 0.22), (0.61, 0.25))
    wait_for_cover(page, 0.01, 0.3)
    page.locator("#class-name input, #class-name textarea").fill("forehead")
    page.locator("#make-class").click()
    return [page.locator("#easel-tool"), page.locator("#paint-class"), result_of(page)]


def edit_a_stage(page: Page) -> list[Locator]:
    open_what_if(page, CAT, accordion="edit-stages")
    page.locator("#easel-tool").get_by_label("Box").check()
    paint(page, (0.02, 0.03), (0.5, 0.97))
    wait_for_cover(page, 0.4, 0.5)
    choose(page, "edit-class", "sofa")
    page.locator("#change-mask").click()
    return [page.locator("#easel-tool"), page.locator("#edit-stages"), result_of(page)]


def knock_out(page: Page) -> list[Locator]:
    open_what_if(page, CAT, accordion="knock-out")
    for stage in (4, 3, 2, 1):
        page.locator("#off-updater").get_by_label(f"Stage {stage}").uncheck()
    result = result_of(page)
    expect(result.locator("table")).to_contain_text("Embedding moved")
    return [page.locator("#easel-tool"), page.locator("#knock-out"), result]


def transplant(page: Page) -> list[Locator]:
    open_what_if(page, ASTRONAUT, CAT, accordion="move-embedding")
    choose(page, "move-source", "1: astronaut")
    choose(page, "move-class", "person")
    page.locator("#move-apply").click()
    return [page.locator("#easel-tool"), page.locator("#move-embedding"), result_of(page)]


def warning(page: Page) -> list[Locator]:
    look_at(page, ASTRONAUT)
    stage_button(page, "Stage 2").click()
    open_tab(page, "Class embeddings")
    table = page.locator("#consistency")
    expect(table).to_contain_text("may be wrong")
    table.locator("summary").click()
    return [table]


def faithfulness(page: Page) -> list[Locator]:
    look_at(page, CAT)
    open_tab(page, "Similarity")
    page.locator("#judge-map").click()
    badge, curves = page.locator("#map-badge"), page.locator("#faithfulness-plot")
    expect(badge).to_contain_text("Insertion")
    expect(curves.locator(".js-plotly-plot")).to_be_visible()
    return [page.locator("#judge-map"), badge, curves]


PICTURES: dict[str, Callable[[Page], list[Locator]]] = {
    "screenshot": segment,
    "map": embeddings,
    "what-if": paint_a_class,
    "edit-stage": edit_a_stage,
    "knock-out": knock_out,
    "transplant": transplant,
    "warning": warning,
    "faithfulness": faithfulness,
}
"""What leads to each picture, and which parts of the page it is to hold."""
