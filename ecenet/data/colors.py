"""Class colours for data that brings none: told apart by readers with any kind of colour vision."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ecenet.data.usual_colors import usual_color

# Okabe and Ito's palette, "Color universal design" (2008), without black: the first classes' colours.
FIRST = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
LEVELS = np.linspace(0, 255, 7).round().astype(int)
"""Of each channel, among which further colours are looked for: 343 of them, and there are at most 255 classes."""
# What linear RGB looks like without one kind of cone: protanopia, deuteranopia, tritanopia (Machado et al. 2009).
VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)


def class_colors(names: Sequence[str]) -> list[list[int]]:
    """An RGB colour for each class, by the names alone: the usual one where the name has one that no class before it
    took, else one of `distinct_colors` beside those."""
    usual = [usual_color(name) for name in names]
    own = [color if color not in usual[:k] else None for k, color in enumerate(usual)]
    taken = tuple(color for color in own if color is not None)
    others = iter(distinct_colors(len(names), first=taken or FIRST)[len(taken) :])
    return [list(next(others) if color is None else color) for color in own]


@lru_cache(maxsize=8)
def distinct_colors(count: int, *, first: tuple[tuple[int, int, int], ...] = FIRST) -> tuple[tuple[int, int, int], ...]:
    """`count` RGB colours, 1 … 255: each further one is as far from all before it as can be found, where the distance
    of two is CIE Lab's in the vision that tells them apart worst. More colours begin with the fewer's. Ours.

    Args:
        first: those to begin with.
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
    """(N, 3) RGB 0 … 255 → (4, N, 3) CIE Lab as each vision sees them."""
    from skimage.color import rgb2lab  # a quarter of a second, which every command would pay and few need

    linear = _linear(colors / 255)
    return np.stack([rgb2lab(_gamma((linear @ vision.T).clip(0, 1))) for vision in VISIONS])


def _distances(looks: np.ndarray, chosen: list[int]) -> np.ndarray:
    """(N, M) distance of each colour to each chosen one, in the vision that tells them apart worst."""
    return np.linalg.norm(looks[:, :, None] - looks[:, None, chosen], axis=-1).min(axis=0)


def _linear(values: np.ndarray) -> np.ndarray:
    """sRGB to light, both 0 … 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _gamma(values: np.ndarray) -> np.ndarray:
    """Light to sRGB, both 0 … 1."""
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)
