"""Class embeddings: all photos of the session, all stages, in one projection."""

from functools import partial

import gradio as gr
import plotly.graph_objects as go

from ecenet.explore.points import embedding_points
from ecenet.explore.projection import project
from ecenet.explore.umap_worker import UmapWorker
from ecenet.figures.embeddings import embedding_map
from ecenet.ui.selection import Selection
from ecenet.ui.session import Session
from ecenet.ui.view import View

POLL_SECONDS = 3


def build(session: gr.State, selection: gr.State, *, umap: UmapWorker) -> View:
    """Lay out the tab."""
    gr.Markdown(
        "One point for each photo, class and stage; a line follows a class from the coarse mask to the finest stage. "
        "All points share one projection, so positions mean the same for every stage and photo. It keeps "
        "neighbourhoods rather than exact distances."
    )
    color_by = gr.Radio([("Class", "class"), ("Stage", "stage")], value="class", label="Colour by", elem_id="color-by")
    note = gr.Markdown(elem_id="projection-note")
    plot = gr.Plot(label="Class embeddings", show_label=False, elem_id="embedding-plot")
    # UMAP takes seconds to start; until then PCA stands in, and this timer swaps the picture once it is there.
    waiting = gr.Timer(POLL_SECONDS, active=False)
    view = View(partial(render, umap=umap), [session, selection, color_by], [plot, note, waiting])
    view.after(color_by.input, show_progress="minimal")
    view.after(waiting.tick)
    return view


def render(
    session: Session, selection: Selection, color_by: str, *, umap: UmapWorker
) -> tuple[go.Figure | None, str, gr.Timer]:
    """The map, a line about how it was made, and whether to come back for UMAP."""
    if not session.photos:
        return None, "Add a photo first: its class embeddings appear here.", gr.Timer(active=False)
    predictions = [photo.prediction for photo in session.photos]
    points = embedding_points(predictions)
    projection = project(points.vectors, fit_umap=umap.fit)
    figure = embedding_map(
        points,
        projection,
        color_by=color_by,
        class_names=predictions[0].class_names,
        class_colors=predictions[0].class_colors,
        image_names=[photo.name for photo in session.photos],
    )
    note = f"**{projection.method}** of {len(points)} points from {len(predictions)} photos. {projection.note}"
    return figure, note, gr.Timer(active=not umap.ready)
