"""The pictures of README and docs, made anew: `make pictures`, or `python -m tests.tools.pictures map few-shot` for
some of them.

The app runs in a real Chromium, on photos that installed packages carry; no other photo is seen.
"""

import argparse
import io
import json
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
from tests.support.web.browsing import ROOT, served_app, started_browser
from tests.tools.architecture import draw_architectures
from tests.tools.scenes import PICTURES
from tests.tools.tour_scenes import TOUR

ASSETS = ROOT / "assets"
WIDTH, HEIGHT, MARGIN = 1280, 900, 12
MAX_BYTES = 150_000
FEW_SHOT = ASSETS / "few-shot.json"
"""Written by `fewshot --json`, as `docs/studies.md` says."""
ABLATION = ASSETS / "ablation.json"
"""Written by `ablate`, as `docs/studies.md` says."""


SCENES = PICTURES | TOUR


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
    known = [*SCENES, *FIGURES, "first-sight", "architecture"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(known)}; without any, all")
    names = parser.parse_args().names or known
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"Expected some of {', '.join(known)}, got {', '.join(unknown)}; choose from these.")
    if "architecture" in names:
        draw_architectures()
    if "first-sight" in names:
        first_sight()
    with tempfile.TemporaryDirectory() as runs, started_browser() as browser:
        for name in (name for name in FIGURES if name in names):
            page = new_page(browser)
            page.set_content(FIGURES[name]().to_html(include_plotlyjs=True))
            save(page.locator(".js-plotly-plot").screenshot(), name)
        if set(names) & set(SCENES):
            with served_app(Path(runs)) as address:
                for name in (name for name in SCENES if name in names):
                    page = new_page(browser)
                    page.goto(address)
                    save(capture(page, SCENES[name](page)), name)
                    page.context.close()


if __name__ == "__main__":
    main()
