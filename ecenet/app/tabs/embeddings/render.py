"""Outputs of the tab: the map with its notes, the ring around the selected point, the similarity of classes."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr

from ecenet.analysis.embeddings.cosine import centroid_similarity
from ecenet.analysis.embeddings.embedding_map import EmbeddingMap, MapRequest, draw_map
from ecenet.analysis.embeddings.projection import Fitter, ProjectionOptions
from ecenet.analysis.plots.centroids import centroid_heatmap
from ecenet.analysis.plots.embeddings import NAMED_FROM, is_crowded, marker_sizes
from ecenet.analysis.plots.map_groups import ColorBy
from ecenet.analysis.plots.stage_maps import map_figure, own_points, stage_maps
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import Reference, find_reference
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.tabs.embeddings import panels
from ecenet.app.tabs.embeddings.events import point_of
from ecenet.inference.prediction import Prediction, stage_title


class Drawn(NamedTuple):
    """State of the page, so that only changes are sent."""

    key: str = ""
    color_by: str = ""
    lines: bool = True
    density: bool = False


def render(
    session: Session,
    current: EmbeddingMap | None,
    drawn: Drawn,
    by_stage: bool,
    color_by: ColorBy,
    lines: bool,
    density: bool,
    with_reference: bool,
    min_area: float,
    refits: int,
    *options: Any,
    fitter: Fitter,
    registry: ModelRegistry,
) -> list[Any]:
    """Return the map, its notes and whether to poll for UMAP, as one value per output.

    Raises:
        UserError: an option is out of range.
    """
    if not session.photos:
        note = "Add a photo to see its class embeddings."
        return ["", note, "", gr.Timer(active=False), None, (), Drawn(), ""]
    request = MapRequest(ProjectionOptions(*options).checked(), min_area / 100, refits, by_stage=by_stage)
    reference = find_reference(registry, session.model, min_area=request.min_area) if with_reference else None
    current = draw_map(
        predictions_of(session),
        request,
        previous=current,
        fitter=fitter,
        reference=reference.points if reference else None,
    )
    names = image_names(session, reference)
    now = Drawn(current.key, color_by, lines, density)
    value = gr.skip() if now == drawn else map_value(current, names, color_by=color_by, lines=lines, density=density)
    timer = gr.Timer(active=current.projection.waiting)
    return [
        value,
        " ".join([map_note(current), density_note(current)] if density else [map_note(current)]),
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
    """Return the names in the order in which the map numbers its images."""
    return (*(photo.name for photo in session.photos), *(reference.image_names if reference else ()))


def map_value(
    current: EmbeddingMap, names: Sequence[str], *, color_by: ColorBy, lines: bool, density: bool = False
) -> str:
    """Return the JSON for `map.js` (figure, key, number of points shown at once); empty without points."""
    if not len(current.points):
        return ""
    if current.request.by_stage:
        return stage_maps(current, color_by=color_by, image_names=names, density=density)
    figure = map_figure(current, color_by=color_by, image_names=names, lines=lines, density=density)
    head = json.dumps({"key": current.key, "count": len(current.points), "own": own_points(current)})
    return f'{head[:-1]}, "figure": {figure.to_json()}}}'


def render_photos(session: Session, current: EmbeddingMap | None) -> gr.HTML:
    """Return the region pictures of the photos; sent with a new map, but not with new colours."""
    if current is None or not current.shows(predictions_of(session)):
        return gr.HTML(photos=None)
    return gr.HTML(photos={"map": current.key, "pictures": [photo.regions for photo in session.photos]})


def map_note(current: EmbeddingMap) -> str:
    """Return how the projection was made, as Markdown."""
    projection, count = current.projection, len(current.points)
    if not count:
        return "No class covers this much of a photo; lower the minimum area."
    photos = "one photo" if len(current.predictions) == 1 else f"{len(current.predictions)} photos"
    others = int(current.is_reference.sum())
    if others:
        photos += f", and {others} points of reference photos"
    shown = "each stage, " if current.request.by_stage and not projection.note else ""
    note = f"**{projection.method}** of {shown}{count - others} points from {photos}. {projection.note}"
    if projection.placed:
        note += f"{projection.placed} points were placed into the existing map; press Refit to fit all points. "
    if projection.method == "t-SNE":
        note += "t-SNE cannot place new points, so another photo changes the whole map."
    return " ".join([note.strip(), *current.cautions])


def density_note(current: EmbeddingMap) -> str:
    """Return why contours are not drawn, or an empty string if they are."""
    if current.projection.coordinates.shape[1] != 2:
        return "Contours are only drawn in two dimensions."
    if len(current.points) and not is_crowded(current.points, by_stage=current.request.by_stage):
        return f"Contours need at least {NAMED_FROM} points."
    return ""


def render_selected(
    session: Session, selection: Selection, current: EmbeddingMap | None, names: Sequence[str]
) -> tuple[gr.HTML, str, tuple[str, str]]:
    """Return the ring around the selected point, its neighbours, and the map and stage for the heat map."""
    if current is None or not current.shows(predictions_of(session)) or not session.photos:
        return gr.HTML(ring=None, stage=None), "", ("", "")
    stage = session.embedding_stage(selection)
    at_stage = (current.key, stage)
    index = point_of(current, session, selection)
    if index is None:
        return gr.HTML(ring=None, stage=stage), panels.no_point(), at_stage
    ring = {
        "index": index,
        "map": current.key,
        "at": current.projection.coordinates[index].tolist(),
        "size": float(marker_sizes(current.points)[index]),
    }
    return gr.HTML(ring=ring, stage=stage), panels.neighbors(current, index, image_names=names), at_stage


def render_heatmap(current: EmbeddingMap | None, at_stage: tuple[str, str]) -> gr.Plot:
    """Return the cosine similarity between class centroids at the selected stage; hidden for fewer than two classes."""
    if current is None:
        return gr.Plot(visible=False)
    members = current.points.stage == at_stage[1]
    classes, similarity = centroid_similarity(current.points.vectors[members], current.points.class_index[members])
    if len(classes) < 2:
        return gr.Plot(visible=False)
    names = current.predictions[0].class_names
    title = f"Similarity of class centroids, {stage_title(at_stage[1])}"
    return gr.Plot(centroid_heatmap(similarity, labels=[names[k] for k in classes], title=title), visible=True)
