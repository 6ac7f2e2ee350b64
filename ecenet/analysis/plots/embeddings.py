"""Arrays in, plotly figures out."""

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
"""By dimensions: a space knows few, and draws its crosses far too large."""
ACTIVE_COLOR = "#0d9488"
REFERENCE_SIZE, REFERENCE_OPACITY = 6, 0.45
CROWD, LEAST_SHRINK = 10_000, 0.3
"""Points from which on they shrink and lose their outlines, and how far at most: a crowd is drawn faster so."""
AXIS_MARGIN = 0.04
"""Of the points' extent, on either side of a map whose axes stay."""
NAMED_FROM, NAMED_MEMBERS = 300, 8
"""Points on a map from which on classes are named on it and have contours, and points that a named class has."""
NAME_WIDTH, NAME_HEIGHT = 0.011, 0.035
"""Of a letter and of a line, as shares of the map's sides: more than they are on a wide screen."""
NAME_COLOR = "rgb(70,70,70)"
"""The page's script takes the page's own."""
STAGE_COLOR = "rgb(128,128,128)"
UNSELECTED = {"marker": {"color": "rgb(150,150,150)", "opacity": 0.25}}
"""Points outside of a lasso, in two dimensions: a space has none."""
OUTLINE_COLOR = "rgba(255,255,255,0.9)"
LINE_COLORS = {2: "rgba(128,128,128,0.45)", 3: "rgb(140,140,140)"}
"""By dimensions: in a space, what is see-through is not drawn at all."""


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
    """Scatter of projected class embeddings, in WebGL; the marker tells the stage, its size the area.

    The custom data of a point is its row in `points`.

    Args:
        image_names: one a prediction, then those of reference images.
        trajectories: draw a thin line through the stages for each class of each image that is no reference.
        is_reference: (N,) bool, points that are only there to compare with: small and faint.
        stage: the one whose points are drawn, on axes that hold those of all stages, and in as many traces for
            whichever stage; all points without. Only without are there lines, and stages in the legend.
        density: draw lines around where the points of one colour crowd, on a flat map that `is_crowded`.
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
    # Traces of their own, since in a space all points of a trace have one look; the photos' own lie on top.
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
    """Whether so many points are shown at once, at one of the stages where it is one at a time, that classes are named
    on the map."""
    of_stages = np.unique(points.stage, return_counts=True)[1]
    # Of maps of single stages the same at each, or their traces would not match.
    return bool((of_stages.max(initial=0) if by_stage else len(points)) >= NAMED_FROM)


def marker_sizes(points: EmbeddingPoints) -> np.ndarray:
    """(N,) diameters in pixels; a marker's surface grows with the area of its class."""
    return (8 + 14 * np.sqrt(points.area)).astype(np.float32)


def _scatter(coordinates: np.ndarray) -> Callable[..., Any]:
    """Makes WebGL traces of (N, 2) or (N, 3) positions."""

    def flat(where: np.ndarray, **options: Any) -> go.Scattergl:
        return go.Scattergl(x=where[:, 0], y=where[:, 1], **options)

    def deep(where: np.ndarray, **options: Any) -> go.Scatter3d:
        return go.Scatter3d(x=where[:, 0], y=where[:, 1], z=where[:, 2], **options)

    return flat if coordinates.shape[1] == 2 else deep


def _axes(projection: Projection, *, fixed: bool) -> dict[str, Any]:
    """Axes without numbers, which mean nothing; in a space with names, or nobody knew which is which.

    Args:
        fixed: their ranges hold all points, whichever are drawn.
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
    """Texts of the members, (N,) bool, in plotly's own kind of HTML; names of images are escaped already."""
    columns = (points.image, points.stage, points.class_index, points.area)
    rows = zip(*(column[members].tolist() for column in columns), strict=True)
    return [
        f"<b>{class_names[k]}</b> at {stage_title(stage)}<br>{images[image]}, {area:.1%} of it"
        for image, stage, k, area in rows
    ]


def _names(
    groups: Sequence[Group], coordinates: np.ndarray, *, shown: np.ndarray, scatter: Callable[..., Any]
) -> list[Any]:
    """The names of groups, in their order. One without a place is drawn nowhere: whatever is shown, there are the same
    traces."""
    many = [group for group in groups if np.count_nonzero(group.members) >= NAMED_MEMBERS]
    places = _name_places(many, coordinates, shown=shown)
    nowhere = np.full(coordinates.shape[1], None, dtype=object)
    return [
        scatter(
            places.get(group.label, nowhere)[None],
            mode="text",
            text=[group.label],
            textfont={"color": NAME_COLOR, "size": 12},
            # A lasso leaves names as they are.
            **({"unselected": {"textfont": {"color": NAME_COLOR}}} if coordinates.shape[1] == 2 else {}),
            legendgroup=group.label,
            hoverinfo="skip",
            showlegend=False,
        )
        for group in many
    ]


def _name_places(groups: Sequence[Group], coordinates: np.ndarray, *, shown: np.ndarray) -> dict[str, np.ndarray]:
    """Where the names of groups of at least `NAMED_MEMBERS` shown points lie: each at the point nearest to their
    median. The largest come first, and a name that would lie over another is left out."""
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
    """Traces without points: a line for each group of one colour, which hides all its traces, and one for each stage's
    marker unless the groups are stages, or all points of one stage."""
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
