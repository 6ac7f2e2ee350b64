"""Heat map of the similarity between classes."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.plots.style import CLEAR, layout
from ecenet.inference.overlay import HEAT_SCALE


def centroid_heatmap(similarity: np.ndarray, *, labels: Sequence[str], title: str) -> go.Figure:
    """Heat map of (C, C) cosine similarities between classes, with numbers if they fit.

    The colour scale covers the range between different classes, which can be as narrow as 0.95 to 0.99. The diagonal,
    which is always 1, is empty. There is no colour scale for two classes.
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
