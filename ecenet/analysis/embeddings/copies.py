"""Rows with equal embeddings, such as those of a photo that was added twice. Each projection fits them as one point:
many points without any distance between them would look like a cluster. Ours."""

import numpy as np


def equal_rows(vectors: np.ndarray, among: np.ndarray, *, stages: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """(N,) the first row of `among` that equals each of `vectors` in every number, −1 where there is none.

    Args:
        vectors: (N, D).
        among: (M, D).
        stages: (N,) and (M,) names, which then have to be equal as well.
    """
    names, among_names = ([""] * len(vectors), [""] * len(among)) if stages is None else stages
    first: dict[tuple[str, bytes], int] = {}
    for row, key in enumerate(_keys(among, among_names)):
        first.setdefault(key, row)
    return np.array([first.get(key, -1) for key in _keys(vectors, names)], dtype=int)


def first_equal(vectors: np.ndarray, stage: np.ndarray | None) -> np.ndarray:
    """(N,) the first row that equals each one: itself unless it is a copy. `stage` holds (N,) names, where only rows of
    the same stage are compared."""
    return equal_rows(vectors, vectors, stages=None if stage is None else (stage, stage))


def _keys(vectors: np.ndarray, names: np.ndarray | list[str]) -> list[tuple[str, bytes]]:
    plain = np.ascontiguousarray(vectors, dtype=np.float32) + np.float32(0)  # −0 becomes 0
    return [(str(name), row.tobytes()) for name, row in zip(names, plain, strict=True)]
