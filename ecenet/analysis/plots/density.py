"""Where the points of a group crowd, as lines around them: more of them lie over each other than dots can show."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import skimage.measure
from scipy.ndimage import gaussian_filter

from ecenet.analysis.plots.map_groups import UNKNOWN_COLOR, Group

SHARES = (0.9, 0.5)
"""Of a group's points, which lie within each of its lines."""
GRID = 128
"""Cells along either axis of a map, on which the density is estimated."""
BANDWIDTH = 2.5
"""Standard deviation of the Gaussian kernel in cells: 2 % of the map."""
HIGHEST_LEVEL = 0.6
"""Of the greatest density, or the line around points in one place would be a dot."""
TOLERANCE = 0.2
"""How far in cells a line may leave out its corners."""
LEAST_MEMBERS = 8
"""Points that a group must have: the density of fewer is that of its kernel."""


def density_traces(
    groups: Sequence[Group], coordinates: np.ndarray, *, shown: np.ndarray, scatter: Callable[..., Any]
) -> list[Any]:
    """One trace of lines for each group that has `LEAST_MEMBERS` points at all, be it an empty one: whatever is shown,
    there are the same traces.

    Args:
        coordinates: (N, 2) of all points of the map.
        shown: (N,) bool.
    """
    return [
        scatter(
            _with_gaps(density_outlines(coordinates[group.members & shown], within=coordinates)),
            mode="lines",
            line={"color": group.color if isinstance(group.color, str) else UNKNOWN_COLOR, "width": 1},
            legendgroup=group.label,
            hoverinfo="skip",
            showlegend=False,
        )
        for group in groups
        if np.count_nonzero(group.members) >= LEAST_MEMBERS
    ]


def density_outlines(places: np.ndarray, *, within: np.ndarray) -> list[np.ndarray]:
    """Closed lines, (K, 2) each, within which lie at least the `SHARES` of the points; none for fewer than
    `LEAST_MEMBERS`. The density is a kernel estimate with one bandwidth for all groups, so that a wide group is not
    drawn smoother than a narrow one. Ours.

    Args:
        places: (M, 2).
        within: (N, 2) of which the extent is that of the map.
    """
    if len(places) < LEAST_MEMBERS:
        return []
    low, extent = within.min(axis=0), np.ptp(within, axis=0) + 1e-9
    room = round(4 * BANDWIDTH)  # or a line at the border would not be closed
    cells = room + (places - low) / extent * (GRID - 1)
    nearest = np.round(cells).astype(int)
    counts = np.zeros((GRID + 2 * room, GRID + 2 * room))
    np.add.at(counts, tuple(nearest.T), 1)
    density = gaussian_filter(counts, BANDWIDTH)
    at_points = np.sort(density[tuple(nearest.T)])[::-1]
    lines = []
    for share in SHARES:
        # Just below the density of the last point that is to lie inside.
        level = min(0.999 * at_points[int(np.ceil(share * len(places))) - 1], HIGHEST_LEVEL * at_points[0])
        lines += skimage.measure.find_contours(density, level)
    thinned = [skimage.measure.approximate_polygon(line, TOLERANCE) for line in lines]
    return [low + (line - room) / (GRID - 1) * extent for line in thinned]


def _with_gaps(lines: Sequence[np.ndarray]) -> np.ndarray:
    """(K, 2) of all lines, with NaN between them; one point nowhere where there is none."""
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for line in lines for part in (line, gap)]) if len(lines) else gap
