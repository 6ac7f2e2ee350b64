"""Class embeddings: all photos of the session, all stages, in one projection that can be clicked."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import gradio as gr
import plotly

from ecenet.analysis.embeddings.cosine import centroid_similarity
from ecenet.analysis.embeddings.embedding_map import EmbeddingMap, MapRequest, draw_map
from ecenet.analysis.embeddings.projection import Fitter, Method, ProjectionOptions
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.analysis.plots.embeddings import COLOR_TITLES, ColorBy, centroid_heatmap, embedding_map, marker_sizes
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.events import EACH, HIDDEN, Subscription, event_data
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import Reference, find_reference
from ecenet.app.state.selection import MIN_AREA, Selection
from ecenet.app.state.session import Session
from ecenet.app.static_files import STATIC
from ecenet.app.tabs import own_bank
from ecenet.app.tabs.embeddings import consistency, panels
from ecenet.app.tabs.embeddings.events import picked_point, picked_points, point_of, select_point, up_to_date
from ecenet.inference.prediction import Prediction, stage_title

POLL_SECONDS = 3
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
MAP_JS = [STATIC / name for name in ("map_moves.js", "map.js")]


class Drawn(NamedTuple):
    """What the page shows, so that only what has changed is sent again."""

    key: str = ""
    color_by: str = ""
    lines: bool = True


class Fields(NamedTuple):
    """The accordion's."""

    inputs: list[Any]
    """In the order of `ProjectionOptions`."""
    changed: list[Any]
    """Events that ask for another projection."""


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
        current: holds the `EmbeddingMap` that is shown.
        runs: folder of the runs whose banks can be made here; None where there are none.
    """
    gr.set_static_paths([PLOTLY_JS])
    drawn, key, refits = gr.State(Drawn()), gr.State(""), gr.State(0)
    at_stage, names = gr.State(("", "")), gr.State(())
    gr.Markdown(
        "One point for each photo, class and stage; a line follows a class from the coarse mask to the finest stage. "
        "All points share one projection, so positions mean the same for every stage and photo. Click a point to look "
        "at its photo, stage and class in every tab. Small faint points are photos that the model was trained on."
    )
    with gr.Row():
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
        with gr.Column(scale=1, min_width=150):
            lines = gr.Checkbox(True, label="Lines through stages", elem_id="trajectories")
            reference = gr.Checkbox(True, label="Reference photos", elem_id="reference")
            refit = gr.Button("Refit", size="sm", elem_id="refit")
            bank = own_bank.build(session, selection, registry=registry, runs=runs, elem_id="make-map-bank")
    fields = _projection_fields()
    note = gr.Markdown(elem_id="projection-note")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            picture = gr.HTML(
                "",
                html_template='<div class="ece-plot"></div>',
                js_on_load="".join(script.read_text() for script in MAP_JS),
                head=f'<script src="gradio_api/file={PLOTLY_JS}"></script>',
                ring=None,
                elem_id="embedding-plot",
            )
            quality = gr.HTML(elem_id="map-quality")
        with gr.Column(scale=1, min_width=260):
            neighbors = gr.HTML(js_on_load=panels.CLICK_ROW, elem_id="neighbors")
    picked = gr.HTML(js_on_load=panels.CLICK_ROW, elem_id="picked-points")
    lying = consistency.build(session, selection, registry=registry)
    heat = gr.Plot(show_label=False, visible=False, elem_id="centroids-plot")
    # UMAP takes seconds to start; until then PCA stands in, and this timer swaps the picture once it is there.
    waiting = gr.Timer(POLL_SECONDS, active=False)

    view = Subscription(
        show_errors(partial(render, fitter=umap, registry=registry)),
        [session, current, drawn, color_by, lines, reference, min_area, refits, *fields.inputs],
        [picture, note, quality, waiting, current, names, drawn, key],
        "photo",
        also_after=[
            *(color_by.input, lines.input, reference.input, min_area.release, refits.change, waiting.tick),
            *fields.changed,
        ],
    )
    refit.click(lambda number: number + 1, refits, refits, **HIDDEN)

    marked = Subscription(render_selected, [session, selection, current, names], [picture, neighbors, at_stage])
    marked.after(key.change)
    key.change(lambda: "", None, picked, **HIDDEN)
    at_stage.change(render_heatmap, [current, at_stage], heat, **HIDDEN)
    for clicked in (picture, neighbors, picked):
        clicked.point(choose_point, [session, selection, current], selection, **EACH)
    picture.lasso(show_picked, [session, current, names], picked, **EACH)
    return [view, marked, lying, *([bank] if bank else [])]


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
            neighbors = gr.Slider(2, 100, defaults.neighbors, step=1, label="UMAP: neighbours", min_width=200)
            min_dist = gr.Slider(0, 1, defaults.min_dist, step=0.05, label="UMAP: minimum distance", min_width=200)
            perplexity = gr.Slider(2, 100, defaults.perplexity, step=1, label="t-SNE: perplexity", min_width=200)
    sliders = [neighbors, min_dist, perplexity]
    changed = [method.input, dimensions.input, seed.submit, seed.blur, *(slider.release for slider in sliders)]
    return Fields([method, dimensions, seed, *sliders], changed)


def render(
    session: Session,
    current: EmbeddingMap | None,
    drawn: Drawn,
    color_by: ColorBy,
    lines: bool,
    with_reference: bool,
    min_area: float,
    refits: int,
    *options: Any,
    fitter: Fitter,
    registry: ModelRegistry,
) -> list[Any]:
    """The map, what is to be said about it, and whether to come back for UMAP; one value for each output.

    Raises:
        UserError: an option is out of its range.
    """
    if not session.photos:
        note = "Add a photo first: its class embeddings appear here."
        return ["", note, "", gr.Timer(active=False), None, (), Drawn(), ""]
    request = MapRequest(ProjectionOptions(*options).checked(), min_area / 100, refits)
    reference = find_reference(registry, session.model, min_area=request.min_area) if with_reference else None
    current = draw_map(
        predictions_of(session),
        request,
        previous=current,
        fitter=fitter,
        reference=reference.points if reference else None,
    )
    names = image_names(session, reference)
    now = Drawn(current.key, color_by, lines)
    value = gr.skip() if now == drawn else map_value(current, names, color_by=color_by, lines=lines)
    timer = gr.Timer(active=current.projection.waiting)
    return [
        value,
        panels.map_note(current),
        panels.quality(current.quality),
        timer,
        current,
        names,
        now,
        current.key,
    ]


def predictions_of(session: Session) -> list[Prediction]:
    return [photo.prediction for photo in session.photos]


def image_names(session: Session, reference: Reference | None) -> tuple[str, ...]:
    """In the order in which a map numbers its images."""
    return (*(photo.name for photo in session.photos), *(reference.image_names if reference else ()))


def map_value(current: EmbeddingMap, names: Sequence[str], *, color_by: ColorBy, lines: bool) -> str:
    """JSON of the figure and its key, as `map.js` takes it; nothing without points."""
    if not len(current.points):
        return ""
    first = current.predictions[0]
    figure = embedding_map(
        current.points,
        current.projection,
        color_by=color_by,
        class_names=first.class_names,
        class_colors=first.class_colors,
        image_names=names,
        trajectories=lines,
        is_reference=current.is_reference,
    )
    return f'{{"key": "{current.key}", "figure": {figure.to_json()}}}'


def render_selected(
    session: Session, selection: Selection, current: EmbeddingMap | None, names: Sequence[str]
) -> tuple[gr.HTML, str, tuple[str, str]]:
    """The ring around the selected point, its neighbours, and the map and stage that the heat map is to show."""
    if current is None or not current.shows(predictions_of(session)) or not session.photos:
        return gr.HTML(ring=None), "", ("", "")
    at_stage = (current.key, session.embedding_stage(selection))
    index = point_of(current, session, selection)
    if index is None:
        return gr.HTML(ring=None), panels.no_point(), at_stage
    ring = {
        "map": current.key,
        "at": current.projection.coordinates[index].tolist(),
        "size": float(marker_sizes(current.points)[index]),
    }
    return gr.HTML(ring=ring), panels.neighbors(current, index, image_names=names), at_stage


def render_heatmap(current: EmbeddingMap | None, at_stage: tuple[str, str]) -> gr.Plot:
    """Cosine similarity between class centroids at the selected stage; hidden where there are fewer than two."""
    if current is None:
        return gr.Plot(visible=False)
    members = current.points.stage == at_stage[1]
    classes, similarity = centroid_similarity(current.points.vectors[members], current.points.class_index[members])
    if len(classes) < 2:
        return gr.Plot(visible=False)
    names = current.predictions[0].class_names
    title = f"Similarity of class centroids, {stage_title(at_stage[1])}"
    return gr.Plot(centroid_heatmap(similarity, labels=[names[k] for k in classes], title=title), visible=True)


@show_errors
def choose_point(
    session: Session, selection: Selection, current: EmbeddingMap | None, event: gr.EventData
) -> Selection:
    """A click on a point of the map or on a row of its neighbours."""
    current = up_to_date(current, predictions_of(session))
    return select_point(selection, current, picked_point(event_data(event), current))


@show_errors
def show_picked(session: Session, current: EmbeddingMap | None, names: Sequence[str], event: gr.EventData) -> str:
    """Points inside a lasso or a box, as a table."""
    current = up_to_date(current, predictions_of(session))
    return panels.picked_points(current, picked_points(event_data(event), current), image_names=names)
