"""Figure of an embedding map, or data of one map per stage for the page's script."""

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
"""Decimals of positions and sizes; a thousandth of a UMAP unit is less than a pixel."""


def map_figure(
    current: EmbeddingMap,
    *,
    color_by: ColorBy,
    image_names: Sequence[str],
    lines: bool = False,
    density: bool = False,
    stage: str | None = None,
) -> go.Figure:
    """`embedding_map` for an `EmbeddingMap`; `lines` draws trajectories."""
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
    """(photo, stage, class) by row, without reference points."""
    points = current.points
    return {
        int(row): (int(points.image[row]), str(points.stage[row]), int(points.class_index[row]))
        for row in np.flatnonzero(~current.is_reference)
    }


def stage_maps(current: EmbeddingMap, *, color_by: ColorBy, image_names: Sequence[str], density: bool = False) -> str:
    """JSON for `stage_maps.js`, of a map with one projection per stage: the figure without traces, the traces, titles
    and scores of each stage, the class and image of each row, the number of points shown at once, and the rows of the
    session's photos.

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
    """Convert arrays to lists, because Plotly's JSON encodes some arrays as base64."""
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
