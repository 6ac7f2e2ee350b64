"""What the model returns: every stage, always. Named tuples, which `torch.export` and `torch.compile` can carry."""

from typing import NamedTuple

from torch import Tensor


class StageOutput(NamedTuple):
    """What one stage saw and said. K classes, D embedding width, h×w the stage's own grid.

    `ece` is the coarse mask of Explicit Class Extraction, `stageL` … `stage1` are the SAU stages from
    deep to shallow, `final` is the aggregated prediction. In the authors' release `ece` is the deepest stage, which has
    no attention, and `final` has the summed masks as similarity. SegViT answers with the same, its attention-to-mask
    stages in the place of SAU's, and without `ece` where its embeddings are learned.
    """

    features: Tensor
    """(B, D, h, w) features that leave the stage."""
    similarity: Tensor
    """(B, K, h, w) features against class embeddings, unnormalised, in SAU stages with the deeper stage's added where
    masks are summed; for `ece`, which has none yet, its mask logits."""
    mask_logits: Tensor
    """(B, K, h, w) the stage's prediction, unnormalised; for SAU stages the similarity *is* the mask that emerges.
    For SegViT, what the stage's embeddings and the masks up to it make of each cell."""
    embeddings_before: Tensor
    """(B, K, D) class embeddings that entered the stage; for `ece` those that it made."""
    embeddings_after: Tensor
    """(B, K, D) class embeddings that leave the stage."""
    gate: Tensor | None
    """(B, K, D) in [0, 1]: 1 keeps the old embedding, 0 takes the mask's evidence; of a gated addition, as in the
    authors' release, 1 adds all of the evidence, 0 none. None where nothing is gated."""
    class_logits: Tensor | None = None
    """(B, K, K + 1) unnormalised: which class a SegViT stage takes each embedding for, the last for one that the image
    does not hold. None elsewhere."""
    masks: Tensor | None = None
    """(B, Q, h, w) unnormalised, of SegViT: the masks that with `class_shares` make labels at an image's size, where
    each is brought to it first. None elsewhere, and where a given mask stands for the prediction."""
    class_shares: Tensor | None = None
    """(B, Q, K) in [0, 1], which class each of them is taken for; None where `masks` is."""


class ECENetOutput(NamedTuple):
    """Everything that ECENet, its authors' release, or SegViT computed for a batch."""

    logits: Tensor
    """(B, K, h, w) `stages["final"].mask_logits`: final logits at the finest stage's grid, unnormalised."""
    stages: dict[str, StageOutput]
    """From coarse to fine: `ece`, `stageL` … `stage1`, `final`."""
    diversity: Tensor
    """() Feature Reconstruction's diversity loss, averaged over stages; 0 where it is switched off."""
