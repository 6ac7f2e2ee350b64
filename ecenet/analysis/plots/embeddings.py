"""Arrays in, plotly figures out."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from ecenet.analysis.embeddings.points import EmbeddingPoints
from ecenet.analysis.embeddings.projection import Projection
from ecenet.analysis.plots.style import CLEAR, GRID_COLOR, TEXT_COLOR, css_color, layout
from ecenet.inference.overlay import HEAT_SCALE
from ecenet.inference.prediction import stage_title

ColorBy = Literal["class", "stage", "image", "confidence", "area"]
COLOR_TITLES: dict[ColorBy, str] = {
    "class": "Class",
    "stage": "Stage",
    "image": "Photo",
    "confidence": "Confidence",
    "area": "Area",
}
assert tuple(COLOR_TITLES) == get_args(ColorBy)
STAGE_SYMBOLS = {
    2: ("circle", "square", "diamond", "cross", "x", "triangle-up", "star"),
    3: ("circle", "square", "diamond", "circle-open", "square-open", "diamond-open"),
}
"""By dimensions: a space knows few, and draws its crosses far too large."""
ACTIVE_COLOR = "#0d9488"
REFERENCE_SIZE, REFERENCE_OPACITY = 6, 0.45
CROWD, LEAST_SHRINK = 10_000, 0.3
"""Points from which on they shrink and lose their outlines, and how far at most: a crowd is drawn faster so."""
MAX_LEGEND = 21
"""Classes or photos that the legend names: as many as leave the map its room on a phone; a session has 20 photos."""
UNKNOWN_COLOR = "rgb(150,150,150)"
STAGE_COLOR = "rgb(128,128,128)"
OUTLINE_COLOR = "rgba(255,255,255,0.9)"
LINE_COLORS = {2: "rgba(128,128,128,0.45)", 3: "rgb(140,140,140)"}
"""By dimensions: in a space, what is see-through is not drawn at all."""


@dataclass(frozen=True)
class Group:
    """Points that are drawn as one trace."""

    label: str
    members: np.ndarray
    """(N,) bool."""
    color: str | np.ndarray
    """One for all, or a number for each of them."""


def embedding_map(
    points: EmbeddingPoints,
    projection: Projection,
    *,
    color_by: ColorBy,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    image_names: Sequence[str],
    trajectories: bool = True,
    is_reference: np.ndarray | None = None,
) -> go.Figure:
    """Scatter of projected class embeddings, in WebGL; the marker tells the stage, its size the area.

    The custom data of a point is its row in `points`.

    Args:
        image_names: one a prediction, then those of reference images.
        trajectories: draw a thin line through the stages for each class of each image that is no reference.
        is_reference: (N,) bool, points that are only there to compare with: small and faint.
    """
    faint = np.zeros(len(points), bool) if is_reference is None else is_reference
    figure = go.Figure()
    shapes = STAGE_SYMBOLS[projection.coordinates.shape[1]]
    symbols = {name: shapes[i % len(shapes)] for i, name in enumerate(dict.fromkeys(points.stage.tolist()))}
    scatter = _scatter(projection.coordinates)
    if trajectories:
        figure.add_trace(_trajectories(points, projection.coordinates, members=~faint, scatter=scatter))
    texts = _hover_texts(points, class_names=class_names, image_names=image_names)
    groups = color_groups(
        points, color_by, class_names=class_names, class_colors=class_colors, image_names=image_names, faint=faint
    )
    crowd = max(LEAST_SHRINK, min(1.0, (CROWD / max(1, len(points))) ** 0.5))
    sizes = crowd * np.where(faint, REFERENCE_SIZE, marker_sizes(points))
    looks: list[tuple[np.ndarray, dict[str, Any]]] = [
        (faint, {"opacity": REFERENCE_OPACITY, "line": {"width": 0}}),
        (~faint, {"opacity": 1, "line": {"color": OUTLINE_COLOR, "width": int(crowd == 1)}}),
    ]
    # Traces of their own, since in a space all points of a trace have one look; the photos' own lie on top.
    for within, look in looks:
        for group in groups:
            members = group.members & within
            if not members.any():
                continue
            marker = look | {
                "symbol": [symbols[name] for name in points.stage[members]],
                "size": sizes[members],
                "color": group.color if isinstance(group.color, str) else group.color[members[group.members]],
                "coloraxis": None if isinstance(group.color, str) else "coloraxis",
            }
            figure.add_trace(
                scatter(
                    projection.coordinates[members],
                    mode="markers",
                    name=group.label,
                    legendgroup=group.label,
                    marker=marker,
                    customdata=np.flatnonzero(members).astype(np.int32),
                    text=texts[members].tolist(),
                    hovertemplate="%{text}<extra></extra>",
                    showlegend=False,
                )
            )
    named = _named_groups(groups, own=~faint)
    figure.add_traces(_legend(points, named, symbols=symbols, by_stage=color_by == "stage", scatter=scatter))
    bar = {"title": {"text": COLOR_TITLES[color_by]}, "tickformat": ".0%", "thickness": 12, "len": 0.8}
    figure.update_layout(
        **_axes(projection),
        **layout(),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        legend2={"orientation": "h", "y": -0.03, "yanchor": "top", "itemclick": False, "itemdoubleclick": False},
        coloraxis={"colorscale": HEAT_SCALE, "cmin": 0, "cmax": 1, "colorbar": bar},
        modebar={"orientation": "v", "bgcolor": CLEAR, "color": TEXT_COLOR, "activecolor": ACTIVE_COLOR},
        margin={"l": 10, "r": 40, "t": 50, "b": 40},
        hovermode="closest",
        dragmode="pan" if projection.coordinates.shape[1] == 2 else "turntable",
    )
    return figure


def marker_sizes(points: EmbeddingPoints) -> np.ndarray:
    """(N,) diameters in pixels; a marker's surface grows with the area of its class."""
    return (8 + 14 * np.sqrt(points.area)).astype(np.float32)


