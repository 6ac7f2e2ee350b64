"""What each part of the network is worth, and what embeddings know without it: one dot a training."""

from collections.abc import Iterable, Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ecenet.analysis.plots.style import AXIS, frame
from ecenet.studies.ablation_tables import MEASURES, measured
from ecenet.studies.ablation_variants import VARIANTS
from ecenet.studies.ablations import Embeddings, Findings, Results

STAGES: Mapping[str, str] = {"ece": "coarse mask", "final": "final mask"}
EMBEDDING_STAGES: Mapping[str, str] = {"ece": "as ECE makes them", "stage1": "after stage 1"}
COLORS = {"ece": "#E69F00", "final": "#0072B2", "stage1": "#009E73"}
"""Okabe and Ito's orange, blue and green."""


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
        figure.add_trace(_dots(dots, stage=stage, label=label, digits=1))
    frame(figure, title="mIoU in percent, one dot a training", height=120 + 34 * len(results))
    _in_order(figure, results)
    return figure


def embeddings_figure(embeddings: Embeddings) -> go.Figure:
    """The same of what embeddings know, a panel for each measure."""
    figure = make_subplots(
        rows=1,
        cols=len(MEASURES),
        shared_yaxes=True,
        horizontal_spacing=0.02,
        subplot_titles=list(MEASURES.values()),
    )
    for column, measure in enumerate(MEASURES, start=1):
        for stage, label in EMBEDDING_STAGES.items():
            dots = [
                (value, VARIANTS[name].summary, seed)
                for name in embeddings
                for seed, value in measured(embeddings, name, measure, stage).items()
            ]
            trace = _dots(dots, stage=stage, label=label, digits=2)
            figure.add_trace(trace.update(showlegend=column == 1, legendgroup=stage), row=1, col=column)
    frame(figure, title="What class embeddings know, one dot a training", height=150 + 34 * len(embeddings))
    figure.update_xaxes(**AXIS)
    figure.update_yaxes(**AXIS)
    figure.update_layout(margin={"t": 80})  # panels have titles, too
    _in_order(figure, embeddings)
    return figure


def ablation_page(findings: Findings) -> str:
    """Both figures as one page of HTML; the second where embeddings were measured."""
    page: str = ablation_figure(findings.miou).to_html(include_plotlyjs=True)
    if not findings.embeddings:
        return page
    second = embeddings_figure(findings.embeddings).to_html(include_plotlyjs=False, full_html=False)
    return page.replace("</body>", f"{second}</body>")


def _dots(dots: list[tuple[float, str, str]], *, stage: str, label: str, digits: int) -> go.Scatter:
    """Of (value, row, seed)."""
    return go.Scatter(
        x=[dot[0] for dot in dots],
        y=[dot[1] for dot in dots],
        customdata=[dot[2] for dot in dots],
        name=label,
        mode="markers",
        marker={"size": 10, "color": COLORS[stage], "opacity": 0.75},
        hovertemplate=f"%{{y}}<br>%{{x:.{digits}f}}, seed %{{customdata}}<extra></extra>",
    )


def _in_order(figure: go.Figure, names: Iterable[str]) -> None:
    """Rows as `VARIANTS` has them: neither as results came, where what a later call added is last, nor as names first
    have a dot, which plain SegViT has none of for a coarse mask."""
    order = [variant.summary for name, variant in VARIANTS.items() if name in set(names)]
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=order)
