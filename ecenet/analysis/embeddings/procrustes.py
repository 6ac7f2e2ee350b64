"""Laying one picture onto another without changing what lies near what."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """A rotation, perhaps with a reflection, then one scale for all axes, then a shift."""

    rotation: np.ndarray
    """(d, d), orthogonal."""
    scale: float
    shift: np.ndarray
    """(d,)."""

    def apply(self, coordinates: np.ndarray) -> np.ndarray:
        """(N, d) → (N, d)."""
        return np.asarray(self.scale * coordinates @ self.rotation + self.shift)


def turn_onto(coordinates: np.ndarray, target: np.ndarray) -> Turn:
    """What brings (N, d) closest to (N, d) by least squares: Procrustes analysis (Schönemann 1966)."""
    center, onto = coordinates.mean(axis=0), target.mean(axis=0)
    moved, wanted = coordinates - center, target - onto
    left, strengths, right = np.linalg.svd(moved.T @ wanted)
    rotation = left @ right
    scale = float(strengths.sum() / max((moved**2).sum(), 1e-12))
    return Turn(rotation, scale, onto - scale * center @ rotation)