def color_groups(
    points: EmbeddingPoints,
    color_by: ColorBy,
    *,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    image_names: Sequence[str],
    faint: np.ndarray,
) -> list[Group]:
    """One group a class, stage or image; for numbers one of all points, and one of those that have none.

    Args:
        faint: (N,) bool, points of reference images: together they are one group where images are.
    """
    if color_by == "stage":
        stages = list(dict.fromkeys(points.stage.tolist()))
        shades = plotly.colors.sample_colorscale(HEAT_SCALE, np.linspace(0, 1, max(len(stages), 2)).tolist())
        return [Group(stage_title(name), points.stage == name, shades[i]) for i, name in enumerate(stages)]
    if color_by == "image":
        shown = np.unique(points.image[~faint])
        count = len(shown)
        reference = [Group("reference", faint, UNKNOWN_COLOR)] if faint.any() else []
        return reference + [
            Group(html.escape(image_names[i]), points.image == i, f"hsl({360 * i // count},65%,50%)") for i in shown
        ]
    if color_by == "class":
        return [
            Group(class_names[k], points.class_index == k, css_color(class_colors[k]))
            for k in np.unique(points.class_index)
        ]
    values = points.confidence if color_by == "confidence" else points.area
    known = np.isfinite(values)
    groups = [Group(COLOR_TITLES[color_by], known, values[known].astype(np.float32))]
    if not known.all():
        groups.append(Group("no pixels at this stage", ~known, UNKNOWN_COLOR))
    return groups


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


def _scatter(coordinates: np.ndarray) -> Callable[..., Any]:
    """Makes WebGL traces of (N, 2) or (N, 3) positions."""

    def flat(where: np.ndarray, **options: Any) -> go.Scattergl:
        return go.Scattergl(x=where[:, 0], y=where[:, 1], **options)

    def deep(where: np.ndarray, **options: Any) -> go.Scatter3d:
        return go.Scatter3d(x=where[:, 0], y=where[:, 1], z=where[:, 2], **options)

    return flat if coordinates.shape[1] == 2 else deep


