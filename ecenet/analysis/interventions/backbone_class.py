"""Painted classes that are found with backbone features, outside the head. Not from the paper.

Feature Reconstruction keeps little information about classes that were not in training. For those, averaged backbone
features find a painted class better than its embedding does (`docs/studies.md`).
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
"""Scale from cosine similarity to logits. It affects confidences, but not which class wins."""


def paint_backbone_class(
    regions: Sequence[tuple[ImageFeatures, np.ndarray]], *, name: str, color: tuple[int, int, int], weights_hash: str
) -> PaintedClass:
    """Make a class from prototypes of the painted regions and of the rest of the same photos (see `prototype_finder`).

    Args:
        regions: cached features of photos, each with an (H, W) bool region.
        weights_hash: hash of the weights that computed the features.
    Raises:
        UserError: the name is empty; a region is missing, empty or of the wrong size; or everything is painted.
    """
    cells = painted_cells(regions, name=name)
    thing = [(features.tensors[-1], region) for features, region in regions]
    rest = [(feature, ~region) for feature, region in thing if not region.all()]
    if not rest:
        raise UserError(
            "empty-region",
            "Expected an unpainted rest of the photo to compare with, but everything is painted; paint less.",
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
    """Add such classes to a prediction, after its own classes.

    The logit of a class in a cell is the maximum of the prediction's own logits plus `SHARPNESS` times the lead: the
    cosine similarity of the backbone's deepest features to the class prototype minus that to the prototype of the rest.
    So the class wins where the lead is positive, independent of the head; of several such classes the one with the
    largest lead wins. Its mask is the same at every stage. It has no embedding and does not affect the head.

    Args:
        classes: classes of the method "backbone", made with the same weights.
    Returns: the prediction with the classes, whose embeddings and gates are NaN and whose similarity is the lead
        (−2 … 2); the unchanged prediction if there are no classes.
    Raises:
        UserError: a name is already in use, or the prototypes are of other features.
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
                f"Expected prototypes of shape 2×{deepest.shape[1]} for the class {one.name!r}, got {came}; "
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
    """(P, h, w) lead, from (1, 2P, h, w) similarities to class and rest in turn."""
    return (cosines[0, ::2] - cosines[0, 1::2]).cpu().numpy()


def _with_classes(stage: StagePrediction, lead: np.ndarray, *, cells: np.ndarray) -> StagePrediction:
    """Add classes to a stage.

    Args:
        lead: (P, H, W) lead at the photo's size.
        cells: (P, h, w) lead on the stage's grid.
    """
    known, added = len(stage.area), len(lead)
    wins = lead.max(axis=0) > 0
    label_map = np.where(wins, known + lead.argmax(axis=0), stage.label_map).astype(np.uint8)
    # Logits are relative to the highest own logit (then exp sums to 1 / confidence), after division by the temperature.
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
