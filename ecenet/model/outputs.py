"""The output of the models, with all stages. Named tuples are supported by `torch.export` and `torch.compile`."""

from typing import NamedTuple

from torch import Tensor


class StageOutput(NamedTuple):
    """The output of a stage. K is the number of classes, D the width of embeddings, h×w the grid of the stage.

    `ece` is the coarse mask of Explicit Class Extraction, `stageL` … `stage1` are the SAU stages from deep to shallow,
    and `final` is the aggregated prediction. In the authors' release, `ece` is the deepest stage, which has no
    attention, and the similarity of `final` is the summed masks. SegViT has attention-to-mask stages instead of SAU
    stages, and no `ece` if its embeddings are learned.
    """

    features: Tensor
    """(B, D, h, w) features at the end of the stage."""
    similarity: Tensor
    """(B, K, h, w) unnormalised similarities of features and class embeddings. In SAU stages with summed masks, those
    of the deeper stage are added. For `ece`, the mask logits."""
    mask_logits: Tensor
    """(B, K, h, w) unnormalised prediction of the stage; for SAU stages it is the similarity. For SegViT, the
    combination of the stage's classified embeddings with the masks up to it."""
    embeddings_before: Tensor
    """(B, K, D) class embeddings at the start of the stage; for `ece`, those that it computed."""
    embeddings_after: Tensor
    """(B, K, D) class embeddings at the end of the stage."""
    gate: Tensor | None
    """(B, K, D) in [0, 1]: 1 keeps the old embedding, 0 replaces it by the mask's evidence. For a gated addition, as in
    the authors' release, 1 adds all of the evidence, 0 none. None without a gate."""
    class_logits: Tensor | None = None
    """(B, K, K + 1) unnormalised classification of each embedding by SegViT, the last column for classes that are not
    in the image. None for other networks."""
    masks: Tensor | None = None
    """(B, Q, h, w) unnormalised masks of SegViT, which are resized to the image's size and combined by `class_shares`.
    None for other networks, and if a given mask replaces the prediction."""
    class_shares: Tensor | None = None
    """(B, Q, K) in [0, 1], the class probabilities of each mask; None if `masks` is None."""


class ECENetOutput(NamedTuple):
    """The output of a network for a batch."""

    logits: Tensor
    """(B, K, h, w) `stages["final"].mask_logits`: final logits at the finest stage's grid, unnormalised."""
    stages: dict[str, StageOutput]
    """From coarse to fine: `ece`, `stageL` … `stage1`, `final`."""
    diversity: Tensor
    """() diversity loss of Feature Reconstruction, averaged over stages; 0 if it is switched off."""
