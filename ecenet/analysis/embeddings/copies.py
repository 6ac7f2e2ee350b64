"""Find rows with equal embeddings, e.g. of a photo that was added twice. Projections fit them as one point, because
identical points would look like a cluster. Not from the paper."""

import numpy as np


def equal_rows(vectors: np.ndarray, among: np.ndarray, *, stages: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """(N,) index of the first row of `among` that equals each row of `vectors` exactly; −1 if there is none.

    Args:
        vectors: (N, D) vectors to find.
        among: (M, D) vectors to search.
        stages: (N,) and (M,) stage names, which must be equal as well, if given.
    """
    names, among_names = ([""] * len(vectors), [""] * len(among)) if stages is None else stages
    first: dict[tuple[str, bytes], int] = {}
    for row, key in enumerate(_keys(among, among_names)):
        first.setdefault(key, row)
    return np.array([first.get(key, -1) for key in _keys(vectors, names)], dtype=int)


def first_equal(vectors: np.ndarray, stage: np.ndarray | None) -> np.ndarray:
    """(N,) index of the first row that equals each row; its own index unless it is a copy. With (N,) stage names, only
    rows of the same stage are compared."""
    return equal_rows(vectors, vectors, stages=None if stage is None else (stage, stage))


def _keys(vectors: np.ndarray, names: np.ndarray | list[str]) -> list[tuple[str, bytes]]:
    plain = np.ascontiguousarray(vectors, dtype=np.float32) + np.float32(0)  # −0 becomes 0
    return [(str(name), row.tobytes()) for name, row in zip(names, plain, strict=True)]
