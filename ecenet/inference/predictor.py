"""The predictor, which converts images to the model's tensors and chooses sizes, device and precision."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.common.logs import log_event
from ecenet.data.images import MAX_PIXELS, ImageSource, RGBImage, load_image
from ecenet.data.labels import IGNORE_INDEX
from ecenet.inference.prediction import ImageFeatures, Prediction, StagePrediction
from ecenet.inference.upsample import classify_pixels, detail_size, repeat_to
from ecenet.inference.weights import best_device, load_model, weights_hash
from ecenet.model.edits import NO_EDITS, HeadEdits, join_prototypes
from ecenet.model.fuse import make_ready
from ecenet.model.network import Network
from ecenet.model.outputs import StageOutput

_logger = logging.getLogger(__name__)

T = TypeVar("T")
Self = TypeVar("Self", bound="Predictor")
MAX_WORKING_SIDE = 1024
"""Longest side in pixels of the network's input if the weights define no size."""


class Predictor:
    """Segments images with a model.

    Args:
        model: the network; it is set to evaluation mode and moved to the device.
        device: by default CUDA, MPS or the CPU, whichever is available first.
        half: use bf16 autocast; by default if the hardware supports it natively.
        image_size: longest side in pixels of the network's input; by default that of the model.
        max_pixels: largest accepted H·W.
        name: name of the model in the log.
        optimised: apply the inference-time optimisation of `ecenet.model.fuse`, which changes the model irreversibly.
    """

    BLANK = RGBImage(Image.new("RGB", (480, 360)))

    def __init__(
        self,
        model: Network,
        *,
        device: torch.device | str | None = None,
        half: bool | None = None,
        image_size: int | None = None,
        max_pixels: int = MAX_PIXELS,
        name: str = "",
        optimised: bool = False,
    ) -> None:
        self.device = torch.device(device) if device is not None else best_device()
        self.half = bf16_is_fast(self.device) if half is None else half
        self.model = model.eval()
        if not self.half:
            model.float()  # it may have been prepared for bf16
        if optimised:
            _ = self.weights_hash  # before the weights are changed
            # On the CPU, since the device may have too little memory, or not be available yet (ZeroGPU).
            make_ready(model, half=self.half)
        model.to(self.device).to(memory_format=torch.channels_last)
        self.image_size = image_size or model.image_size
        self.max_pixels = max_pixels
        self.name = name
        self._mean = torch.tensor(model.image_mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(model.image_std, device=self.device).view(1, 3, 1, 1)

    @classmethod
    def from_weights(cls: type[Self], weights: str | Path, **options: object) -> Self:
        """Create a predictor from included weights (by name), a folder or a Hub id; `options` as in the constructor."""
        return cls(load_model(weights), optimised=True, **options)  # type: ignore[arg-type]

    @cached_property
    def weights_hash(self) -> str:
        """`ecenet.inference.weights.weights_hash` of the original model."""
        return weights_hash(self.model)

    def predict(self, source: ImageSource) -> Prediction:
        """Segment an image.

        Args:
            source: any source that `load_image` accepts.
        Raises:
            UserError: the source is not a usable image.
        """
        start = time.perf_counter()
        return self.predict_features(self.extract_features(source), start=start)

    def warm_up(self) -> None:
        """Run a prediction, since the first one takes longer."""
        self.predict(self.BLANK)

    @torch.inference_mode()
    def extract_features(self, source: ImageSource, *, working_size: tuple[int, int] | None = None) -> ImageFeatures:
        """Run the backbone only.

        Args:
            working_size: (height, width) of the network's input; by default that of the method `working_size`.
        """
        image = load_image(source, max_pixels=self.max_pixels)
        seen = self._seen_at(image, working_size or self.working_size(image.size))
        with self.autocast():
            tensors = self.model.backbone(seen)
        height, width = seen.shape[-2:]
        return ImageFeatures(image, (height, width), tensors)

    def predict_features(
        self,
        features: ImageFeatures,
        edits: HeadEdits | None = None,
        *,
        stages: Collection[str] | None = None,
        start: float | None = None,
    ) -> Prediction:
        """Run the head on cached features.

        Args:
            edits: changes inside the head. Added classes follow the model's classes, one for each, regardless of their
                number of prototypes.
            stages: stages of the prediction, all by default; resizing them to the photo's size takes longer than the
                head.
            start: start time of the work on this image, from `time.perf_counter`.
        Raises:
            UserError: the edits do not fit the weights or the image, or an added class has a name that is in use.
        """
        head_only = start is None
        start = time.perf_counter() if start is None else start
        model = self.model
        added = () if edits is None else edits.added
        names = [*model.class_names, *(one.name for one in added)]
        if added:
            check_names(names)
        with torch.inference_mode(), self.autocast():
            output = model.forward_head(features.tensors, None if edits is None else edits.to(self.device))
            output = join_prototypes(output, (edits or NO_EDITS).row_classes(model.num_classes))
        wanted = {name: stage for name, stage in output.stages.items() if stages is None or name in stages}
        prediction = Prediction(
            class_names=names,
            class_colors=[*model.class_colors, *(list(one.color) for one in added)],
            stages=_summarise(wanted, size=features.image.size, temperature=model.temperature),
            features=features,
            seconds=time.perf_counter() - start,
            gate_adds=model.parts.gate_adds,
            unsure_below=model.unsure_below,
        )
        log_event(
            _logger,
            "prediction",
            model=self.name,
            photo="{}x{}".format(*features.image.size),
            seen="{1}x{0}".format(*features.working_size),
            head_only=head_only,
            milliseconds=round(1000 * prediction.seconds, 1),
        )
        return prediction

    @torch.inference_mode()
    def stage_features(self, features: ImageFeatures) -> dict[str, Tensor]:
        """Return the (1, C, h, w) features of every stage by running the head on cached features."""
        with self.autocast():
            output = self.model.forward_head(features.tensors, None)
        return {name: stage.features for name, stage in output.stages.items()}

    def run(self, work: Callable[["Predictor", Sequence[ImageFeatures]], T], features: Sequence[ImageFeatures]) -> T:
        """Call `work(predictor, features)` with both on a device that has enough memory. They may be copies.

        Args:
            features: cached features of this predictor.
        """
        return work(self, features)

    def working_image(self, image: RGBImage, *, scale: float = 1.0) -> Tensor:
        """Return the network's input, (1, 3, h, w) normalised float32; `scale` as in `working_size`."""
        return self._seen_at(image, self.working_size(image.size, scale=scale))

    def _seen_at(self, image: RGBImage, size: tuple[int, int]) -> Tensor:
        resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return self.normalise(torch.from_numpy(np.array(resized)).to(self.device)[None].permute(0, 3, 1, 2))

    def working_size(self, size: tuple[int, int], *, scale: float = 1.0) -> tuple[int, int]:
        """Return (height, width) of the network's input for an image of (width, height): the longest side is `scale`
        times that of the weights (or that of the image, up to `MAX_WORKING_SIDE`), and both are rounded to multiples of
        the backbone's divisor."""
        longest = scale * (self.image_size or min(max(size), MAX_WORKING_SIDE))
        divisor = self.model.backbone.size_divisor
        width, height = (max(divisor, round(side * longest / max(size) / divisor) * divisor) for side in size)
        return height, width

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise (B, 3, H, W) uint8 RGB to float32, channels last in memory."""
        images = (pixels.float() / 255 - self._mean) / self._std
        return images.contiguous(memory_format=torch.channels_last)

    def autocast(self) -> torch.autocast:
        """Return the autocast context of the predictor's precision: bf16 if `half`, else fp32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half)


def check_names(names: list[str]) -> None:
    """Check the names of the model's and the added classes.

    Raises:
        UserError: a name occurs twice, or there are too many classes.
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError("name-taken", f"Expected a name that is not in use, got {twice[0]!r}; choose another name.")
    if len(names) > IGNORE_INDEX:
        raise UserError(
            "too-many",
            f"Expected at most {IGNORE_INDEX} classes in total, got {len(names)}; add fewer.",
            limit=IGNORE_INDEX,
        )


@torch.inference_mode()
def _summarise(
    stages: dict[str, StageOutput], *, size: tuple[int, int], temperature: float
) -> dict[str, StagePrediction]:
    return {name: _summarise_stage(name, stage, size=size, temperature=temperature) for name, stage in stages.items()}


def _summarise_stage(
    name: str, stage: StageOutput, *, size: tuple[int, int], temperature: float = 1.0
) -> StagePrediction:
    """Convert the first image of the batch to arrays; `size` is the image's (width, height)."""
    if stage.masks is None or stage.class_shares is None:
        classified = classify_pixels(stage.mask_logits[0], detail_size(size), temperature=temperature)
    else:
        shares = stage.class_shares[0]
        classified = classify_pixels(stage.masks[0], detail_size(size), class_shares=shares, temperature=temperature)
    labels, confidence = (one.cpu() for one in classified)
    num_classes = stage.mask_logits.shape[1]
    # In float64, since a float32 sum over millions of pixels loses precision.
    counts = labels.flatten().bincount(minlength=num_classes).numpy()
    sums = labels.flatten().bincount(confidence.flatten().double(), minlength=num_classes).numpy()
    with np.errstate(invalid="ignore"):
        mean_confidence = sums / counts
    mask_logits = _array(stage.mask_logits)
    return StagePrediction(
        name=name,
        label_map=repeat_to(labels.numpy(), size),
        confidence=repeat_to(confidence.half().numpy(), size),
        # Usually the same tensor, which is converted once.
        similarity=mask_logits if stage.similarity is stage.mask_logits else _array(stage.similarity),
        mask_logits=mask_logits,
        embeddings=_array(stage.embeddings_after),
        gate=None if stage.gate is None else _array(stage.gate),
        area=counts / counts.sum(),
        mean_confidence=mean_confidence,
        temperature=temperature,
        masks=None if stage.masks is None else _array(stage.masks),
        class_shares=None if stage.class_shares is None else _array(stage.class_shares),
    )


def _array(batch: Tensor) -> np.ndarray:
    return batch[0].float().cpu().numpy()


def bf16_is_fast(device: torch.device) -> bool:
    """Return whether the hardware supports bf16 natively: Ampere and later, or a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Older versions of torch do not report it; fp32 is then the safe choice.
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        native = capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
        return torch.backends.mkldnn.is_available() and native
    return False
