"""Density contours around the points of a group, for maps with too many overlapping points."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import skimage.measure
from scipy.ndimage import gaussian_filter

from ecenet.analysis.plots.map_groups import UNKNOWN_COLOR, Group

SHARES = (0.9, 0.5)
"""Shares of a group's points inside each contour."""
GRID = 128
"""Number of grid cells per axis for the density estimate."""
BANDWIDTH = 2.5
"""Standard deviation of the Gaussian kernel in cells (2 % of the map)."""
HIGHEST_LEVEL = 0.6
"""Maximum level relative to the highest density, so that contours around points in one place remain visible."""
TOLERANCE = 0.2
"""Tolerance in cells for simplifying contours."""
LEAST_MEMBERS = 8
"""Minimum number of points in a group; with fewer, the density only shows the kernel."""


def density_traces(
    groups: Sequence[Group], coordinates: np.ndarray, *, shown: np.ndarray, scatter: Callable[..., Any]
) -> list[Any]:
    """One trace of contours for each group with at least `LEAST_MEMBERS` points in total. It can be empty, so that the
    number of traces does not depend on `shown`.

    Args:
        coordinates: (N, 2) positions of all points of the map.
        shown: (N,) bool, points to show.
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
    """Closed (K, 2) lines that contain at least the `SHARES` of the points; none for fewer than `LEAST_MEMBERS`.

    The density is a kernel estimate with the same bandwidth for all groups, so that wide groups are not smoothed more
    than narrow ones. Not from the paper.

    Args:
        places: (M, 2) positions of the group.
        within: (N, 2) positions that define the extent of the map.
    """
    if len(places) < LEAST_MEMBERS:
        return []
    low, extent = within.min(axis=0), np.ptp(within, axis=0) + 1e-9
    room = round(4 * BANDWIDTH)  # margin, so that contours at the border are closed
    cells = room + (places - low) / extent * (GRID - 1)
    nearest = np.round(cells).astype(int)
    counts = np.zeros((GRID + 2 * room, GRID + 2 * room))
    np.add.at(counts, tuple(nearest.T), 1)
    density = gaussian_filter(counts, BANDWIDTH)
    at_points = np.sort(density[tuple(nearest.T)])[::-1]
    lines = []
    for share in SHARES:
        # Just below the density of the last point that must be inside.
        level = min(0.999 * at_points[int(np.ceil(share * len(places))) - 1], HIGHEST_LEVEL * at_points[0])
        lines += skimage.measure.find_contours(density, level)
    thinned = [skimage.measure.approximate_polygon(line, TOLERANCE) for line in lines]
    return [low + (line - room) / (GRID - 1) * extent for line in thinned]


def _with_gaps(lines: Sequence[np.ndarray]) -> np.ndarray:
    """(K, 2) points of all lines, separated by NaN; a single NaN point if there are none."""
    gap = np.full((1, 2), np.nan)
    return np.concatenate([part for line in lines for part in (line, gap)]) if len(lines) else gap
