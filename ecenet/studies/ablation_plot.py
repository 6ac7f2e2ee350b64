"""Plots of ablations: mIoU and embedding quality of each variant, one dot per training run."""

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
"""Orange, blue and green of Okabe and Ito's palette."""


def ablation_figure(results: Results) -> go.Figure:
    """Dot plot of mIoU in percent, one row per variant, the complete network at the top."""
    figure = go.Figure()
    for stage, label in STAGES.items():
        dots = [
            (100 * stages[stage], VARIANTS[name].summary, seed)
            for name, by_seed in results.items()
            for seed, stages in by_seed.items()
            if stage in stages  # plain SegViT has no coarse mask
        ]
        figure.add_trace(_dots(dots, stage=stage, label=label, digits=1))
    frame(figure, title="mIoU in percent, one dot per training run", height=120 + 34 * len(results))
    _in_order(figure, results)
    return figure


def embeddings_figure(embeddings: Embeddings) -> go.Figure:
    """Dot plot of embedding quality, one panel per measure."""
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
    frame(figure, title="Quality of class embeddings, one dot per training run", height=150 + 34 * len(embeddings))
    figure.update_xaxes(**AXIS)
    figure.update_yaxes(**AXIS)
    figure.update_layout(margin={"t": 80})  # room for the titles of the panels
    _in_order(figure, embeddings)
    return figure


def ablation_page(findings: Findings) -> str:
    """Both figures as an HTML page; the second only if embeddings were measured."""
    page: str = ablation_figure(findings.miou).to_html(include_plotlyjs=True)
    if not findings.embeddings:
        return page
    second = embeddings_figure(findings.embeddings).to_html(include_plotlyjs=False, full_html=False)
    return page.replace("</body>", f"{second}</body>")


def _dots(dots: list[tuple[float, str, str]], *, stage: str, label: str, digits: int) -> go.Scatter:
    """Dots for (value, row, seed)."""
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
    """Sort rows as in `VARIANTS`, not by the order of results or of the first dot."""
    order = [variant.summary for name, variant in VARIANTS.items() if name in set(names)]
    figure.update_yaxes(autorange="reversed", categoryorder="array", categoryarray=order)
