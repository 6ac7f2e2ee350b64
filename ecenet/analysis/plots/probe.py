"""Plotly figures of one pixel and of the whole label map over the stages."""

from collections.abc import Sequence

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from ecenet.analysis.diagnostics.ground_truth import StageScores
from ecenet.analysis.diagnostics.pixel_probe import PixelProbe
from ecenet.analysis.diagnostics.stage_flow import join_small
from ecenet.analysis.plots.style import CLEAR, css_color, frame
from ecenet.analysis.plots.training import MAIN_COLOR
from ecenet.inference.overlay import HEAT_SCALE
from ecenet.inference.prediction import stage_title

SHOWN_CLASSES = 5
"""Maximum number of classes for a pixel; all others have negligible probabilities."""
MIN_FLOW_CLASS = 0.005
"""Share of the pixels below which classes are merged in the flow."""
MAX_FLOW_CLASSES = 8
"""Maximum number of classes in the flow; more cannot be distinguished."""
BROKEN_COLOR = "#e45756"
OTHER_COLOR = (140, 140, 140)


def stage_colors(count: int) -> list[list[int]]:
    """One RGB colour of the heat scale per stage, coarse to fine; perceptually uniform and safe for colour-blind
    users."""
    places = np.linspace(0, 1, max(count, 2)).tolist()[:count]
    colors = plotly.colors.sample_colorscale(HEAT_SCALE, places, colortype="tuple")
    return [[round(255 * channel) for channel in color] for color in colors]


def probability_lines(
    probe: PixelProbe, *, class_names: Sequence[str], class_colors: Sequence[Sequence[int]]
) -> go.Figure:
    """Probability of the pixel's ranked classes over the stages; a dotted line marks the deciding stage."""
    figure = go.Figure()
    titles = [_short_title(name) for name in probe.stages]
    final = probe.classes[-1]
    for k in probe.ranked(most=SHOWN_CLASSES):
        figure.add_trace(
            go.Scatter(
                x=titles,
                y=probe.probabilities[:, k],
                mode="lines+markers",
                name=class_names[k],
                line={"color": css_color(class_colors[k]), "width": 3.5 if k == final else 2},
                marker={"size": 8 if k == final else 6},
                hovertemplate="%{x}: %{y:.1%}<extra>" + class_names[k] + "</extra>",
            )
        )
    figure.add_vline(x=probe.decided, line={"color": "rgba(128,128,128,0.7)", "width": 1.5, "dash": "dot"})
    frame(figure, title=f"Pixel ({probe.x}, {probe.y}), finally {class_names[final]}")
    figure.update_layout(
        yaxis={"range": [-0.03, 1.03], "tickformat": ".0%"}, legend={"orientation": "h", "y": -0.2, "yanchor": "top"}
    )
    return figure


