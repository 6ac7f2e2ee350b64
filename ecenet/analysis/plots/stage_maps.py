"""The figure of a map; of maps of single stages, as the page's script takes them, with the traces of every stage."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.embeddings.embedding_map import EmbeddingMap
from ecenet.analysis.plots.embeddings import embedding_map
from ecenet.analysis.plots.map_groups import ColorBy
from ecenet.evaluation.embedding_quality import StageScores
from ecenet.inference.prediction import stage_title

DIGITS = 3
"""Of positions and sizes: a thousandth of what a map is wide in UMAP is less than a pixel."""


def map_figure(
    current: EmbeddingMap,
    *,
    color_by: ColorBy,
    image_names: Sequence[str],
    lines: bool = False,
    density: bool = False,
    stage: str | None = None,
) -> go.Figure:
    """`embedding_map` of a map of predictions, with their classes; `lines` are its trajectories."""
    first = current.predictions[0]
    return embedding_map(
        current.points,
        current.projection,
        color_by=color_by,
        class_names=first.class_names,
        class_colors=first.class_colors,
        image_names=image_names,
        trajectories=lines,
        is_reference=current.is_reference,
        stage=stage,
        density=density,
    )


def own_points(current: EmbeddingMap) -> dict[int, tuple[int, str, int]]:
    """Photo, stage and class of each row that is no reference point."""
    points = current.points
    return {
        int(row): (int(points.image[row]), str(points.stage[row]), int(points.class_index[row]))
        for row in np.flatnonzero(~current.is_reference)
    }


def stage_maps(current: EmbeddingMap, *, color_by: ColorBy, image_names: Sequence[str], density: bool = False) -> str:
    """JSON for `stage_maps.js` of a map that was made by stage: the figure without traces, those of each stage, what
    the stages are called and how well they keep classes apart, of each row which class of which image it is, how many
    points are shown at once, and which ones are the photos' own.

    Args:
        image_names: as for `embedding_map`.
    """
    rows, scores = current.points.stage_rows(), current.stage_scores
    figures = {
        name: map_figure(current, color_by=color_by, image_names=image_names, density=density, stage=name)
        for name in rows.sequence
    }
    _, items = np.unique(rows.item, return_inverse=True)
    figure = figures[rows.sequence[0]]
    return json.dumps(
        {
            "key": current.key,
            "count": max(int((current.points.stage == name).sum()) for name in rows.sequence),
            "own": own_points(current),
            "figure": {"data": [], "layout": _plain(figure.layout.to_plotly_json())},
            "frames": {name: [_plain(trace.to_plotly_json()) for trace in one.data] for name, one in figures.items()},
            "items": items.tolist(),
            "stages": [
                {"name": name, "title": stage_title(name), "note": _score_note(scores[name])} for name in rows.sequence
            ],
        }
    )


def _score_note(scores: StageScores) -> str:
    def number(value: float) -> str:
        return "–" if math.isnan(value) else f"{value:.2f}"

    return f"purity {number(scores.purity)}, silhouette {number(scores.silhouette)}"


def _plain(value: Any) -> Any:
    """Arrays as lists, which a script can count on; plotly's own JSON has some as base64."""
    if isinstance(value, np.ndarray):
        return [None if one is None else _plain(one) for one in value.tolist()]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
