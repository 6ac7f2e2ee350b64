"""Deletion and insertion curves as a plotly figure."""

import plotly.graph_objects as go

from ecenet.explore.faithfulness import Faithfulness
from ecenet.figures.probe import BROKEN_COLOR
from ecenet.figures.style import AXIS, layout
from ecenet.figures.training import MAIN_COLOR


def faithfulness_curves(found: Faithfulness, *, title: str) -> go.Figure:
    """The map's curves, and chance's dotted."""
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
    figure.update_layout(
        **layout(f"Probability of {title}, as cells are uncovered or covered"),
        xaxis=AXIS | {"tickformat": ".0%"},
        yaxis=AXIS | {"tickformat": ".0%", "range": [-0.03, 1.03]},
        legend={"orientation": "h", "y": -0.15, "yanchor": "top"},
        margin={"l": 10, "r": 10, "t": 40, "b": 30},
        height=320,
    )
    return figure
