"""The Class embeddings tab: an interactive projection of the embeddings of all photos and stages."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import gradio as gr
import plotly

from ecenet.analysis.embeddings.embedding_map import EmbeddingMap
from ecenet.analysis.embeddings.projection import LEAST_NEIGHBORS, Method, ProjectionOptions
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.analysis.plots.map_groups import COLOR_TITLES
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, HIDDEN, Subscription, event_data
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Session
from ecenet.app.static_files import STATIC
from ecenet.app.tabs import own_bank
from ecenet.app.tabs.embeddings import consistency, panels, training_photos
from ecenet.app.tabs.embeddings.events import picked_point, picked_points, select_point, up_to_date
from ecenet.app.tabs.embeddings.render import (
    Drawn,
    predictions_of,
    render,
    render_heatmap,
    render_photos,
    render_selected,
)

POLL_SECONDS = 3
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PLACES = """<div class="ece-map"><div class="ece-plot" tabindex="0" role="application"
 aria-label="Map of class embeddings. Arrow keys select the nearest point in their direction."></div>
<figure class="ece-map-card" aria-hidden="true" hidden><canvas></canvas><figcaption></figcaption></figure></div>
<p class="ece-map-said" role="status"></p>
<p class="ece-note ece-map-note" role="status" hidden></p>
<div class="ece-stage-maps" role="group" aria-label="Stages of the map" hidden></div>"""
MAP_SCRIPTS = (
    "page/stage_moves.js",
    *(f"map/{name}.js" for name in ("moves", "webgl", "keys", "picks", "hover", "ring", "names", "stage_maps", "map")),
)
MAP_JS = [STATIC / name for name in MAP_SCRIPTS]


class Fields(NamedTuple):
    """Fields of the accordion."""

    inputs: list[Any]
    """Inputs in the order of `ProjectionOptions`."""
    changed: list[Any]
    """Events that require a new projection."""


def build(
    session: gr.State,
    selection: gr.State,
    current: gr.State,
    *,
    umap: UmapWorker,
    registry: ModelRegistry,
    runs: Path | None,
) -> list[Subscription]:
    """Lay out the tab.

    Args:
        current: state of the current `EmbeddingMap`.
        runs: folder of the runs whose banks can be made here; None disables it.
    """
    gr.set_static_paths([PLOTLY_JS])
    drawn, key, refits = gr.State(Drawn()), gr.State(""), gr.State(0)
    at_stage, names = gr.State(("", "")), gr.State(())
    gr.Markdown(
        "Each point is one class in one photo, drawn near classes with similar embeddings. Choose a stage under the "
        "map, or play all: points move as the network refines its embeddings. Click a point to show its photo, stage "
        "and class in every tab. Small faint points are photos that the model was trained on."
    )
    with gr.Row():
        by_stage = gr.Radio(
            [("Stage by stage", True), ("All together", False)],
            value=True,
            label="Stages",
            elem_id="map-stages",
            scale=2,
            min_width=200,
        )
        color_by = gr.Radio(
            [(title, name) for name, title in COLOR_TITLES.items()],
            value="class",
            label="Colour by",
            elem_id="color-by",
            scale=3,
            min_width=300,
        )
        min_area = gr.Slider(
            0,
            10,
            value=100 * MIN_AREA,
            step=0.1,
            label="Minimum area, percent of the photo",
            buttons=[],
            elem_id="min-area",
            scale=2,
            min_width=220,
        )
        with gr.Column(scale=2, min_width=190):
            lines = gr.Checkbox(True, label="Lines through stages", visible=False, elem_id="trajectories")
            density = gr.Checkbox(False, label="Density contours", elem_id="map-density")
            reference = gr.Checkbox(True, label="Reference photos", elem_id="reference")
            refit = gr.Button("Refit", size="sm", elem_id="refit")
            bank = own_bank.build(session, selection, registry=registry, runs=runs, elem_id="make-map-bank")
    fields = _projection_fields()
    note = gr.Markdown(elem_id="projection-note")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            picture = gr.HTML(
                "",
                html_template=PLACES,
                js_on_load="".join(script.read_text() for script in MAP_JS),
                head=f'<script src="gradio_api/file={PLOTLY_JS}"></script>',
                ring=None,
                stage=None,
                photos=None,
                elem_id="embedding-plot",
            )
            quality = gr.HTML(elem_id="map-quality")
        with gr.Column(scale=1, min_width=260):
            neighbors = gr.HTML(js_on_load=panels.CLICK_ROW, elem_id="neighbors")
    picked = gr.HTML(js_on_load=panels.CLICK_ROW, elem_id="picked-points")
    lying = consistency.build(session, selection, registry=registry)
    behind = training_photos.build(session, selection, registry=registry, runs=runs)
    heat = gr.Plot(show_label=False, visible=False, elem_id="centroids-plot")
    # UMAP takes seconds to start. Until then PCA is shown, and this timer replaces it.
    waiting = gr.Timer(POLL_SECONDS, active=False)

    view = Subscription(
        show_errors(partial(render, fitter=umap, registry=registry)),
        [session, current, drawn, by_stage, color_by, lines, density, reference, min_area, refits, *fields.inputs],
        [picture, note, quality, waiting, current, names, drawn, key],
        "photo",
        also_after=[
            *(control.input for control in (by_stage, color_by, lines, density, reference)),
            *(min_area.release, refits.change, waiting.tick),
            *fields.changed,
        ],
    )
    by_stage.change(lambda by_stage: gr.Checkbox(visible=not by_stage), by_stage, lines, **HIDDEN)
    refit.click(lambda number: number + 1, refits, refits, **HIDDEN)

    marked = Subscription(render_selected, [session, selection, current, names], [picture, neighbors, at_stage])
    marked.after(key.change)
    key.change(lambda: "", None, picked, **HIDDEN)
    key.change(render_photos, [session, current], picture, **HIDDEN)
    at_stage.change(render_heatmap, [current, at_stage], heat, **HIDDEN)
    for clicked in (picture, neighbors, picked):
        clicked.point(choose_point, [session, selection, current], selection, **EACH)
    picture.lasso(show_picked, [session, current, names], picked, **EACH)
    return [view, marked, lying, behind, *([bank] if bank else [])]


def _projection_fields() -> Fields:
    defaults = ProjectionOptions()
    with gr.Accordion("Projection", open=False, elem_id="projection-options"):
        with gr.Row():
            method = gr.Radio(
                list(get_args(Method)),
                value=defaults.method,
                label="Method",
                elem_id="projection-method",
                min_width=220,
            )
            dimensions = gr.Radio(
                [("2-D", 2), ("3-D", 3)],
                value=defaults.dimensions,
                label="Dimensions",
                elem_id="projection-dimensions",
                min_width=160,
            )
            seed = gr.Number(
                defaults.seed, label="Seed", precision=0, minimum=0, elem_id="projection-seed", min_width=120
            )
        with gr.Row():
            neighbors = gr.Slider(
                LEAST_NEIGHBORS, 100, defaults.neighbors, step=1, label="UMAP: neighbours", min_width=200
            )
            min_dist = gr.Slider(0, 1, defaults.min_dist, step=0.05, label="UMAP: minimum distance", min_width=200)
            perplexity = gr.Slider(
                LEAST_NEIGHBORS, 100, defaults.perplexity, step=1, label="t-SNE: perplexity", min_width=200
            )
    sliders = [neighbors, min_dist, perplexity]
    changed = [method.input, dimensions.input, seed.submit, seed.blur, *(slider.release for slider in sliders)]
    return Fields([method, dimensions, seed, *sliders], changed)


@show_errors
def choose_point(
    session: Session, selection: Selection, current: EmbeddingMap | None, event: gr.EventData
) -> Selection:
    """Handle a click on a point of the map or in the list of neighbours."""
    current = up_to_date(current, predictions_of(session))
    return select_point(selection, current, picked_point(event_data(event), current))


@show_errors
def show_picked(session: Session, current: EmbeddingMap | None, names: Sequence[str], event: gr.EventData) -> str:
    """Return the points inside a lasso or box as a table."""
    current = up_to_date(current, predictions_of(session))
    return panels.picked_points(current, picked_points(event_data(event), current), image_names=names)
