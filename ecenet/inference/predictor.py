"""Images in, predictions out. The model takes tensors; sizes, devices and precision are decided here."""

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
"""Longest side in pixels that the network sees where the weights name no size."""


class Predictor:
    """Segments and explains images with one model.

    Args:
        model: in evaluation mode; it is moved to the device.
        device: chosen by itself when None (CUDA, MPS, CPU).
        half: bf16 autocast; chosen by itself when None, where the hardware computes it natively.
        image_size: longest side in pixels that the network sees; the model's own when None.
        max_pixels: largest image to accept.
        name: what the log calls the model.
        optimised: make the model quicker for good (`ecenet.model.fuse`): where nobody else trains or stores it.
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
            model.float()  # where it was made ready for bf16
        if optimised:
            _ = self.weights_hash  # while it can be told
            # Here rather than on the device: it may have no room, or not be there yet (ZeroGPU).
            make_ready(model, half=self.half)
        model.to(self.device).to(memory_format=torch.channels_last)
        self.image_size = image_size or model.image_size
        self.max_pixels = max_pixels
        self.name = name
        self._mean = torch.tensor(model.image_mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(model.image_std, device=self.device).view(1, 3, 1, 1)

    @classmethod
    def from_weights(cls: type[Self], weights: str | Path, **options: object) -> Self:
        """A predictor for a shipped name, a folder or a Hub id; `options` as for the constructor."""
        return cls(load_model(weights), optimised=True, **options)  # type: ignore[arg-type]

    @cached_property
    def weights_hash(self) -> str:
        """`ecenet.inference.weights.weights_hash` of the model as it was given."""
        return weights_hash(self.model)

    def predict(self, source: ImageSource) -> Prediction:
        """Segment one image at every stage.

        Args:
            source: whatever `load_image` takes; what it has returned is not converted again.
        Raises:
            UserError: the source is no usable image.
        """
        start = time.perf_counter()
        return self.predict_features(self.extract_features(source), start=start)

    def warm_up(self) -> None:
        """The first pass sets up kernels: better at the start than while somebody waits."""
        self.predict(self.BLANK)

    @torch.inference_mode()
    def extract_features(self, source: ImageSource, *, working_size: tuple[int, int] | None = None) -> ImageFeatures:
        """Run the backbone only.

        Args:
            working_size: (height, width) that the network is to see; as `working_size` has it by default.
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
        """Run the head on kept features.

        Args:
            edits: what to do otherwise; classes that they add come after the model's own, one each, however many
                prototypes they have.
            stages: those that the prediction is to have, since to bring them to the photo's size takes longer than the
                head; all by default.
            start: when the work on this image began, as `time.perf_counter` tells it.
        Raises:
            UserError: the edits are not for these weights or this image, or what they add has a name that is taken.
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
        """(1, C, h, w) features of every stage, for kept features of the backbone: the head runs once more."""
        with self.autocast():
            output = self.model.forward_head(features.tensors, None)
        return {name: stage.features for name, stage in output.stages.items()}

    def run(self, work: Callable[["Predictor", Sequence[ImageFeatures]], T], features: Sequence[ImageFeatures]) -> T:
        """`work(predictor, features)`, on a device that has room for it: both are there, perhaps not these very ones.

        Args:
            features: that this predictor kept.
        """
        return work(self, features)

    def working_image(self, image: RGBImage, *, scale: float = 1.0) -> Tensor:
        """(1, 3, h, w) normalised float32, as the network sees it; `scale` as for `working_size`."""
        return self._seen_at(image, self.working_size(image.size, scale=scale))

    def _seen_at(self, image: RGBImage, size: tuple[int, int]) -> Tensor:
        resized = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return self.normalise(torch.from_numpy(np.array(resized)).to(self.device)[None].permute(0, 3, 1, 2))

    def working_size(self, size: tuple[int, int], *, scale: float = 1.0) -> tuple[int, int]:
        """(width, height) of an image → (height, width) that the network sees: `scale` times the weights' own longest
        side (or the image's, up to `MAX_WORKING_SIDE`), each side rounded to what the backbone divides by."""
        longest = scale * (self.image_size or min(max(size), MAX_WORKING_SIDE))
        divisor = self.model.backbone.size_divisor
        width, height = (max(divisor, round(side * longest / max(size) / divisor) * divisor) for side in size)
        return height, width

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 RGB → normalised float32, channels last in memory."""
        images = (pixels.float() / 255 - self._mean) / self._std
        return images.contiguous(memory_format=torch.channels_last)

    def autocast(self) -> torch.autocast:
        """The precision that the model runs in: bf16 where `half`, else fp32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half)


def check_names(names: list[str]) -> None:
    """Of the model's classes and those that were added.

    Raises:
        UserError: a name is there twice, or there are too many.
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(
            "name-taken", f"Expected a name that no other class has, got {twice[0]!r}; choose another name."
        )
    if len(names) > IGNORE_INDEX:
        raise UserError(
            "too-many",
            f"Expected at most {IGNORE_INDEX} classes together, got {len(names)}; add fewer.",
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
    """First image of the batch, as arrays; `size` is the image's (width, height)."""
    if stage.masks is None or stage.class_shares is None:
        classified = classify_pixels(stage.mask_logits[0], detail_size(size), temperature=temperature)
    else:
        shares = stage.class_shares[0]
        classified = classify_pixels(stage.masks[0], detail_size(size), class_shares=shares, temperature=temperature)
    labels, confidence = (one.cpu() for one in classified)
    num_classes = stage.mask_logits.shape[1]
    # In float64: a float32 sum over millions of pixels would drop what each adds.
    counts = labels.flatten().bincount(minlength=num_classes).numpy()
    sums = labels.flatten().bincount(confidence.flatten().double(), minlength=num_classes).numpy()
    with np.errstate(invalid="ignore"):
        mean_confidence = sums / counts
    mask_logits = _array(stage.mask_logits)
    return StagePrediction(
        name=name,
        label_map=repeat_to(labels.numpy(), size),
        confidence=repeat_to(confidence.half().numpy(), size),
        # Mostly one and the same tensor: then one array, too.
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
    """Whether bf16 is computed natively: Ampere and later, or a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Older releases do not tell; fp32 is then the safe choice.
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        native = capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
        return torch.backends.mkldnn.is_available() and native
    return False