def _axes(projection: Projection) -> dict[str, Any]:
    """Axes without numbers, which mean nothing; in a space with names, or nobody knew which is which."""
    axis = {"showticklabels": False, "zeroline": False, "gridcolor": GRID_COLOR}
    if projection.coordinates.shape[1] == 2:
        return {"xaxis": axis, "yaxis": axis}
    names = [{"title": {"text": f"{projection.method} {number}"}} for number in (1, 2, 3)]
    deep = axis | {"showbackground": False, "showspikes": False, "gridcolor": LINE_COLORS[3]}
    scene: dict[str, Any] = {f"{letter}axis": deep | name for letter, name in zip("xyz", names, strict=True)}
    return {"scene": scene | {"aspectmode": "cube", "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1}}}}


def _hover_texts(points: EmbeddingPoints, *, class_names: Sequence[str], image_names: Sequence[str]) -> np.ndarray:
    """(N,) texts in plotly's own kind of HTML."""
    images = [html.escape(name) for name in image_names]
    texts = [
        f"<b>{class_names[k]}</b> at {stage_title(stage)}<br>{images[image]}, {area:.1%} of it"
        for image, stage, k, area in zip(
            points.image.tolist(), points.stage.tolist(), points.class_index.tolist(), points.area.tolist(), strict=True
        )
    ]
    return np.array(texts, dtype=object)


def _named_groups(groups: Sequence[Group], *, own: np.ndarray) -> list[Group]:
    """Those that the legend has room for, in their order: the ones with most points of the photos' own, (N,) bool, then
    of all. The others' points tell their names where they are pointed at."""
    counts = [np.count_nonzero(group.members) for group in groups]
    of_own = [np.count_nonzero(group.members & own) for group in groups]
    kept = np.sort(np.lexsort((np.negative(counts), np.negative(of_own)))[:MAX_LEGEND])
    return [groups[int(i)] for i in kept]


def _legend(
    points: EmbeddingPoints,
    groups: Sequence[Group],
    *,
    symbols: dict[str, str],
    by_stage: bool,
    scatter: Callable[..., Any],
) -> list[Any]:
    """Traces without points: a line for each group of one colour, which hides all its traces, and one for each stage's
    marker unless the groups are stages."""
    outline = {"color": OUTLINE_COLOR, "width": 1}

    def line(name: str, *, color: str, symbol: str, **options: Any) -> Any:
        marker = {"symbol": symbol, "color": color, "size": 10, "line": outline}
        return scatter(np.full((1, 3), None, dtype=object), mode="markers", name=name, marker=marker, **options)

    lines = []
    for group in groups:
        if isinstance(group.color, str):
            symbol = symbols[points.stage[group.members][0]] if by_stage else "circle"
            lines.append(line(group.label, color=group.color, symbol=symbol, legendgroup=group.label))
    if by_stage:
        return lines
    return lines + [
        line(stage_title(name), color=STAGE_COLOR, symbol=symbol, legend="legend2") for name, symbol in symbols.items()
    ]


def _trajectories(
    points: EmbeddingPoints, coordinates: np.ndarray, *, members: np.ndarray, scatter: Callable[..., Any]
) -> Any:
    """One line trace with gaps: stage after stage for each class of each image among the members, (N,) bool."""
    rows = np.flatnonzero(members)
    order = rows[np.lexsort((points.class_index[rows], points.image[rows]))]
    image, classes = points.image[order], points.class_index[order]
    ends = np.flatnonzero((np.diff(image) != 0) | (np.diff(classes) != 0)) + 1
    where = np.insert(coordinates[order].astype(float), [*ends, len(order)], np.nan, axis=0)
    return scatter(
        where,
        mode="lines",
        line={"color": LINE_COLORS[coordinates.shape[1]], "width": coordinates.shape[1] - 1},
        hoverinfo="skip",
        showlegend=False,
    )
