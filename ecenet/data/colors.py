"""Colours for classes without given ones, distinguishable with any kind of colour vision."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ecenet.data.usual_colors import usual_color

# Okabe and Ito's palette, "Color universal design" (2008), without black: the first classes' colours.
FIRST = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
LEVELS = np.linspace(0, 255, 7).round().astype(int)
"""Channel values of candidate colours: 343 colours for at most 255 classes."""
# Linear RGB as seen without one kind of cone: protanopia, deuteranopia, tritanopia (Machado et al. 2009).
VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def class_colors(names: Sequence[str]) -> list[list[int]]:
    """Return an RGB colour for each class, determined by the names: the usual colour of the name, if no earlier class
    has it, and otherwise one of `distinct_colors`."""
    usual = [usual_color(name) for name in names]
    own = [color if color not in usual[:k] else None for k, color in enumerate(usual)]
    taken = tuple(color for color in own if color is not None)
    others = iter(distinct_colors(len(names), first=taken or FIRST)[len(taken) :])
    return [list(next(others) if color is None else color) for color in own]


@lru_cache(maxsize=8)
def distinct_colors(count: int, *, first: tuple[tuple[int, int, int], ...] = FIRST) -> tuple[tuple[int, int, int], ...]:
    """Return `count` RGB colours, 1 … 255, by farthest-point sampling: each has the largest distance to all before it.
    The distance of two colours is that in CIE Lab for the kind of vision that distinguishes them worst. Larger lists
    start with the smaller ones. Ours.

    Args:
        first: the first colours.
    """
    levels = LEVELS.tolist()
    candidates = np.array([*first, *((r, g, b) for r in levels for g in levels for b in levels)])
    looks = seen_by_all(candidates)
    chosen = list(range(len(first)))
    nearest = _distances(looks, chosen).min(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(looks, chosen[-1:])[:, 0])
    return tuple((int(r), int(g), int(b)) for r, g, b in candidates[chosen[:count]])


def seen_by_all(colors: np.ndarray) -> np.ndarray:
    """Convert colours, (N, 3) RGB 0 … 255, to CIE Lab as seen by each kind of vision, (4, N, 3)."""
    from skimage.color import rgb2lab  # takes a quarter of a second, which few commands need

    linear = _linear(colors / 255)
    return np.stack([rgb2lab(_gamma((linear @ vision.T).clip(0, 1))) for vision in VISIONS])


def _distances(looks: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Return (N, M) distances of each colour to the chosen ones, for the vision that distinguishes them worst."""
    return np.linalg.norm(looks[:, :, None] - looks[:, None, chosen], axis=-1).min(axis=0)


def _linear(values: np.ndarray) -> np.ndarray:
    """Convert sRGB to linear light, both 0 … 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _gamma(values: np.ndarray) -> np.ndarray:
    """Convert linear light to sRGB, both 0 … 1."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
