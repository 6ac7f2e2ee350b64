"""Helpers for plots of similarity maps and gates: common colour scales, classes to show, share overwritten."""

from collections.abc import Sequence

import numpy as np

from ecenet.inference.prediction import Prediction


def common_scale(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits of a common scale: the lowest 1st and highest 99th percentile of the maps, to ignore outliers."""
    ends = [np.percentile(values, [1, 99]) for values in maps]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def value_range(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """Minimum and maximum over all maps."""
    return min(float(values.min()) for values in maps), max(float(values.max()) for values in maps)


def overwritten(prediction: Prediction) -> dict[str, np.ndarray]:
    """(K,) share of each class embedding that was replaced by the mask's evidence (1 − mean gate, 0 … 1), for each
    gated stage, coarse to fine. With `gate_adds` (the authors' release), the share of the evidence that was added (mean
    gate). Not from the paper."""
    gates = {name: stage.gate.mean(axis=1) for name, stage in prediction.stages.items() if stage.gate is not None}
    return {name: gate if prediction.gate_adds else 1 - gate for name, gate in gates.items()}


def classes_seen(prediction: Prediction, *, min_area: float, limit: int) -> list[int]:
    """Up to `limit` classes that cover more than `min_area` of the image at any stage, by largest area."""
    area = np.max([stage.area for stage in prediction.stages.values()], axis=0)
    order = np.argsort(-area, kind="stable")[:limit]
    return [int(k) for k in order if area[k] > min_area]
