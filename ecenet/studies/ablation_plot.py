"""What each part of the network is worth: one dot a training."""

from collections.abc import Mapping

import plotly.graph_objects as go

from ecenet.analysis.plots.style import frame
from ecenet.studies.ablations import VARIANTS, Results

STAGES: Mapping[str, str] = {"ece": "coarse mask", "final": "final mask"}
COLORS = {"ece": "#E69F00", "final": "#0072B2"}
"""Okabe and Ito's orange and blue."""


def ablation_figure(results: Results) -> go.Figure:
    """Dots of mIoU in percent, a row for each variant, the whole network on top."""
    figure = go.Figure()
    for stage, label in STAGES.items():
        dots = [
            (100 * stages[stage], VARIANTS[name].summary, seed)
            for name, by_seed in results.items()
            for seed, stages in by_seed.items()
            if stage in stages  # plain SegViT has no coarse mask
        ]
        figure.add_scatter(
            x=[dot[0] for dot in dots],
            y=[dot[1] for dot in dots],
            customdata=[dot[2] for dot in dots],
            name=label,
            mode="markers",
            marker={"size": 10, "color": COLORS[stage], "opacity": 0.75},
            hovertemplate="%{y}<br>%{x:.1f}, seed %{customdata}<extra></extra>",
        )
    frame(figure, title="mIoU in percent, one dot a training", height=120 + 34 * len(results))
    # Neither as the results came, where what a later call added is last, nor as names first have a dot, which plain
    # SegViT has none of for a coarse mask.
    order = [variant.summary for name, variant in VARIANTS.items() if name in results]
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=order)
    return figure
