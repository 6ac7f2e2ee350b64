"""Plotly figures of the embedding map."""

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ecenet.analysis.embeddings.points import EmbeddingPoints
from ecenet.analysis.embeddings.projection import Projection
from ecenet.analysis.plots.density import density_traces
from ecenet.analysis.plots.map_groups import COLOR_TITLES, ColorBy, Group, color_groups, named_groups
from ecenet.analysis.plots.style import CLEAR, GRID_COLOR, TEXT_COLOR, layout
from ecenet.inference.overlay import HEAT_SCALE
from ecenet.inference.prediction import stage_title

STAGE_SYMBOLS = {
    2: ("circle", "square", "diamond", "cross", "x", "triangle-up", "star"),
    3: ("circle", "square", "diamond", "circle-open", "square-open", "diamond-open"),
}
"""Marker symbols by dimensions: 3D plots support only a few, and draw crosses too large."""
ACTIVE_COLOR = "#0d9488"
REFERENCE_SIZE, REFERENCE_OPACITY = 6, 0.45
CROWD, LEAST_SHRINK = 10_000, 0.3
"""Number of points from which markers shrink and lose their outlines for faster drawing, and the minimum factor."""
AXIS_MARGIN = 0.04
"""Margin on each side as a share of the points' extent, for maps with fixed axes."""
NAMED_FROM, NAMED_MEMBERS = 300, 8
"""Minimum number of points on a map for class names and contours, and of a class to be named."""
NAME_WIDTH, NAME_HEIGHT = 0.011, 0.035
"""Width of a letter and height of a line as shares of the map's sides, with a margin for small screens."""
NAME_COLOR = "rgb(70,70,70)"
"""Placeholder; the page's script uses the page's text colour."""
STAGE_COLOR = "rgb(128,128,128)"
UNSELECTED = {"marker": {"color": "rgb(150,150,150)", "opacity": 0.25}}
"""Opacity of points outside a lasso, which exists only in 2D."""
OUTLINE_COLOR = "rgba(255,255,255,0.9)"
LINE_COLORS = {2: "rgba(128,128,128,0.45)", 3: "rgb(140,140,140)"}
"""Background by dimensions: 3D plots do not support transparency."""


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
    stage: str | None = None,
    density: bool = False,
) -> go.Figure:
    """WebGL scatter plot of projected class embeddings; the marker shows the stage and its size the area.

    The custom data of a point is its row in `points`.

    Args:
        image_names: names of the predictions' images, then of the reference images.
        trajectories: draw a thin line through the stages for each class of each image, except reference images.
        is_reference: (N,) bool, reference points, which are small and faint.
        stage: draw only the points of this stage, on axes for all stages and with the same number of traces for every
            stage; all points by default. Lines and stages in the legend are only drawn without it.
        density: draw density contours for each colour, on 2D maps that are crowded (`is_crowded`).
    """
    faint = np.zeros(len(points), bool) if is_reference is None else is_reference
    shown = np.ones(len(points), bool) if stage is None else points.stage == stage
    figure = go.Figure()
    flat = projection.coordinates.shape[1] == 2
    shapes = STAGE_SYMBOLS[projection.coordinates.shape[1]]
    sequence = dict.fromkeys(points.stage.tolist())
    symbols = {name: shapes[i % len(shapes) if stage is None else 0] for i, name in enumerate(sequence)}
    scatter = _scatter(projection.coordinates)
    if trajectories and stage is None:
        figure.add_trace(_trajectories(points, projection.coordinates, members=~faint, scatter=scatter))
    images = [html.escape(name) for name in image_names]
    groups = color_groups(
        points, color_by, class_names=class_names, class_colors=class_colors, image_names=image_names, faint=faint
    )
    crowded = is_crowded(points, by_stage=stage is not None)
    if density and crowded and flat:
        figure.add_traces(density_traces(groups, projection.coordinates, shown=shown, scatter=scatter))
    crowd = max(LEAST_SHRINK, min(1.0, (CROWD / max(1, len(points))) ** 0.5))
    sizes = crowd * np.where(faint, REFERENCE_SIZE, marker_sizes(points))
    looks: list[tuple[np.ndarray, dict[str, Any]]] = [
        (faint, {"opacity": REFERENCE_OPACITY, "line": {"width": 0}}),
        (~faint, {"opacity": 1, "line": {"color": OUTLINE_COLOR, "width": int(crowd == 1)}}),
    ]
    # Separate traces, because all points of a 3D trace have the same style; points of photos are drawn on top.
    for within, look in looks:
        for group in groups:
            if not (group.members & within).any():
                continue
            members = group.members & within & shown
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
                    text=_hover_texts(points, members, class_names=class_names, images=images),
                    hovertemplate="%{text}<extra></extra>",
                    showlegend=False,
                    **({"unselected": UNSELECTED} if flat else {}),
                )
            )
    if color_by == "class" and crowded:
        figure.add_traces(_names(groups, projection.coordinates, shown=shown, scatter=scatter))
    named = named_groups(groups, own=~faint)
    shapeless = color_by == "stage" or stage is not None
    figure.add_traces(_legend(points, named, symbols=symbols, without_shapes=shapeless, scatter=scatter))
    bar = {"title": {"text": COLOR_TITLES[color_by]}, "tickformat": ".0%", "thickness": 12, "len": 0.8}
    figure.update_layout(
        **_axes(projection, fixed=stage is not None),
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


def is_crowded(points: EmbeddingPoints, *, by_stage: bool) -> bool:
    """Whether the map shows enough points at once (at any stage, if stages are shown one at a time) for class names."""
    of_stages = np.unique(points.stage, return_counts=True)[1]
    # Must be the same for all stages, so that their traces match.
    return bool((of_stages.max(initial=0) if by_stage else len(points)) >= NAMED_FROM)


def marker_sizes(points: EmbeddingPoints) -> np.ndarray:
    """(N,) diameters in pixels; the area of a marker increases with the area of its class."""
    return (8 + 14 * np.sqrt(points.area)).astype(np.float32)


def _scatter(coordinates: np.ndarray) -> Callable[..., Any]:
    """A function that makes WebGL traces from (N, 2) or (N, 3) positions."""

    def flat(where: np.ndarray, **options: Any) -> go.Scattergl:
        return go.Scattergl(x=where[:, 0], y=where[:, 1], **options)

    def deep(where: np.ndarray, **options: Any) -> go.Scatter3d:
        return go.Scatter3d(x=where[:, 0], y=where[:, 1], z=where[:, 2], **options)

    return flat if coordinates.shape[1] == 2 else deep


def _axes(projection: Projection, *, fixed: bool) -> dict[str, Any]:
    """Axes without numbers, which have no meaning; with names in 3D.

    Args:
        fixed: use a range that includes all points, drawn or not.
    """
    axis = {"showticklabels": False, "zeroline": False, "gridcolor": GRID_COLOR}
    low, high = projection.coordinates.min(axis=0), projection.coordinates.max(axis=0)
    margin = AXIS_MARGIN * (high - low) + 1e-6
    ranges = [
        {"range": [float(a), float(b)]} if fixed else {} for a, b in zip(low - margin, high + margin, strict=True)
    ]
    if projection.coordinates.shape[1] == 2:
        return {"xaxis": axis | ranges[0], "yaxis": axis | ranges[1]}
    names = [{"title": {"text": f"{projection.method} {number}"}} for number in (1, 2, 3)]
    deep = axis | {"showbackground": False, "showspikes": False, "gridcolor": LINE_COLORS[3]}
    scene: dict[str, Any] = {
        f"{letter}axis": deep | name | span for letter, name, span in zip("xyz", names, ranges, strict=True)
    }
    return {"scene": scene | {"aspectmode": "cube", "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1}}}}


def _hover_texts(
    points: EmbeddingPoints, members: np.ndarray, *, class_names: Sequence[str], images: Sequence[str]
) -> list[str]:
    """Hover texts of the members, (N,) bool, in Plotly's HTML subset; image names must be escaped."""
    columns = (points.image, points.stage, points.class_index, points.area)
    rows = zip(*(column[members].tolist() for column in columns), strict=True)
    return [
        f"<b>{class_names[k]}</b> at {stage_title(stage)}<br>{images[image]}, {area:.1%} of it"
        for image, stage, k, area in rows
    ]


def _names(
    groups: Sequence[Group], coordinates: np.ndarray, *, shown: np.ndarray, scatter: Callable[..., Any]
) -> list[Any]:
    """Text traces with the names of groups, in order. A name without a place is not drawn, but keeps its trace, so that
    the number of traces is constant."""
    many = [group for group in groups if np.count_nonzero(group.members) >= NAMED_MEMBERS]
    places = _name_places(many, coordinates, shown=shown)
    nowhere = np.full(coordinates.shape[1], None, dtype=object)
    return [
        scatter(
            places.get(group.label, nowhere)[None],
            mode="text",
            text=[group.label],
            textfont={"color": NAME_COLOR, "size": 12},
            # Keep names opaque outside a lasso.
            **({"unselected": {"textfont": {"color": NAME_COLOR}}} if coordinates.shape[1] == 2 else {}),
            legendgroup=group.label,
            hoverinfo="skip",
            showlegend=False,
        )
        for group in many
    ]


def _name_places(groups: Sequence[Group], coordinates: np.ndarray, *, shown: np.ndarray) -> dict[str, np.ndarray]:
    """Positions of the names of groups with at least `NAMED_MEMBERS` shown points, at the point nearest to their
    median. Names of smaller groups that would overlap others are omitted."""
    extent = np.ptp(coordinates[:, :2], axis=0) + 1e-9
    places: dict[str, np.ndarray] = {}
    taken: list[tuple[np.ndarray, float]] = []
    for group in sorted(groups, key=lambda group: -np.count_nonzero(group.members & shown)):
        members = coordinates[group.members & shown]
        if len(members) < NAMED_MEMBERS:
            continue
        middle = members[np.linalg.norm(members - np.median(members, axis=0), axis=1).argmin()]
        place, width = middle[:2] / extent, NAME_WIDTH * len(group.label)
        if all(
            abs(place[0] - other[0]) > (width + wide) / 2 or abs(place[1] - other[1]) > NAME_HEIGHT
            for other, wide in taken
        ):
            taken.append((place, width))
            places[group.label] = middle
    return places


def _legend(
    points: EmbeddingPoints,
    groups: Sequence[Group],
    *,
    symbols: dict[str, str],
    without_shapes: bool,
    scatter: Callable[..., Any],
) -> list[Any]:
    """Legend traces without points: one for each group, which toggles all its traces, and one for each stage's marker,
    unless the groups are stages or only one stage is shown."""
    outline = {"color": OUTLINE_COLOR, "width": 1}

    def line(name: str, *, color: str, symbol: str, **options: Any) -> Any:
        marker = {"symbol": symbol, "color": color, "size": 10, "line": outline}
        return scatter(np.full((1, 3), None, dtype=object), mode="markers", name=name, marker=marker, **options)

    lines = []
    for group in groups:
        if isinstance(group.color, str):
            symbol = symbols[points.stage[group.members][0]] if without_shapes else "circle"
            lines.append(line(group.label, color=group.color, symbol=symbol, legendgroup=group.label))
    if without_shapes:
        return lines
    return lines + [
        line(stage_title(name), color=STAGE_COLOR, symbol=symbol, legend="legend2") for name, symbol in symbols.items()
    ]


def _trajectories(
    points: EmbeddingPoints, coordinates: np.ndarray, *, members: np.ndarray, scatter: Callable[..., Any]
) -> Any:
    """One line trace with gaps: a path through the stages for each class of each image of the members, (N,) bool."""
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
