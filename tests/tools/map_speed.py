"""How smoothly the map of class embeddings moves: frames while it is dragged, in Chromium, by number of points.

Run by `make map-speed`. Without a graphics card Chromium's software stands in for one, and its part is in the times.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import plotly
from playwright.sync_api import Page

from ecenet.analysis.embeddings.points import EmbeddingPoints
from ecenet.analysis.embeddings.projection import Projection
from ecenet.analysis.plots.embeddings import embedding_map
from ecenet.app.tabs.embeddings.tab import MAP_JS
from tests.support.web.browsing import started_browser

CLASSES, STAGES, OWN = 13, ("ece", "stage4", "stage3", "stage2", "stage1"), 20
PAGE = """<!doctype html><div id="map"><div class="ece-plot" style="width: 900px; height: 600px"></div>
<div class="ece-stage-maps"></div></div>
<script src="{plotly}"></script>
<script>
const watchers = {{}};
const props = {{ value: {value}, ring: null, stage: null }};
const started = performance.now();
window.said = [];
new Function('element', 'props', 'trigger', 'watch', {script})(
  document.getElementById('map'), props, (name, data) => window.said.push([name, data]), (name, then) => {{}});
</script>"""
WHERE = {
    2: "() => document.querySelector('.ece-plot').layout.xaxis.range[0]",
    3: "() => document.querySelector('.ece-plot')._fullLayout.scene._scene.getCamera().eye.x",
}
"""By dimensions: what a drag to the right makes less, the left end of the map or where it is seen from."""
FRAMES = """() => {
  window.frames_ = []; let last = performance.now();
  const next = (now) => { window.frames_.push(now - last); last = now; window.going = requestAnimationFrame(next); };
  window.going = requestAnimationFrame(next);
}"""


def crowd(count: int, dimensions: int) -> str:
    """JSON of a figure of `count` points, nearly all of them of reference photos."""
    random = np.random.default_rng(0)
    class_index = random.integers(0, CLASSES, count)
    stage = np.array(STAGES)[random.integers(0, len(STAGES), count)]
    centers = random.normal(scale=8, size=(CLASSES, dimensions))
    where = (centers[class_index] + random.normal(size=(count, dimensions))).astype(np.float32)
    image = np.arange(count) // 20
    points = EmbeddingPoints(
        where, image, stage, class_index, random.random(count) / 3, random.random(count).astype(np.float32)
    )
    figure = embedding_map(
        points,
        Projection(where, "UMAP", ""),
        color_by="class",
        class_names=[f"class {k}" for k in range(CLASSES)],
        class_colors=random.integers(40, 220, (CLASSES, 3)).tolist(),
        image_names=[f"photo {i}" for i in range(int(image[-1]) + 1)],
        is_reference=image >= OWN,
    )
    return json.dumps(f'{{"key": "k", "figure": {figure.to_json()}}}')


def measure(page: Page, count: int, dimensions: int, folder: Path) -> dict[str, Any]:
    """Milliseconds until it is drawn, and of a frame while it is dragged."""
    script = json.dumps("".join(path.read_text() for path in MAP_JS))
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    file = folder / f"{count}.html"
    file.write_text(PAGE.format(plotly=library.as_uri(), value=crowd(count, dimensions), script=script))
    page.goto(file.as_uri())
    page.wait_for_selector(".ece-plot .gl-container", state="attached", timeout=120_000)
    drawn = page.evaluate("() => new Promise(r => requestAnimationFrame(() => r(performance.now() - started)))")
    page.wait_for_timeout(2000)
    before = page.evaluate(WHERE[dimensions])
    page.mouse.move(450, 300)
    page.mouse.down()
    page.evaluate(FRAMES)
    for step in range(1, 41):
        page.mouse.move(450 + 5 * step, 300 + 2 * step)
    frames = page.evaluate("() => window.frames_.slice(1)")
    page.mouse.up()
    page.wait_for_function(f"({WHERE[dimensions]})() < {before}")
    page.evaluate("() => cancelAnimationFrame(window.going)")
    ordered = sorted(frames)
    return {
        "points": count,
        "dimensions": dimensions,
        "drawn_ms": round(drawn),
        "frames": len(frames),
        "frame_ms": round(statistics.median(frames), 1),
        "frame_p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--dimensions", type=int, choices=(2, 3), default=2)
    parser.add_argument("--picture", type=Path, help="where to keep what the last map looks like")
    options = parser.parse_args()
    with started_browser() as browser, tempfile.TemporaryDirectory() as folder:
        for count in options.points:
            page = browser.new_page(viewport={"width": 1000, "height": 700})
            print(json.dumps(measure(page, count, options.dimensions, Path(folder))), flush=True)
            if options.picture:
                page.screenshot(path=options.picture)
            page.close()


if __name__ == "__main__":
    main()
