"""Groups of map points with the same colour, for each option of "Colour by"."""

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
"""Maximum number of classes or photos in the legend, so that the map has enough room on a phone."""
UNKNOWN_COLOR = "rgb(150,150,150)"


@dataclass(frozen=True)
class Group:
    """A group of points, drawn as one trace."""

    label: str
    members: np.ndarray
    """(N,) bool: points of the group."""
    color: str | np.ndarray
    """A single colour, or a number for each point."""


def color_groups(
    points: EmbeddingPoints,
    color_by: ColorBy,
    *,
    class_names: Sequence[str],
    class_colors: Sequence[Sequence[int]],
    image_names: Sequence[str],
    faint: np.ndarray,
) -> list[Group]:
    """One group per class, stage or image; for numeric values, one group of all points and one of points without value.

    Args:
        faint: (N,) bool, points of reference images, which form a single group when grouped by image.
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
    """The groups to show in the legend, in order: those with the most points of the session's photos ((N,) bool `own`),
    then of all photos. Other groups are only named on hover."""
    counts = [np.count_nonzero(group.members) for group in groups]
    of_own = [np.count_nonzero(group.members & own) for group in groups]
    kept = np.sort(np.lexsort((np.negative(counts), np.negative(of_own)))[:MAX_LEGEND])
    return [groups[int(i)] for i in kept]
