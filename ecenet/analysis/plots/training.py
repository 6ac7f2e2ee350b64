"""Plotly figures of a run's log over its steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from ecenet.analysis.plots.style import AXIS, layout
from ecenet.inference.prediction import stage_title

LINE_COLORS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#9d755d")
"""Medium lightness, for light and dark pages."""
MAIN_COLOR = "#0d9488"
"""Colour of the main line (total loss, final mask): the app's teal."""
MAX_POINTS = 400
"""Maximum number of points per line; longer logs are averaged over neighbouring points, which also smooths them."""
LOSS_TITLES = {
    "total": "Total",
    "final": "Final mask",
    "stages": "Stages (sum)",
    "presence": "Presence",
    "jaccard": "IoU (Lovász)",
    "diversity": "Diversity",
    "contrast": "Contrast",
}


def loss_curves(entries: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Training loss and its unweighted parts; parts that are always 0 are omitted."""
    logged = [entry for entry in entries if "total" in entry]
    lines = {
        title: [(entry["step"], entry.get(name)) for entry in logged]
        for name, title in LOSS_TITLES.items()
        if any(entry.get(name) for entry in logged)
    }
    return _figure(lines, title="Training loss", main="Total", number_format=".3f")


def miou_curves(entries: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Validation mIoU of each stage in percent."""
    validated = [(entry["step"], entry["val"].get("stages", {})) for entry in entries if "val" in entry]
    return _figure(_by_stage(validated, factor=100), title="Validation mIoU, percent", number_format=".1f")


def separation_curves(entries: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Class separation of each stage's embeddings: silhouette, −1 … 1."""
    measured = [(entry["step"], entry["separation"]) for entry in entries if "separation" in entry]
    return _figure(_by_stage(measured), title="Class separation (silhouette)", number_format=".2f")


def _by_stage(
    entries: Sequence[tuple[int, Mapping[str, float | None]]], *, factor: float = 1
) -> dict[str, list[tuple[int, float | None]]]:
    """(step, value) pairs by `stage_title`, coarse to fine."""
    stages = list(dict.fromkeys(stage for _, values in entries for stage in values))
    lines: dict[str, list[tuple[int, float | None]]] = {}
    for stage in stages:
        values = [(step, values.get(stage)) for step, values in entries]
        lines[stage_title(stage)] = [(step, None if value is None else factor * value) for step, value in values]
    return lines


def thinned(points: Sequence[tuple[int, float | None]], *, most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most `most` points, each the mean of a block of neighbours; the last point is always included."""
    known = [(step, value) for step, value in points if value is not None]
    group = -(-len(known) // most) or 1
    groups = [known[max(0, end - group) : end] for end in range(len(known), 0, -group)]
    return [
        (members[-1][0], sum(value for _, value in members) / len(members)) for members in reversed(groups) if members
    ]


def _figure(
    lines: Mapping[str, Sequence[tuple[int, float | None]]], *, title: str, main: str = "Final", number_format: str
) -> go.Figure:
    figure = go.Figure()
    for number, (name, points) in enumerate(lines.items()):
        kept = thinned(points)
        counts = name == main
        figure.add_trace(
            go.Scatter(
                x=[step for step, _ in kept],
                y=[value for _, value in kept],
                # Draw markers if there is only one point, which has no line.
                mode="lines+markers" if len(kept) < 30 else "lines",
                name=name,
                line={
                    "color": MAIN_COLOR if counts else LINE_COLORS[number % len(LINE_COLORS)],
                    "width": 3 if counts else 1.5,
                },
                marker={"size": 5},
                hovertemplate=f"step %{{x}}: %{{y:{number_format}}}<extra>{name}</extra>",
            )
        )
    figure.update_layout(
        **layout(title),
        xaxis=AXIS | {"title": "step", "rangemode": "tozero", "automargin": False},
        yaxis=AXIS,
        legend={"orientation": "h", "y": -0.3, "yanchor": "top"},
        showlegend=True,
        margin={"l": 40, "r": 10, "t": 40, "b": 40},
        height=340,
        uirevision=title,
    )
    return figure
