"""A painted class that the bare backbone finds, beside the head instead of in it. Ours.

Behind Feature Reconstruction little is left of what was no class in training: there, averaged features of the backbone
find a painted class better than its embedding does (`docs/studies.md`).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ecenet.analysis.interventions.painted_class import BACKBONE, PaintedClass
from ecenet.analysis.interventions.painting import painted_cells
from ecenet.analysis.interventions.prototypes import cosine_maps, mean_prototype
from ecenet.common.errors import UserError
from ecenet.inference.prediction import ImageFeatures, Prediction, StagePrediction
from ecenet.inference.predictor import check_names
from ecenet.inference.upsample import detail_size, repeat_to
from ecenet.model.ecenet import resize

SHARPNESS = 20.0
"""Logits that one unit of cosine is worth. Confidences depend on it, but not which class wins."""


def paint_backbone_class(
    regions: Sequence[tuple[ImageFeatures, np.ndarray]], *, name: str, color: tuple[int, int, int], weights_hash: str
) -> PaintedClass:
    """Prototypes of what is painted, and of all that is not on the same photos, as `prototype_finder` has them.

    Args:
        regions: kept features, and an (H, W) bool region of that photo.
        weights_hash: of the model that made the features.
    Raises:
        UserError: no name; no region, an empty one or one of another photo's size; or nothing is left unpainted.
    """
    cells = painted_cells(regions, name=name)
    thing = [(features.tensors[-1], region) for features, region in regions]
    rest = [(feature, ~region) for feature, region in thing if not region.all()]
    if not rest:
        raise UserError(
            "empty-region", "Expected some of a photo to stay unpainted, to tell the class from; paint less."
        )
    prototypes = torch.stack([mean_prototype(thing), mean_prototype(rest)])
    return PaintedClass(
        name=name,
        color=color,
        method=BACKBONE,
        embeddings=prototypes.float().cpu().numpy(),
        weights_hash=weights_hash,
        enlarged=any(one.enlarged for one in cells),
    )


def with_backbone_classes(prediction: Prediction, classes: Sequence[PaintedClass]) -> Prediction:
    """A prediction in which such classes compete, too, behind those that it has.

    In each cell a class's logit is the highest of the prediction's own plus `SHARPNESS` times how much nearer the
    backbone's deepest features lie (cosine) to its own prototype than to that of the rest. So it wins where they are
    nearer, whatever the head makes of the cell, and loses elsewhere; of several such classes the one with the larger
    lead wins. Its mask is the same at every stage. It has no embedding, and nothing that the head does follows from it.

    Args:
        classes: of the method "backbone", made with the same weights.
    Returns: embeddings and gates of these classes are NaN, their similarity is the lead, −2 … 2; the prediction itself
        where there is no class.
    Raises:
        UserError: a name that is taken, or prototypes of other features.
    """
    if not classes:
        return prediction
    names = [*prediction.class_names, *(one.name for one in classes)]
    check_names(names)
    deepest, size = prediction.features.tensors[-1], prediction.image.size
    for one in classes:
        if one.embeddings.shape != (2, deepest.shape[1]):
            came = "×".join(map(str, one.embeddings.shape))
            raise UserError(
                "wrong-weights",
                f"Expected prototypes of 2×{deepest.shape[1]} numbers for the class {one.name!r}, got {came}; "
                "paint it again with these weights.",
                expected=deepest.shape[1],
                got=one.embeddings.shape,
            )
    prototypes = torch.from_numpy(np.concatenate([one.embeddings for one in classes])).to(deepest.device)
    cosines = cosine_maps(deepest, prototypes)
    lead = np.stack([repeat_to(one, size) for one in _lead(resize(cosines, detail_size(size)))])
    stages = {}
    for name, stage in prediction.stages.items():
        grid = (stage.mask_logits.shape[1], stage.mask_logits.shape[2])
        stages[name] = _with_classes(stage, lead, cells=_lead(resize(cosines, grid)))
    colors = [*prediction.class_colors, *(list(one.color) for one in classes)]
    return replace(prediction, class_names=names, class_colors=colors, stages=stages)


def _lead(cosines: Tensor) -> np.ndarray:
    """(1, 2P, h, w), thing and rest in turn → (P, h, w) by how much the thing is nearer."""
    return (cosines[0, ::2] - cosines[0, 1::2]).cpu().numpy()


def _with_classes(stage: StagePrediction, lead: np.ndarray, *, cells: np.ndarray) -> StagePrediction:
    """Args:
    lead: (P, H, W).
    cells: (P, h, w), the same on the stage's grid.
    """
    known, added = len(stage.area), len(lead)
    wins = lead.max(axis=0) > 0
    label_map = np.where(wins, known + lead.argmax(axis=0), stage.label_map).astype(np.uint8)
    # Relative to the highest logit of the stage's own classes, whose softmax sums to 1 / confidence; all of them after
    # division by the temperature.
    weights = np.exp(SHARPNESS * lead)
    total = 1 / stage.confidence.astype(np.float32) + weights.sum(axis=0)
    confidence = np.where(wins, weights.max(axis=0), 1) / total
    counts = np.bincount(label_map.ravel(), minlength=known + added)
    sums = np.bincount(label_map.ravel(), weights=confidence.ravel(), minlength=known + added)
    with np.errstate(invalid="ignore"):
        mean_confidence = sums / counts
    rows = stage.mask_logits.max(axis=0) + np.float32(SHARPNESS * stage.temperature) * cells
    unknown = np.full((added, stage.embeddings.shape[1]), np.nan, dtype=np.float32)
    return replace(
        stage,
        label_map=label_map,
        confidence=confidence.astype(np.float16),
        similarity=np.concatenate([stage.similarity, cells]),
        mask_logits=np.concatenate([stage.mask_logits, rows]),
        embeddings=np.concatenate([stage.embeddings, unknown]),
        gate=None if stage.gate is None else np.concatenate([stage.gate, unknown]),
        area=counts / counts.sum(),
        mean_confidence=mean_confidence,
        masks=None,
        class_shares=None,
    )