def similarity_cells(probe: PixelProbe, *, class_names: Sequence[str]) -> go.Figure:
    """Similarity of the pixel's feature to the embeddings of its ranked classes; one column per SAU stage.

    Every column has its own colour range, because the scores of different stages are not comparable.
    """
    ranked = probe.ranked(most=SHOWN_CLASSES)
    stages = list(probe.similarity)
    values = np.array([probe.similarity[stage][ranked] for stage in stages]).reshape(len(stages), len(ranked)).T
    low, high = values.min(axis=0, keepdims=True), values.max(axis=0, keepdims=True)
    meaning = "adds all of the mask's evidence" if probe.gate_adds else "keeps the embedding"
    gates = [[f"{probe.gate[stage][k]:.0%}" if stage in probe.gate else "none" for stage in stages] for k in ranked]
    figure = go.Figure(
        go.Heatmap(
            x=[stage_title(stage) for stage in stages],
            y=[class_names[k] for k in ranked],
            z=(values - low) / np.maximum(high - low, 1e-12),
            text=[[f"{value:.1f}" for value in row] for row in values],
            customdata=gates,
            texttemplate="%{text}",
            hovertemplate=f"%{{y}} at %{{x}}: %{{text}}<br>gate %{{customdata}} (100% {meaning})<extra></extra>",
            colorscale=HEAT_SCALE,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    frame(figure, title="Similarity to the class embeddings", height=90 + 34 * len(ranked))
    figure.update_layout(
        yaxis={"autorange": "reversed", "showgrid": False},
        xaxis={"side": "bottom", "showgrid": False},
        plot_bgcolor=CLEAR,
    )
    return figure


def class_flow(
    flows: np.ndarray,
    *,
    stages: Sequence[str],
    pixels: int,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
) -> go.Figure:
    """Sankey diagram of the pixels that change class between stages; unchanged pixels are fainter.

    Args:
        flows: (S-1, K, K) counts from `transitions`.
        stages: names of the S stages.
        pixels: number of pixels of the photo, to compute shares.
    """
    joined, kept = join_small(flows, min_share=MIN_FLOW_CLASS, most=MAX_FLOW_CLASSES)
    names = [*(class_names[k] for k in kept), "others"]
    colors = [*(class_colors[k] for k in kept), OTHER_COLOR]
    counts = np.concatenate([joined.sum(axis=2), joined[-1:].sum(axis=1)])
    nodes = np.argwhere(counts).tolist()
    number = {(stage, k): i for i, (stage, k) in enumerate(nodes)}
    links = np.argwhere(joined).tolist()
    centres, last = _centres(counts / counts[0].sum()), len(stages) - 1
    figure = go.Figure(
        go.Sankey(
            arrangement="snap",
            node={
                "x": [min(max(stage / last, 0.001), 0.999) for stage, _ in nodes],
                "y": [centres[stage, k] for stage, k in nodes],
                "color": [css_color(colors[k]) for _, k in nodes],
                "customdata": [f"{names[k]} at {stage_title(stages[stage])}" for stage, k in nodes],
                "hovertemplate": "%{customdata}: %{value:.1%} of the photo<extra></extra>",
                "line": {"color": "rgba(128,128,128,0.6)", "width": 0.5},
                "pad": 8,
                "thickness": 12,
            },
            link={
                "source": [number[step, before] for step, before, _ in links],
                "target": [number[step + 1, after] for step, _, after in links],
                "value": [joined[step, before, after] / pixels for step, before, after in links],
                "color": [
                    css_color(colors[after], alpha=0.15 if before == after else 0.7) for _, before, after in links
                ],
                "customdata": [
                    f"{names[before]} → {names[after]}, {stage_title(stages[step])} to {stage_title(stages[step + 1])}"
                    for step, before, after in links
                ],
                "hovertemplate": "%{customdata}: %{value:.2%} of the photo<extra></extra>",
            },
        )
    )
    # Names on the bands would be hard to read, so add a legend, which Sankey diagrams lack.
    for k in np.flatnonzero(counts.any(axis=0)):
        marker = {"color": css_color(colors[k]), "symbol": "square", "size": 11}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="markers", name=names[k], marker=marker))
    frame(figure, title="Pixels from class to class, stage to stage", height=420)
    figure.update_layout(
        xaxis={"visible": False},
        yaxis={"visible": False},
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"t": 70},
        legend={"orientation": "h", "y": -0.1, "yanchor": "top", "itemclick": False, "itemdoubleclick": False},
    )
    for place, name in enumerate(stages):
        anchor = "left" if place == 0 else "right" if place == last else "center"
        figure.add_annotation(
            x=place / last,
            y=1.02,
            xref="paper",
            yref="paper",
            xanchor=anchor,
            yanchor="bottom",
            # Align the first and last label outwards, so that six fit on a phone.
            xshift=-8 if place == 0 else 8 if place == last else 0,
            text=_short_title(name),
            font={"size": 10},
            showarrow=False,
        )
    return figure


def fixed_and_broken(scores: StageScores) -> go.Figure:
    """Bar chart of the pixels that each stage fixed (up) and broke (down), in percent of the labelled pixels."""
    titles = [_short_title(name) for name in scores.stages[1:]]
    figure = go.Figure()
    for name, counts, sign, color in (
        ("fixed", scores.fixed, 1, MAIN_COLOR),
        ("broken", scores.broken, -1, BROKEN_COLOR),
    ):
        figure.add_trace(
            go.Bar(
                x=titles,
                y=sign * 100 * counts / scores.labelled,
                name=name,
                marker={"color": color},
                customdata=counts,
                hovertemplate="%{x}: %{customdata:,} pixels, %{y:.2f} %<extra>" + name + "</extra>",
            )
        )
    frame(figure, title="Pixels fixed and broken, percent")
    figure.update_layout(barmode="relative", legend={"orientation": "h", "y": -0.2, "yanchor": "top"})
    return figure


def iou_lines(scores: StageScores, *, class_names: Sequence[str], class_colors: Sequence[Sequence[int]]) -> go.Figure:
    """IoU of the classes in the ground truth over the stages, and their mean."""
    titles = [_short_title(name) for name in scores.stages]
    lines = [(class_names[k], scores.iou[:, k], css_color(class_colors[k]), 2.0) for k in scores.present]
    figure = go.Figure()
    for name, values, color, width in [*lines, ("mean", scores.mean_iou, MAIN_COLOR, 4.0)]:
        figure.add_trace(
            go.Scatter(
                x=titles,
                y=100 * values,
                mode="lines+markers",
                name=name,
                line={"color": color, "width": width},
                hovertemplate="%{x}: %{y:.1f}<extra>" + name + "</extra>",
            )
        )
    frame(figure, title="IoU of each stage, percent")
    figure.update_layout(legend={"orientation": "h", "y": -0.2, "yanchor": "top"})
    return figure


def _short_title(stage: str) -> str:
    """A title short enough for six to fit side by side on a phone."""
    return "Coarse" if stage == "ece" else stage_title(stage)


def _centres(shares: np.ndarray) -> np.ndarray:
    """(S, n) vertical centres of the nodes, 0 (top) … 1, from (S, n) shares; classes keep their order at all stages."""
    return np.clip(np.cumsum(shares, axis=1) - shares / 2, 0.001, 0.999)
