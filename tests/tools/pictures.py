"""The pictures of README and docs, made anew: `make pictures`, or `python -m tests.tools.pictures map few-shot` for
some of them.

The app runs in a real Chromium, on photos that installed packages carry; no other photo is seen.
"""

import argparse
import io
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from ecenet.app.sidebar.photos import example_photos
from ecenet.app.tabs.segment import FIRST_SIGHT
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import overlay, side_by_side
from ecenet.inference.predictor import Predictor
from ecenet.studies.ablation_plot import ablation_figure
from tests.support.web.browsing import ROOT, paint, served_app, stage_button, started_browser, wait_for_cover

ASSETS = ROOT / "assets"
WIDTH, HEIGHT, MARGIN = 1280, 900, 12
CAT, ASTRONAUT = 0, 1
"""Places among the examples."""
MAX_BYTES = 150_000
FEW_SHOT = ASSETS / "few-shot.json"
"""Written by `fewshot --json`, as `docs/studies.md` says."""
ABLATION = ASSETS / "ablation.json"
"""Written by `ablate`, as `docs/studies.md` says."""


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
    expect(result).to_contain_text("Pixels that changed class")
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


def few_shot_figure() -> go.Figure:
    """Mean IoU over the classes against the number of painted photos; bars are deviations between draws."""
    rows = json.loads(FEW_SHOT.read_text(encoding="utf-8"))["rows"]
    figure = go.Figure()
    for (method, rivals), name, dash in (
        (("backbone", "rest"), "prototypes of the bare backbone", "solid"),
        (("reconstructed", "rest"), "prototypes behind Feature Reconstruction", "solid"),
        (("prototypes", "own"), "painted class, three prototypes", "solid"),
        (("pyramid", "own"), "painted class, pyramid", "solid"),
        (("pyramid", "rest"), "painted class and rest, pyramid", "solid"),
        (("everywhere", "none"), "the whole photo is the class", "dot"),
    ):
        mine = [row for row in rows if (row["method"], row["rivals"]) == (method, rivals)]
        shots = sorted({row["shots"] for row in mine})
        draws = [100 * np.mean([row["iou"] for row in mine if row["shots"] == count], axis=0) for count in shots]
        figure.add_trace(
            go.Scatter(
                x=shots,
                y=[one.mean() for one in draws],
                error_y={"array": [one.std(ddof=1) for one in draws], "thickness": 1},
                name=name,
                mode="lines" if dash == "dot" else "lines+markers",
                line={"dash": dash},
            )
        )
    figure.update_layout(
        template="plotly_white",
        width=720,
        height=380,
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        title={"text": "Classes that the weights never saw, found in other photos", "font": {"size": 15}, "x": 0.02},
        xaxis={"title": "painted photos", "tickvals": [1, 5, 10]},
        yaxis={"title": "mean IoU, percent", "rangemode": "tozero"},
    )
    return figure


def ablation_of_camvid() -> go.Figure:
    figure = ablation_figure(json.loads(ABLATION.read_text(encoding="utf-8"))["results"])
    return figure.update_layout(template="plotly_white", width=820, margin={"l": 10, "r": 10, "t": 40, "b": 30})


FIGURES: dict[str, Callable[[], go.Figure]] = {"few-shot": few_shot_figure, "ablation": ablation_of_camvid}
"""Drawn from figures that commands have written."""


def capture(page: Page, parts: list[Locator]) -> bytes:
    """The part of the page that holds all of them, over its whole width from the first to the last."""
    page.mouse.wheel(0, 0)
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator(".toast-body")).to_have_count(0)
    page.wait_for_timeout(500)
    boxes = [box for part in parts if (box := part.bounding_box()) is not None]
    left, top = (max(0, min(box[axis] for box in boxes) - MARGIN) for axis in ("x", "y"))
    right = min(WIDTH, max(box["x"] + box["width"] for box in boxes) + MARGIN)
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    return page.screenshot(full_page=True, clip={"x": left, "y": top, "width": right - left, "height": bottom - top})


def save(content: bytes, name: str) -> None:
    """In as many colours as its size allows: hardly seen, and a third of the bytes."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    path = ASSETS / f"{name}.png"
    for colors in (256, 192, 128, 112, 96):
        few = picture.quantize(colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            break
    print(f"{path.relative_to(ROOT)}: {picture.width}×{picture.height}, {path.stat().st_size / 1000:.0f} kB")


def first_sight() -> None:
    """What the Segment tab shows before there is a photo."""
    prediction = Predictor.from_weights("everyday").predict(example_photos()[0][0])
    stages = [prediction.stages[name].label_map for name in ("ece", "stage3", "final")]
    masks = [overlay(prediction.image, label_map, prediction.class_colors) for label_map in stages]
    small = [thumbnail(picture, max_side=260) for picture in (prediction.image, *masks)]
    side_by_side(small).save(FIRST_SIGHT, quality=82)


def new_page(browser: Browser) -> Page:
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce"
    )
    context.set_default_timeout(120_000)
    return context.new_page()


def main() -> None:
    known = [*PICTURES, *FIGURES, "first-sight"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(known)}; without any, all")
    names = parser.parse_args().names or known
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"Expected some of {', '.join(known)}, got {', '.join(unknown)}; choose among these.")
    if "first-sight" in names:
        first_sight()
    with tempfile.TemporaryDirectory() as runs, started_browser() as browser:
        for name in (name for name in FIGURES if name in names):
            page = new_page(browser)
            page.set_content(FIGURES[name]().to_html(include_plotlyjs=True))
            save(page.locator(".js-plotly-plot").screenshot(), name)
        if set(names) & set(PICTURES):
            with served_app(Path(runs)) as address:
                for name in (name for name in PICTURES if name in names):
                    page = new_page(browser)
                    page.goto(address)
                    save(capture(page, PICTURES[name](page)), name)
                    page.context.close()


if __name__ == "__main__":
    main()
