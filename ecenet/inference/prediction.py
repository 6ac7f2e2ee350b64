"""Predictions as NumPy arrays, with cached backbone features."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.data.images import RGBImage


@dataclass(frozen=True)
class StagePrediction:
    """The prediction of one stage. H×W is the image's size, h×w the stage's grid, K the number of classes, D the width
    of embeddings."""

    name: str
    label_map: np.ndarray
    """(H, W) uint8 class indices."""
    confidence: np.ndarray
    """(H, W) float16, the probability of the class in `label_map`."""
    similarity: np.ndarray
    """(K, h, w) float32, unnormalised similarities of features and class embeddings."""
    mask_logits: np.ndarray
    """(K, h, w) float32, the unnormalised prediction of the stage."""
    embeddings: np.ndarray
    """(K, D) float32 class embeddings at the end of the stage."""
    gate: np.ndarray | None
    """(K, D) float32 in 0 … 1; None for stages without a gate."""
    area: np.ndarray
    """(K,) area of each class as a share of the image; the sum is 1."""
    mean_confidence: np.ndarray
    """(K,) mean confidence over the pixels of each class; NaN for classes without pixels."""
    temperature: float = 1.0
    """Divisor of `mask_logits` for the confidences: the temperature of the weights, 1 without calibration."""
    masks: np.ndarray | None = None
    """(Q, h, w) float32 unnormalised masks of SegViT, which are resized to the image's size and then combined by
    `class_shares` to the label map. None for networks whose label map comes from `mask_logits`."""
    class_shares: np.ndarray | None = None
    """(Q, K) float32 in 0 … 1; None if `masks` is None."""

    @property
    def confidence_logits(self) -> np.ndarray:
        """(K, h, w) float32 logits whose softmax is the displayed probabilities: `mask_logits` divided by the
        temperature."""
        if self.temperature == 1:
            return self.mask_logits
        return self.mask_logits / np.float32(self.temperature)

    def present(self, *, min_area: float = 0.0) -> list[int]:
        """Return the classes with an area above `min_area`, largest first."""
        order = np.argsort(-self.area, kind="stable")
        return [int(k) for k in order if self.area[k] > min_area]


@dataclass(frozen=True)
class ImageFeatures:
    """The backbone features of an image, on which the head can be run repeatedly."""

    image: RGBImage
    """The image at its original size."""
    working_size: tuple[int, int]
    """(height, width) of the network's input."""
    tensors: list[Tensor]
    """(1, C, h, w) features of each backbone stage, shallow to deep."""
    remark: str = ""
    """Reason for an unusual size or device, or ""."""
    weights: str = ""
    """Hash of the weights, or "" if not computed."""


@dataclass(frozen=True)
class Prediction:
    """The prediction of all stages for an image, coarse to fine."""

    class_names: list[str]
    class_colors: list[list[int]]
    stages: dict[str, StagePrediction]
    """Predictions by stage: `ece`, `stageL` … `stage1`, `final`, as far as the model has them."""
    features: ImageFeatures
    seconds: float
    """Time from image to prediction."""
    gate_adds: bool = False
    """Whether a gate of 1 adds all of the mask's evidence (a gated addition, as in the authors' release) or keeps the
    old embedding (ours); see `HeadParts`."""
    unsure_below: float | None = None
    """Confidence below which pixels of the final mask count as unsure; None if the weights define none."""

    @property
    def image(self) -> RGBImage:
        return self.features.image

    @property
    def final(self) -> StagePrediction:
        return self.stages["final"]

    @property
    def label_map(self) -> np.ndarray:
        """(H, W) uint8 final label map at the image's size."""
        return self.final.label_map

    @property
    def confidence(self) -> np.ndarray:
        """(H, W) float16 confidence of the final prediction."""
        return self.final.confidence

    def class_index(self, name: object) -> int:
        """Return the index of a class.

        Raises:
            UserError: the weights do not have the class.
        """
        if not (isinstance(name, str) and name in self.class_names):
            raise UserError(
                "unknown-choice",
                f"Expected a class of the weights ({', '.join(self.class_names)}), got {str(name)[:60]!r}; "
                "choose one of them.",
            )
        return self.class_names.index(name)

    def agreement(self, stage: str) -> float:
        """Return the share of pixels, 0 … 1, at which a stage agrees with the final mask."""
        return float((self.stages[stage].label_map == self.label_map).mean())

    @property
    def note(self) -> str:
        """One line with the size of the image and of the network's input, and all notes."""
        height, width = self.features.working_size
        own = f"{self.image.width}×{self.image.height}"
        seen = f"{width}×{height}"
        text = f"{own} image" if own == seen else f"{own} image, analysed at {seen}"
        return ", ".join(filter(None, (text, self.features.remark, *self.image.notes)))


def stage_title(name: str) -> str:
    """Return the display name of a stage: `stage4` → `Stage 4`, `ece` → `Coarse (ECE)`."""
    return {"ece": "Coarse (ECE)", "final": "Final"}.get(name) or name.replace("stage", "Stage ")
