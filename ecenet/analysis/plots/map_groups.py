"""Which points of a map have one colour, by what people choose to colour by."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import plotly.colors

from ecenet.analysis.embeddings.points import EmbeddingPoints
from ecenet.analysis.plots.style import css_color
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
MAX_LEGEND = 21
"""Classes or photos that the legend names: as many as leave the map its room on a phone; a session has 20 photos."""
UNKNOWN_COLOR = "rgb(150,150,150)"


@dataclass(frozen=True)
class Group:
    """Points that are drawn as one trace."""

    label: str
    members: np.ndarray
    """(N,) bool."""
    color: str | np.ndarray
    """One for all, or a number for each of them."""


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


def named_groups(groups: Sequence[Group], *, own: np.ndarray) -> list[Group]:
    """Those that the legend has room for, in their order: the ones with most points of the photos' own, (N,) bool, then
    of all. The others' points tell their names where they are pointed at."""
    counts = [np.count_nonzero(group.members) for group in groups]
    of_own = [np.count_nonzero(group.members & own) for group in groups]
    kept = np.sort(np.lexsort((np.negative(counts), np.negative(of_own)))[:MAX_LEGEND])
    return [groups[int(i)] for i in kept]
