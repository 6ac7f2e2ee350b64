"""Plotly figure of embedding quality over the stages."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.plots.style import AXIS, layout

LINES = (("Neighbour purity", "#0d9488"), ("Silhouette", "#f58518"), ("Linear read-out", "#4c78a8"))
"""Names and colours; medium lightness, for light and dark pages."""


def quality_curves(
    *, stages: Sequence[str], purity: np.ndarray, silhouette: np.ndarray, linear: np.ndarray, rows: np.ndarray
) -> go.Figure:
    """One line per measure with one point per stage; NaN values are gaps.

    Args:
        stages: titles of the S stages, coarse to fine.
        purity, linear: (S,) shares, 0 … 1, or NaN.
        silhouette: (S,) values, −1 … 1, or NaN.
        rows: (S,) number of embeddings measured.
    """
    figure = go.Figure()
    for (name, color), values in zip(LINES, (purity, silhouette, linear), strict=True):
        figure.add_trace(
            go.Scatter(
                x=list(stages),
                y=[None if np.isnan(value) else float(value) for value in values],
                customdata=np.asarray(rows),
                mode="lines+markers",
                name=name,
                line={"color": color, "width": 2},
                hovertemplate=f"%{{x}}: %{{y:.3f}}, %{{customdata}} embeddings<extra>{name}</extra>",
            )
        )
    lowest = min([0.0, *(float(value) for value in silhouette if not np.isnan(value))])
    figure.update_layout(
        **layout("Quality of class embeddings across photos"),
        xaxis=AXIS | {"type": "category"},
        yaxis=AXIS | {"range": [lowest - 0.05, 1.05]},
        legend={"orientation": "h", "y": -0.15, "yanchor": "top"},
        showlegend=True,
        margin={"l": 40, "r": 10, "t": 40, "b": 40},
        height=340,
    )
    return figure
