"""How a label map came about: which stage decided each pixel, and which classes went over into which."""

from itertools import pairwise

import numpy as np

from ecenet.inference.prediction import Prediction


def decided_at(prediction: Prediction) -> np.ndarray:
    """(H, W) uint8: index of the first stage from which on a pixel's class is the final one and stays. Ours."""
    final = prediction.label_map
    decided = np.zeros(final.shape, dtype=np.uint8)
    # From coarse to fine: the last stage that was of another opinion writes last.
    for number, stage in enumerate(prediction.stages.values()):
        decided[stage.label_map != final] = number + 1
    return decided


def decided_shares(decided: np.ndarray, *, stages: int) -> np.ndarray:
    """(S,) share of the pixels that each stage decided; sums to 1."""
    return np.bincount(decided.ravel(), minlength=stages) / decided.size


def transitions(prediction: Prediction, *, within: np.ndarray | None = None) -> np.ndarray:
    """(S-1, K, K) int64 pixel counts: from one stage (rows) to the next (columns), for each pair of consecutive stages.

    A matrix's row sums are the class counts of its first stage, its column sums those of its second.

    Args:
        within: (H, W) bool, the pixels to count; all by default.
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
    """Join the classes that hold less than `min_share` of the counted pixels at every stage into one, the last.

    Args:
        flows: (S-1, K, K) of `transitions`, with at least one pixel.
        most: keep no more classes than that, those with the largest share at any stage; all by default.
    Returns: (S-1, n+1, n+1) counts, and the n classes that were kept, the largest of the final mask first.
    """
    shares = np.concatenate([flows.sum(axis=2), flows[-1:].sum(axis=1)]) / flows[0].sum()
    largest = np.argsort(-shares[-1], kind="stable")
    widest = np.argsort(-shares.max(axis=0), kind="stable")[:most]
    kept = [int(k) for k in largest if shares[:, k].max() >= min_share and k in widest]
    # Which class goes where, as a matrix of 0 and 1: (K, n+1).
    member = np.zeros((flows.shape[1], len(kept) + 1), dtype=flows.dtype)
    member[:, -1] = 1
    member[kept] = np.eye(len(kept), len(kept) + 1, dtype=flows.dtype)
    return member.T @ flows @ member, kept
