"""Fallbacks if the device's memory is full: a smaller working size, then the CPU. The prediction's note states it.

They are used for visitors' photos only; evaluations must use the requested size.
"""

import copy
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.data.images import ImageSource, RGBImage, load_image
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.edits import HeadEdits
from ecenet.model.network import Network

SCALES = (1.0, 0.5, 0.25)
"""Factors on the usual working size, tried in this order."""
MIN_WORKING_SIDE = 128
"""Smallest useful longest side in pixels; below it, the CPU is used."""
SMALLER = "at a reduced size because the GPU's memory was full"
ON_CPU = "on the CPU because the GPU's memory was full"
LOADED_ON_CPU = "on the CPU because the GPU's memory was full when the model was loaded"
T = TypeVar("T")


class SteadyPredictor(Predictor):
    """A predictor with fallbacks if the memory of its device is full. Arguments as in `Predictor`.

    It is thread-safe; fallbacks are independent for each call, and each call tries the device first. If the CPU's
    memory is full as well, its methods raise a `UserError`. They also raise it for features of other weights, which a
    page may have kept while files changed.
    """

    def __init__(
        self,
        model: Network,
        *,
        device: torch.device | str | None = None,
        half: bool | None = None,
        **options: Any,
    ) -> None:
        self._remark = ""
        prepare = partial(super().__init__, model, **options)
        if _unless_full(partial(prepare, device=device, half=half)) is None:
            self._remark = LOADED_ON_CPU
            with memory_errors():
                prepare(device="cpu")
        self._moving = threading.Lock()
        self._spare: Predictor | None = None

    @property
    def on_cpu(self) -> Predictor:
        """The same predictor on the CPU; created once."""
        with self._moving:
            if self._spare is None:
                self._spare = Predictor(
                    cpu_copy(self.model),
                    device="cpu",
                    image_size=self.image_size,
                    max_pixels=self.max_pixels,
                    name=self.name,
                )
            return self._spare

    def predict(self, source: ImageSource) -> Prediction:
        start = time.perf_counter()
        with memory_errors():
            image = load_image(source, max_pixels=self.max_pixels)
            for scale in SCALES:
                size = self.working_size(image.size, scale=scale)
                if scale == 1 or max(size) >= MIN_WORKING_SIDE:
                    remark = self._remark if scale == 1 else SMALLER
                    found = _unless_full(partial(self._predict_here, image, size, remark=remark, start=start))
                    if found is not None:
                        return found[0]
            features = self._marked(self.on_cpu.extract_features(image), ON_CPU)
            return self.on_cpu.predict_features(features, start=start)

    def _predict_here(self, image: RGBImage, size: tuple[int, int], *, remark: str, start: float) -> Prediction:
        features = self._marked(super().extract_features(image, working_size=size), remark)
        return super().predict_features(features, start=start)

    def extract_features(self, source: ImageSource, *, working_size: tuple[int, int] | None = None) -> ImageFeatures:
        with memory_errors():
            image = load_image(source, max_pixels=self.max_pixels)
            found = _unless_full(partial(super().extract_features, image, working_size=working_size))
            if found is not None:
                return self._marked(found[0], self._remark)
            return self._marked(self.on_cpu.extract_features(image, working_size=working_size), ON_CPU)

    def _marked(self, features: ImageFeatures, remark: str) -> ImageFeatures:
        return replace(features, remark=remark, weights=self.weights_hash)

    def predict_features(
        self,
        features: ImageFeatures,
        edits: HeadEdits | None = None,
        *,
        stages: Collection[str] | None = None,
        start: float | None = None,
    ) -> Prediction:
        start = time.perf_counter() if start is None else start

        def work(predictor: Predictor, kept: Sequence[ImageFeatures]) -> Prediction:
            return Predictor.predict_features(predictor, kept[0], edits, stages=stages, start=start)

        return self.run(work, [features])

    def run(self, work: Callable[[Predictor, Sequence[ImageFeatures]], T], features: Sequence[ImageFeatures]) -> T:
        if any(one.weights not in ("", self.weights_hash) for one in features):
            raise UserError(
                "outdated-page",
                "Expected a photo that was segmented with these weights, but the weights have changed since; "
                "add it again.",
            )
        with memory_errors():
            if all(one.tensors[0].device.type == self.device.type for one in features):
                found = _unless_full(partial(work, self, features))
                if found is not None:
                    return found[0]
            return work(self.on_cpu, [_moved_to_cpu(one) for one in features])


def cpu_copy(model: Network) -> Network:
    """Copy a model directly from the device to the CPU, without a copy on the device."""
    with torch.inference_mode(False), torch.no_grad():
        there: dict[int, Tensor] = {
            id(tensor): nn.Parameter(tensor.cpu(), tensor.requires_grad)
            if isinstance(tensor, nn.Parameter)
            else tensor.cpu()
            for tensor in itertools.chain(model.parameters(), model.buffers())
        }
        return copy.deepcopy(model, memo=there)  # tensors in the memo are not copied


def _moved_to_cpu(features: ImageFeatures) -> ImageFeatures:
    return replace(features, tensors=[tensor.cpu() for tensor in features.tensors], remark=features.remark or ON_CPU)


def _unless_full(work: Callable[[], T]) -> tuple[T] | None:
    """Return the result of `work`, or None, with the memory freed, if the device's memory was full."""
    try:
        return (work(),)
    except RuntimeError as error:
        if not device_is_full(error):
            raise
    # After the exception is deleted, whose frames hold tensors.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return None


def device_is_full(error: BaseException) -> bool:
    """Return whether an error means that a GPU's memory is full; cuBLAS, cuDNN and MPS have no specific exception."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ("out of memory", "ALLOC_FAILED"))


@contextmanager
def memory_errors() -> Iterator[None]:
    """Convert out-of-memory errors of any device to a `UserError`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        full = isinstance(error, MemoryError) or device_is_full(error) or "can't allocate memory" in str(error)
        if not full:
            raise
        raise UserError(
            "out-of-memory",
            "Expected enough memory for this photo, but the machine has none left; use a smaller photo, or try again "
            "later.",
        ) from error
