"""Strokes that a user paints on a photo, and the region that they form. Not from the paper."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import skimage.measure
from PIL import Image, ImageDraw

from ecenet.common.errors import UserError

Tool = Literal["brush", "erase", "box", "pick"]
MAX_POINTS = 4000
"""Maximum number of points of a stroke, about a minute of fast painting."""
MAX_RADIUS = 200
"""Maximum radius of the brush in pixels."""


@dataclass(frozen=True)
class Stroke:
    """One drag of the mouse or a finger."""

    tool: Tool
    """brush and erase draw a line with round ends, box fills the rectangle between the first and the last point, pick
    selects the connected patch of one class around the last point."""
    points: tuple[tuple[float, float], ...]
    """One or more (x, y) in pixels; they can be outside the photo."""
    radius: float = 8.0
    """Radius of the line in pixels of the photo."""
    stage: str = "final"
    """Stage whose mask `pick` uses: the one shown at that time."""


def read_stroke(payload: object, *, stage: str = "final") -> Stroke:
    """Validate `{"tool": …, "points": [[x, y], …], "radius": …}` as sent by the browser.

    Args:
        stage: the stage shown, for `Stroke.stage`.
    Raises:
        UserError: the payload is not a valid stroke.
    """
    asked = payload if isinstance(payload, dict) else {}
    tool, points, radius = asked.get("tool"), asked.get("points"), asked.get("radius", Stroke.radius)
    if tool not in get_args(Tool):
        raise UserError(
            "unknown-choice",
            f"Expected a tool among {', '.join(get_args(Tool))}, got {str(tool)[:40]!r}; choose one of them.",
        )
    if not (isinstance(points, list) and 0 < len(points) <= MAX_POINTS and all(_is_point(point) for point in points)):
        raise UserError(
            "invalid-value", f"Expected a stroke of 1 … {MAX_POINTS} points, got {str(points)[:40]!r}; paint again."
        )
    if not (_is_number(radius) and 0 < radius <= MAX_RADIUS):
        raise UserError(
            "out-of-range",
            f"Expected a brush of at most {MAX_RADIUS} pixels, got {str(radius)[:40]!r}; choose another.",
        )
    return Stroke(cast(Tool, tool), tuple((float(x), float(y)) for x, y in points), float(radius), stage)


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_is_number(part) and abs(part) < 1e5 for part in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def draw_strokes(
    strokes: Sequence[Stroke], label_maps: Mapping[str, np.ndarray], *, size: tuple[int, int]
) -> np.ndarray:
    """The region formed by a sequence of strokes.

    Args:
        label_maps: (H, W) uint8 label maps by stage, for `pick`.
        size: the photo's (width, height).
    Returns: (H, W) bool.
    """
    width, height = size
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    for stroke in strokes:
        if stroke.tool == "box":
            xs, ys = zip(stroke.points[0], stroke.points[-1], strict=True)
            draw.rectangle((min(xs), min(ys), max(xs), max(ys)), fill=255)
        elif stroke.tool == "pick":
            patch = _patch(label_maps[stroke.stage], stroke.points[-1])
            canvas.paste(255, mask=Image.fromarray(patch.astype(np.uint8) * 255))
        else:
            _draw_line(draw, stroke, fill=0 if stroke.tool == "erase" else 255)
    return np.asarray(canvas) > 0


def _draw_line(draw: ImageDraw.ImageDraw, stroke: Stroke, *, fill: int) -> None:
    if len(stroke.points) > 1:
        draw.line(stroke.points, fill=fill, width=max(1, round(2 * stroke.radius)), joint="curve")
    for x, y in stroke.points:
        draw.ellipse((x - stroke.radius, y - stroke.radius, x + stroke.radius, y + stroke.radius), fill=fill)


def _patch(label_map: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """(H, W) bool: the connected pixels of the same class around a point; none if it is outside the photo."""
    height, width = label_map.shape
    x, y = math.floor(point[0]), math.floor(point[1])
    if not (0 <= x < width and 0 <= y < height):
        return np.zeros((height, width), dtype=bool)
    patches = skimage.measure.label(label_map == label_map[y, x], connectivity=1)
    return np.asarray(patches == patches[y, x])
