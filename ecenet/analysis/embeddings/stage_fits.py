"""One picture for each stage, in which a class of an image stays near where it was at the stage before. Ours.

`AlignedUMAP` of umap-learn has the same aim. It fits each stage from the beginning, takes ten times as long for 1,300
classes at five stages, and places no further points. Here each stage starts from the positions of the one before, and
is then turned, scaled and shifted onto them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ecenet.analysis.embeddings.cosine import nearest, unit_vectors
from ecenet.analysis.embeddings.procrustes import Turn, turn_onto
from ecenet.analysis.embeddings.projection import ProjectionOptions, StageRows
from ecenet.analysis.embeddings.umap_fit import fit_umap, place_umap, tsne_coordinates


@dataclass(frozen=True)
class StageFits:
    """Pictures of all stages, and what places further points into each."""

    coordinates: np.ndarray
    """(N, dimensions), of all rows."""
    reducers: dict[str, tuple[Any, Turn]]
    """By stage; none of t-SNE, which cannot place."""

    def place(self, vectors: np.ndarray, stage: np.ndarray) -> np.ndarray | None:
        """(N, D), (N,) stage names → (N, dimensions); None where a stage was not fitted."""
        names = dict.fromkeys(stage.tolist())
        if not names.keys() <= self.reducers.keys():
            return None
        coordinates = np.zeros((len(vectors), self.coordinates.shape[1]))
        for name in names:
            reducer, turn = self.reducers[name]
            coordinates[stage == name] = turn.apply(place_umap(reducer, vectors[stage == name]))
        return coordinates


def fit_stages(vectors: np.ndarray, options: ProjectionOptions, rows: StageRows) -> StageFits:
    """UMAP or t-SNE of each stage, from the coarsest on.

    Args:
        vectors: (N, D).
    """
    coordinates = np.zeros((len(vectors), options.dimensions))
    reducers: dict[str, tuple[Any, Turn]] = {}
    before: np.ndarray | None = None  # rows of the stage before
    for name in rows.sequence:
        members = np.flatnonzero(rows.stage == name)
        start = None if before is None else _start(vectors, coordinates, rows.item, members=members, before=before)
        if options.method == "t-SNE":
            fitted = tsne_coordinates(vectors[members], options, start=start)
        else:
            if start is None:
                # Once more from where it came to, as all later ones do: or the first step would be the longest.
                start = np.asarray(fit_umap(vectors[members], options).embedding_, dtype=float)
            reducer = fit_umap(vectors[members], options, start=start)
            fitted = np.asarray(reducer.embedding_, dtype=float)
        turn = Turn(np.eye(options.dimensions), 1.0, np.zeros(options.dimensions))
        if start is not None:
            turn = turn_onto(fitted, start)
        coordinates[members] = turn.apply(fitted)
        if options.method == "UMAP":
            reducers[name] = reducer, turn
        before = members
    return StageFits(coordinates, reducers)


def _start(
    vectors: np.ndarray, coordinates: np.ndarray, item: np.ndarray, *, members: np.ndarray, before: np.ndarray
) -> np.ndarray:
    """(M, dimensions) where the members' items were at the stage before, rows (B,) of which have positions already. One
    that was not there begins where the nearest of the others was."""
    row_of = dict(zip(item[before].tolist(), before.tolist(), strict=True))
    earlier = np.array([row_of.get(one, -1) for one in item[members].tolist()])
    known = earlier >= 0
    if not known.any():
        return np.zeros((len(members), coordinates.shape[1]))
    start = np.zeros((len(members), coordinates.shape[1]))
    start[known] = coordinates[earlier[known]]
    if not known.all():
        unit = unit_vectors(vectors[members])
        beside, _ = nearest(unit[~known], unit[known], count=1)
        start[~known] = start[known][beside[:, 0]]
    return start
