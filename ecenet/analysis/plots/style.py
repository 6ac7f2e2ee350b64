"""Common style of all figures: grey text on a transparent background, for light and dark pages."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

GRID_COLOR = "rgba(128,128,128,0.2)"
TEXT_COLOR = "#808895"
CLEAR = "rgba(0,0,0,0)"
GROUND_COLOR = "rgba(128,128,128,0.08)"
AXIS: dict[str, Any] = {"zeroline": False, "gridcolor": GRID_COLOR, "automargin": True}

DARKEST = 90
"""Minimum luminance (0 … 255) of lines and points in a class colour on a dark page."""


def css_color(color: Sequence[int], *, alpha: float = 1) -> str:
    """CSS colour for an RGB class colour (0 … 255), lightened if it is too dark for a dark page."""
    luminance = float(np.dot(color, (0.299, 0.587, 0.114)))
    share = (DARKEST - luminance) / (255 - luminance) if luminance < DARKEST else 0.0
    red, green, blue = (round(channel + share * (255 - channel)) for channel in color)
    return f"rgba({red},{green},{blue},{alpha})"


def layout(title: str | None = None) -> dict[str, Any]:
    """Plotly layout with colours and an optional title."""
    colors = {"paper_bgcolor": CLEAR, "plot_bgcolor": GROUND_COLOR, "font": {"color": TEXT_COLOR}}
    if title is None:
        return colors
    return colors | {"title": {"text": title, "font": {"size": 14}, "x": 0, "xref": "paper", "y": 0.97}}


def frame(figure: go.Figure, *, title: str, height: int = 340) -> None:
    """Set title, margins and height of a figure with two plain axes."""
    figure.update_layout(
        **layout(title),
        xaxis=AXIS,
        yaxis=AXIS,
        showlegend=True,
        margin={"l": 10, "r": 10, "t": 40, "b": 30},
        height=height,
    )
