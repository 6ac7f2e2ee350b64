"""One projection per stage, aligned so that points stay near their position at the previous stage. Not from the paper.

`AlignedUMAP` of umap-learn has the same goal, but it fits each stage from scratch, takes ten times as long for 1,300
classes at five stages, and cannot place further points. Here each stage is initialised with the positions of the
previous one and then aligned with them by a similarity transform.
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
    """Projections of all stages, into which further points can be placed."""

    coordinates: np.ndarray
    """(N, dimensions) positions of all rows."""
    reducers: dict[str, tuple[Any, Turn]]
    """Fitted reducer and transform by stage; empty for t-SNE, which cannot place points."""

    def place(self, vectors: np.ndarray, stage: np.ndarray) -> np.ndarray | None:
        """(N, dimensions) positions of (N, D) vectors with (N,) stage names; None if a stage was not fitted."""
        names = dict.fromkeys(stage.tolist())
        if not names.keys() <= self.reducers.keys():
            return None
        coordinates = np.zeros((len(vectors), self.coordinates.shape[1]))
        for name in names:
            reducer, turn = self.reducers[name]
            coordinates[stage == name] = turn.apply(place_umap(reducer, vectors[stage == name]))
        return coordinates


def fit_stages(vectors: np.ndarray, options: ProjectionOptions, rows: StageRows) -> StageFits:
    """UMAP or t-SNE of each stage, starting at the coarsest.

    Args:
        vectors: (N, D) vectors.
    """
    coordinates = np.zeros((len(vectors), options.dimensions))
    reducers: dict[str, tuple[Any, Turn]] = {}
    before: np.ndarray | None = None  # rows of the previous stage
    for name in rows.sequence:
        members = np.flatnonzero(rows.stage == name)
        start = None if before is None else _start(vectors, coordinates, rows.item, members=members, before=before)
        if options.method == "t-SNE":
            fitted = tsne_coordinates(vectors[members], options, start=start)
        else:
            if start is None:
                # Refit the first stage from its own result, as later stages do; otherwise the first step is longest.
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
    """(M, dimensions) initial positions: those of the same items in the (B,) rows of the previous stage. A new item
    starts at the position of its nearest neighbour."""
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
