"""Methods to find a class that was painted on other photos: ECENet's painted class, and prototypes of features."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ecenet.analysis.interventions.painting import Pooling, paint_class
from ecenet.analysis.interventions.prototypes import cosine_maps, mean_prototype
from ecenet.common.errors import UserError
from ecenet.inference.prediction import ImageFeatures
from ecenet.inference.predictor import Predictor
from ecenet.inference.upsample import classify_pixels, detail_size, repeat_to
from ecenet.model.edits import HeadEdits, join_prototypes
from ecenet.model.network import as_ecenet
from ecenet.studies.options import Rivals

Finder = Callable[[ImageFeatures], np.ndarray]
"""Finds the class in a photo: (H, W) bool."""
Example = tuple[ImageFeatures, np.ndarray, np.ndarray]
"""Features of a photo, and (H, W) bool regions of the class and of the rest."""


class Variant(NamedTuple):
    """A method to find a class."""

    method: str
    """A painting method; or the features of the prototypes: `backbone` or `reconstructed`; or the baseline
    `everywhere`."""
    rivals: Rivals | Literal["none"]


def make_finders(
    predictor: Predictor,
    examples: Sequence[Example],
    *,
    methods: Sequence[Pooling],
    rivals: Sequence[Rivals],
    prototypes: int,
    stage: str = "final",
) -> dict[Variant, Finder]:
    """Make all finders: each painting method with each kind of rivals; prototypes of class and rest on the backbone's
    deepest features and on those after Feature Reconstruction; and the whole photo as a baseline.

    Args:
        stage: stage whose mask is used for painted classes.
    Raises:
        UserError: unknown stage, or `ece`, which has no mask of painted classes; or as for `paint_class`.
    """
    if stage not in predictor.model.stage_names[1:]:
        known = ", ".join(predictor.model.stage_names[1:])
        raise UserError("unknown-choice", f"Expected a stage among {known}, got {stage!r}; choose one of them.")
    of_thing = [(features, thing) for features, thing, _ in examples]
    of_rest = [(features, rest) for features, _, rest in examples]
    finders: dict[Variant, Finder] = {}
    for method in methods:
        thing, rest = (
            paint_class(
                predictor,
                regions,
                name=name,
                color=(0, 0, 0),
                method=method,
                prototypes=prototypes,
            ).added
            for name, regions in (("thing", of_thing), ("rest", of_rest))
        )
        own = tuple(range(predictor.model.num_classes))
        edits: dict[Rivals, HeadEdits] = {
            "own": HeadEdits(added=(thing,)),
            "rest": HeadEdits(added=(thing, rest), without=own),
            "both": HeadEdits(added=(thing, rest)),
        }
        for kind in rivals:
            finders[Variant(method, kind)] = painted_finder(predictor, edits[kind], stage=stage)
    for name, deepest in (("backbone", backbone_features), ("reconstructed", reconstructed_features)):
        finders[Variant(name, "rest")] = prototype_finder(predictor, of_thing, of_rest, deepest=deepest)
    finders[Variant("everywhere", "none")] = _everywhere
    return finders


def _everywhere(features: ImageFeatures) -> np.ndarray:
    return np.ones(features.image.size[::-1], dtype=bool)


def painted_finder(predictor: Predictor, edits: HeadEdits, *, stage: str = "final") -> Finder:
    """Finds the first class that the edits add in the mask of a stage."""
    model = predictor.model
    edits = edits.to(predictor.device)

    @torch.inference_mode()
    def find(features: ImageFeatures) -> np.ndarray:
        with predictor.autocast():
            output = model.forward_head(features.tensors, edits)
        output = join_prototypes(output, edits.row_classes(model.num_classes))
        return _wins(output.stages[stage].mask_logits, model.num_classes, size=features.image.size)

    return find


def prototype_finder(
    predictor: Predictor,
    of_thing: Sequence[tuple[ImageFeatures, np.ndarray]],
    of_rest: Sequence[tuple[ImageFeatures, np.ndarray]],
    *,
    deepest: Callable[[Predictor, ImageFeatures], Tensor],
) -> Finder:
    """Finds the pixels that are nearer to the mean prototype of the class than to that of the rest.

    Args:
        of_thing, of_rest: features and (H, W) bool regions of the class and the rest.
        deepest: returns the features to average and compare.
    """
    prototypes = torch.stack(
        [
            mean_prototype([(deepest(predictor, features), region) for features, region in regions])
            for regions in (of_thing, of_rest)
        ]
    )

    @torch.inference_mode()
    def find(features: ImageFeatures) -> np.ndarray:
        return _wins(cosine_maps(deepest(predictor, features), prototypes), 0, size=features.image.size)

    return find


def backbone_features(predictor: Predictor, features: ImageFeatures) -> Tensor:
    """(1, C, h, w) features of the backbone's deepest stage."""
    return features.tensors[-1]


@torch.inference_mode()
def reconstructed_features(predictor: Predictor, features: ImageFeatures) -> Tensor:
    """(1, D, h, w) features from which painted classes are pooled, see `ECENet.deepest_features`."""
    with predictor.autocast():
        return as_ecenet(predictor.model).deepest_features(features.tensors)


def _wins(maps: Tensor, row: int, *, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: where one row of (1, P, h, w) maps is the maximum, resized to (width, height) like label maps."""
    labels, _ = classify_pixels(maps[0], detail_size(size))
    return repeat_to((labels == row).cpu().numpy(), size)
