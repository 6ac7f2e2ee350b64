"""Ways to find a thing in a photo that was painted on others: ECENet's painted class, and prototypes of features."""

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
"""Says where in a photo the thing is: (H, W) bool."""
Example = tuple[ImageFeatures, np.ndarray, np.ndarray]
"""A photo's features, and (H, W) bool each: where the thing is in it, and where the rest is."""


class Variant(NamedTuple):
    """A way to find."""

    method: str
    """One of painting's; or the features that prototypes were averaged of: `backbone`, `reconstructed`; or
    `everywhere`, which no other way should fall behind."""
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
    """Each method of painting against each kind of rivals; prototypes of the thing and the rest, of the backbone's
    deepest features and of those that Feature Reconstruction makes of them, neither with anything of the head behind;
    and the whole photo, whatever it shows.

    Args:
        stage: whose mask tells where a painted class is.
    Raises:
        UserError: no such stage, `ece` among them, which has no mask of what was painted; or as for `paint_class`.
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
    """Where a stage's mask is the first class that the edits add."""
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
    """Where the thing's mean prototype is nearer than that of the rest.

    Args:
        of_thing, of_rest: features and (H, W) bool regions.
        deepest: the features that are averaged and compared.
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
    """(1, C, h, w) of the deepest stage."""
    return features.tensors[-1]


@torch.inference_mode()
def reconstructed_features(predictor: Predictor, features: ImageFeatures) -> Tensor:
    """(1, D, h, w): what painted classes are pooled from, see `ECENet.deepest_features`."""
    with predictor.autocast():
        return as_ecenet(predictor.model).deepest_features(features.tensors)


def _wins(maps: Tensor, row: int, *, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of a photo of that (width, height): where one row of (1, P, h, w) is the highest. As a prediction's
    label map is made."""
    labels, _ = classify_pixels(maps[0], detail_size(size))
    return repeat_to((labels == row).cpu().numpy(), size)
