"""Lines around where the points of a map crowd."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from skimage.measure import points_in_poly

from ecenet.analysis.plots.density import GRID, LEAST_MEMBERS, density_outlines, density_traces
from ecenet.analysis.plots.map_groups import Group

CORNERS = np.array([[0.0, 0.0], [100.0, 50.0]])
"""Of a map."""


def cloud(x: float, y: float, *, count: int = 200, spread: float = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 2)) * [spread, spread / 2] + [x, y]


def share_inside(points: np.ndarray, lines: list[np.ndarray]) -> float:
    return float(np.any([points_in_poly(points, line) for line in lines], axis=0).mean())


def area(line: np.ndarray) -> float:
    x, y = line.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def test_nine_tenths_lie_within_the_outer_line_and_half_within_the_inner() -> None:
    points = cloud(50, 25)
    outer, inner = sorted(density_outlines(points, within=CORNERS), key=area, reverse=True)
    cell = 1 / GRID  # what a line may be off
    assert 0.9 - 5 * cell <= share_inside(points, [outer]) < 1
    assert 0.5 - 5 * cell <= share_inside(points, [inner]) < 0.6
    for line in (outer, inner):
        np.testing.assert_array_equal(line[0], line[-1])  # closed
        np.testing.assert_allclose(line.mean(axis=0), [50, 25], atol=2)
    assert points_in_poly(inner, outer).all()


def test_two_crowds_of_one_class_have_a_line_each_and_the_empty_middle_has_none() -> None:
    points = np.concatenate([cloud(20, 25), cloud(80, 25)])
    lines = density_outlines(points, within=CORNERS)
    assert len(lines) == 4
    assert not any(points_in_poly([[50.0, 25.0]], line)[0] for line in lines)
    assert all(any(points_in_poly([[x, 25.0]], line)[0] for line in lines) for x in (20.0, 80.0))


def test_equal_points_at_the_border_are_encircled() -> None:
    points = np.tile([[100.0, 50.0]], (LEAST_MEMBERS, 1))
    for line in density_outlines(points, within=CORNERS):
        np.testing.assert_array_equal(line[0], line[-1])
        assert share_inside(points, [line]) == 1


def test_few_points_have_no_lines_but_the_same_traces() -> None:
    assert density_outlines(cloud(50, 25, count=LEAST_MEMBERS - 1), within=CORNERS) == []
    coordinates = np.concatenate([CORNERS, cloud(30, 10, count=20), cloud(70, 40, count=20)])
    rows = np.arange(len(coordinates))
    groups = [
        Group("corners", rows < 2, "red"),
        Group("left", (rows >= 2) & (rows < 22), "green"),
        Group("right", rows >= 22, "blue"),
    ]

    def scatter(where: np.ndarray, **options: Any) -> go.Scattergl:
        return go.Scattergl(x=where[:, 0], y=where[:, 1], **options)

    both, left = (density_traces(groups, coordinates, shown=shown, scatter=scatter) for shown in (rows >= 0, rows < 22))
    for traces in (both, left):
        assert [(trace.legendgroup, trace.line.color) for trace in traces] == [("left", "green"), ("right", "blue")]
    assert [np.isfinite(trace.x).any() for trace in both] == [True, True]
    assert [np.isfinite(trace.x).any() for trace in left] == [True, False]
    np.testing.assert_array_equal(both[0].x, left[0].x)
