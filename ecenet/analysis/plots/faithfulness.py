"""Deletion and insertion curves as a plotly figure."""

import plotly.graph_objects as go

from ecenet.analysis.diagnostics.faithfulness import Faithfulness
from ecenet.analysis.plots.probe import BROKEN_COLOR
from ecenet.analysis.plots.style import frame
from ecenet.analysis.plots.training import MAIN_COLOR


def faithfulness_curves(found: Faithfulness, *, title: str) -> go.Figure:
    """Curves of the map, and dotted curves of random orders."""
    figure = go.Figure()
    for name, curve, color, dash in (
        ("insertion", found.insertion, MAIN_COLOR, "solid"),
        ("insertion, random", found.random_insertion, MAIN_COLOR, "dot"),
        ("deletion", found.deletion, BROKEN_COLOR, "solid"),
        ("deletion, random", found.random_deletion, BROKEN_COLOR, "dot"),
    ):
        figure.add_trace(
            go.Scatter(
                x=curve.shares,
                y=curve.scores,
                mode="lines",
                name=name,
                line={"color": color, "dash": dash, "width": 2.5},
                hovertemplate="%{x:.0%} of the cells: %{y:.1%}<extra>" + name + "</extra>",
            )
        )
    frame(figure, title=f"Probability of {title}", height=320)
    figure.update_layout(
        xaxis={"tickformat": ".0%"},
        yaxis={"tickformat": ".0%", "range": [-0.03, 1.03]},
        legend={"orientation": "h", "y": -0.15, "yanchor": "top"},
    )
    return figure
