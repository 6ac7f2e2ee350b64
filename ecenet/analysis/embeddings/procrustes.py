"""Align one projection with another by a similarity transform (Procrustes analysis)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """A similarity transform: rotation or reflection, then uniform scale, then translation."""

    rotation: np.ndarray
    """(d, d) orthogonal matrix."""
    scale: float
    shift: np.ndarray
    """(d,) translation."""

    def apply(self, coordinates: np.ndarray) -> np.ndarray:
        """Transform (N, d) coordinates."""
        return np.asarray(self.scale * coordinates @ self.rotation + self.shift)


def turn_onto(coordinates: np.ndarray, target: np.ndarray) -> Turn:
    """The transform that maps (N, d) coordinates to an (N, d) target with the least squared error: Procrustes analysis
    (Schönemann 1966)."""
    center, onto = coordinates.mean(axis=0), target.mean(axis=0)
    moved, wanted = coordinates - center, target - onto
    left, strengths, right = np.linalg.svd(moved.T @ wanted)
    rotation = left @ right
    scale = float(strengths.sum() / max((moved**2).sum(), 1e-12))
    return Turn(rotation, scale, onto - scale * center @ rotation)
