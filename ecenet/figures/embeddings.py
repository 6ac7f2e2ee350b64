"""Arrays in, plotly figures out."""

from collections.abc import Sequence

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from ecenet.explore.points import EmbeddingPoints
from ecenet.explore.projection import Projection
from ecenet.prediction import stage_title

STAGE_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")
GRID_COLOR = "rgba(128,128,128,0.2)"
"""Grey enough for light and dark pages alike."""


def embedding_map(
    points: EmbeddingPoints,
    projection: Projection,
    *,
    color_by: str,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    image_names: Sequence[str],
) -> go.Figure:
    """Scatter of projected class embeddings; a thin line follows each class of each image through the stages.

    Args:
        color_by: `class` or `stage`; the other one is told apart by the marker where it can be.
        image_names: one a prediction, for the hover text.
    """
    figure = go.Figure()
    stages = list(dict.fromkeys(points.stage.tolist()))
    symbols = {name: STAGE_SYMBOLS[i % len(STAGE_SYMBOLS)] for i, name in enumerate(stages)}
    figure.add_trace(_trajectories(points, projection))

    if color_by == "stage":
        colors = plotly.colors.sample_colorscale("Viridis", np.linspace(0, 1, max(len(stages), 2)).tolist())
        groups = [(name, points.stage == name, colors[i]) for i, name in enumerate(stages)]
    else:
        groups = [
            (class_names[k], points.class_index == k, "rgb({},{},{})".format(*class_colors[k]))
            for k in np.unique(points.class_index)
        ]
    for label, members, color in groups:
        figure.add_trace(
            go.Scatter(
                x=projection.coordinates[members, 0],
                y=projection.coordinates[members, 1],
                mode="markers",
                name=stage_title(label) if color_by == "stage" else label,
                marker={
                    "color": color,
                    "symbol": [symbols[name] for name in points.stage[members]],
                    "size": 8 + 14 * np.sqrt(points.area[members]),
                    "line": {"color": "rgba(255,255,255,0.9)", "width": 1},
                },
                customdata=np.stack(
                    [
                        np.array(image_names)[points.image[members]],
                        np.array(class_names)[points.class_index[members]],
                        points.stage[members],
                        [f"{area:.1%}" for area in points.area[members]],
                    ],
                    axis=1,
                ),
                hovertemplate="<b>%{customdata[1]}</b> at %{customdata[2]}<br>%{customdata[0]}, "
                "%{customdata[3]} of the image<extra></extra>",
            )
        )
    if color_by == "class":
        for name in stages:
            figure.add_trace(_legend_entry(stage_title(name), symbol=symbols[name]))
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(128,128,128,0.08)",
        font={"color": "#808895"},
        xaxis={"title": f"{projection.method} 1", "showticklabels": False, "zeroline": False, "gridcolor": GRID_COLOR},
        yaxis={"title": f"{projection.method} 2", "showticklabels": False, "zeroline": False, "gridcolor": GRID_COLOR},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        margin={"l": 40, "r": 10, "t": 50, "b": 40},
        height=520,
    )
    return figure


def _legend_entry(name: str, *, symbol: str) -> go.Scatter:
    """A legend line for a marker shape, without points."""
    marker = {"symbol": symbol, "color": "rgb(128,128,128)", "size": 10}
    return go.Scatter(x=[None], y=[None], mode="markers", name=name, marker=marker)


def _trajectories(points: EmbeddingPoints, projection: Projection) -> go.Scatter:
    """One line trace with gaps: stage after stage for each class of each image."""
    x: list[float | None] = []
    y: list[float | None] = []
    for image, k in dict.fromkeys(zip(points.image.tolist(), points.class_index.tolist(), strict=True)):
        members = (points.image == image) & (points.class_index == k)
        x += [*projection.coordinates[members, 0].tolist(), None]
        y += [*projection.coordinates[members, 1].tolist(), None]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": "rgba(128,128,128,0.45)", "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
