"""How similar classes are to each other, as a figure."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.plots.style import CLEAR, layout
from ecenet.inference.overlay import HEAT_SCALE


def centroid_heatmap(similarity: np.ndarray, *, labels: Sequence[str], title: str) -> go.Figure:
    """(C, C) cosine similarities between classes as coloured cells, with their numbers where they fit.

    Colours reach from the least to the greatest between two classes, which may be as near to each other as 0.95 and
    0.99; a class beside itself, always 1, has no cell. Two classes have one number, which needs no scale.
    """
    count = len(labels)
    apart = np.where(np.eye(count, dtype=bool), np.nan, similarity)
    scale = {"showscale": False, "zmin": -1, "zmax": 1} if count == 2 else {"colorbar": {"thickness": 12}}
    figure = go.Figure(
        go.Heatmap(
            z=apart,
            x=list(labels),
            y=list(labels),
            colorscale=HEAT_SCALE,
            texttemplate="%{z:.2f}" if count <= 8 else None,
            hovertemplate="%{y} and %{x}: cosine %{z:.3f}<extra></extra>",
            hoverongaps=False,
            **scale,
        )
    )
    figure.update_layout(
        **layout(title) | {"plot_bgcolor": CLEAR},
        xaxis={"showgrid": False, "type": "category"},
        yaxis={"showgrid": False, "type": "category", "autorange": "reversed", "automargin": True},
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        height=min(640, 180 + 34 * count),
    )
    return figure
