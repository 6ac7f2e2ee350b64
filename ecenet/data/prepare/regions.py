"""Conversion of regions to masks of class indices with COCO's rasteriser."""

import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.prepare.samples import BACKGROUND, IGNORED, Region, Rest

ELLIPSE_CORNERS = 64


def draw(regions: Sequence[Region], *, size: tuple[int, int], names: Sequence[str], rest: Rest) -> np.ndarray:
    """Draw regions as (H, W) uint8 class indices; later regions cover earlier ones.

    Args:
        size: (width, height) in pixels.
        names: class names. Regions with other labels are omitted; labels in `IGNORED` become 255.
        rest: label of pixels outside of all regions: class 0, or ignored.
    """
    width, height = size
    mask = np.full((height, width), 0 if rest == "background" else IGNORE_INDEX, np.uint8)
    indices = class_indices(names)
    for region in regions:
        index = indices.get(region.label)
        if index is None:
            continue
        runs = region.runs
        if runs is None:
            rings = [list(ring) for ring in region.outlines if len(ring) >= 6]
            if not rings:
                continue
            runs = coco.merge(coco.frPyObjects(rings, height, width))
        elif isinstance(runs["counts"], list):
            runs = coco.frPyObjects(runs, height, width)
        mask[coco.decode(runs).astype(bool)] = index
    return mask


def class_indices(names: Sequence[str]) -> dict[str, int]:
    """Return the mask value of each label, including the names that tools use for background and ignored pixels."""
    indices = {name: index for index, name in enumerate(names)}
    if "background" in indices:
        indices |= {label: indices["background"] for label in BACKGROUND if label not in indices}
    return {label: IGNORE_INDEX for label in IGNORED if label not in indices} | indices


def ellipse(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    """Return the corners of a polygon that approximates an ellipse around (x, y) with these radii."""
    angles = [2 * math.pi * corner / ELLIPSE_CORNERS for corner in range(ELLIPSE_CORNERS)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def runs_of(bitmap: np.ndarray, *, left: int, top: int, size: tuple[int, int]) -> dict[str, object]:
    """Return COCO's run-length encoding of a (h, w) bitmap at (left, top) in an image of `size` (width, height); parts
    outside of the image are cropped."""
    width, height = size
    whole = np.zeros((height, width), np.uint8, order="F")
    part = bitmap[max(0, -top) :, max(0, -left) :][: height - max(0, top), : width - max(0, left)]
    whole[max(0, top) :, max(0, left) :][: part.shape[0], : part.shape[1]] = part > 0
    encoded: dict[str, object] = coco.encode(whole)
    return encoded
