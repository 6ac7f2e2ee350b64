"""How a label map develops: the stage that decided each pixel, and the transitions between classes."""

from itertools import pairwise

import numpy as np

from ecenet.inference.prediction import Prediction


def decided_at(prediction: Prediction) -> np.ndarray:
    """(H, W) uint8: index of the first stage from which a pixel's class stays the final one. Not from the paper."""
    final = prediction.label_map
    decided = np.zeros(final.shape, dtype=np.uint8)
    # Coarse to fine: the last stage with another class overwrites earlier ones.
    for number, stage in enumerate(prediction.stages.values()):
        decided[stage.label_map != final] = number + 1
    return decided


def decided_shares(decided: np.ndarray, *, stages: int) -> np.ndarray:
    """(S,) share of the pixels decided at each stage; sums to 1."""
    return np.bincount(decided.ravel(), minlength=stages) / decided.size


def transitions(prediction: Prediction, *, within: np.ndarray | None = None) -> np.ndarray:
    """(S-1, K, K) int64 pixel counts from one stage (rows) to the next (columns), for consecutive stages.

    The row sums are the class counts of the first stage, the column sums those of the second.

    Args:
        within: (H, W) bool, pixels to count; all by default.
    """
    num_classes = len(prediction.class_names)
    counted = np.ones(prediction.label_map.shape, dtype=bool) if within is None else within
    label_maps = [stage.label_map[counted].astype(np.int32) for stage in prediction.stages.values()]
    return np.stack(
        [
            np.bincount(before * num_classes + after, minlength=num_classes**2).reshape(num_classes, num_classes)
            for before, after in pairwise(label_maps)
        ]
    )


def join_small(flows: np.ndarray, *, min_share: float, most: int | None = None) -> tuple[np.ndarray, list[int]]:
    """Merge the classes with less than `min_share` of the counted pixels at every stage into one last class.

    Args:
        flows: (S-1, K, K) result of `transitions`, with at least one pixel.
        most: keep at most this many classes, those with the largest share at any stage; all by default.
    Returns: (S-1, n+1, n+1) counts, and the n classes kept, by their size in the final mask, largest first.
    """
    shares = np.concatenate([flows.sum(axis=2), flows[-1:].sum(axis=1)]) / flows[0].sum()
    largest = np.argsort(-shares[-1], kind="stable")
    widest = np.argsort(-shares.max(axis=0), kind="stable")[:most]
    kept = [int(k) for k in largest if shares[:, k].max() >= min_share and k in widest]
    # (K, n+1) matrix of 0 and 1 that assigns each class to its merged class.
    member = np.zeros((flows.shape[1], len(kept) + 1), dtype=flows.dtype)
    member[:, -1] = 1
    member[kept] = np.eye(len(kept), len(kept) + 1, dtype=flows.dtype)
    return member.T @ flows @ member, kept
