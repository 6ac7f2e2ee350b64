"""What a person sees of one image: numpy arrays, nothing of torch but the cached features."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.data.images import RGBImage


@dataclass(frozen=True)
class StagePrediction:
    """One stage of one image. H×W the image's size, h×w the stage's grid, K classes, D embedding width."""

    name: str
    label_map: np.ndarray
    """(H, W) uint8 class indices."""
    confidence: np.ndarray
    """(H, W) float16, probability of the class in `label_map`."""
    similarity: np.ndarray
    """(K, h, w) float32, features against class embeddings, unnormalised."""
    mask_logits: np.ndarray
    """(K, h, w) float32, the stage's prediction, unnormalised."""
    embeddings: np.ndarray
    """(K, D) float32 class embeddings that leave the stage."""
    gate: np.ndarray | None
    """(K, D) float32 in 0 … 1; None for stages without a gate."""
    area: np.ndarray
    """(K,) share of the image, sums to 1."""
    mean_confidence: np.ndarray
    """(K,) mean confidence over the class's pixels; NaN where it has none."""
    temperature: float = 1.0
    """What `mask_logits` were divided by for the confidences: the weights' own, 1 where they were not calibrated."""
    masks: np.ndarray | None = None
    """(Q, h, w) float32, unnormalised, of SegViT: the label map comes from these, each brought to the image's size and
    then combined by `class_shares`. None where it comes from `mask_logits`."""
    class_shares: np.ndarray | None = None
    """(Q, K) float32 in 0 … 1; None where `masks` is."""

    @property
    def confidence_logits(self) -> np.ndarray:
        """(K, h, w) float32 logits whose softmax has the probabilities that people are told; `mask_logits` divided by
        the temperature."""
        if self.temperature == 1:
            return self.mask_logits
        return self.mask_logits / np.float32(self.temperature)

    def present(self, *, min_area: float = 0.0) -> list[int]:
        """Classes that cover more than `min_area` of the image, largest first."""
        order = np.argsort(-self.area, kind="stable")
        return [int(k) for k in order if self.area[k] > min_area]


@dataclass(frozen=True)
class ImageFeatures:
    """An image after the backbone: whatever comes later reruns only the head."""

    image: RGBImage
    """At its own size."""
    working_size: tuple[int, int]
    """(height, width) that the network saw."""
    tensors: list[Tensor]
    """(1, C, h, w) of each backbone stage, shallow to deep."""
    remark: str = ""
    """Why the network did not see it as it usually does; empty where it did."""
    weights: str = ""
    """Hash of those that saw it; empty where nobody asked."""


@dataclass(frozen=True)
class Prediction:
    """All stages of one image, coarse to fine."""

    class_names: list[str]
    class_colors: list[list[int]]
    stages: dict[str, StagePrediction]
    """`ece`, `stageL` … `stage1`, `final`; as the model has them."""
    features: ImageFeatures
    seconds: float
    """Time from image to prediction."""
    gate_adds: bool = False
    """As for `HeadParts`: whether a gate of 1 adds all of the mask's evidence (a gated addition, as in the authors'
    release), or keeps the old embedding (ours)."""
    unsure_below: float | None = None
    """Confidence below which an answer of the final mask counts as unsure; None where the weights name none."""

    @property
    def image(self) -> RGBImage:
        return self.features.image

    @property
    def final(self) -> StagePrediction:
        return self.stages["final"]

    @property
    def label_map(self) -> np.ndarray:
        """(H, W) uint8, the final prediction at the image's own size."""
        return self.final.label_map

    @property
    def confidence(self) -> np.ndarray:
        """(H, W) float16 of the final prediction."""
        return self.final.confidence

    def class_index(self, name: object) -> int:
        """Row of a class that a client names.

        Raises:
            UserError: the weights know no such class.
        """
        if not (isinstance(name, str) and name in self.class_names):
            raise UserError(
                "unknown-choice",
                f"Expected a class that the weights know ({', '.join(self.class_names)}), got {str(name)[:60]!r}; "
                "choose one of these.",
            )
        return self.class_names.index(name)

    def agreement(self, stage: str) -> float:
        """Share of pixels that have the final mask's class at a stage, 0 … 1."""
        return float((self.stages[stage].label_map == self.label_map).mean())

    @property
    def note(self) -> str:
        """How the image was looked at, and what was set aside or assumed to show it, in one line."""
        height, width = self.features.working_size
        own = f"{self.image.width}×{self.image.height}"
        seen = f"{width}×{height}"
        text = f"{own} image" if own == seen else f"{own} image, analysed at {seen}"
        return ", ".join(filter(None, (text, self.features.remark, *self.image.notes)))


def stage_title(name: str) -> str:
    """`stage4` → `Stage 4`, `ece` → `Coarse (ECE)`, as people read it."""
    return {"ece": "Coarse (ECE)", "final": "Final"}.get(name) or name.replace("stage", "Stage ")
