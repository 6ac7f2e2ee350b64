"""Prediction on a GPU that a Space gets for the duration of a call (ZeroGPU).

Such a call runs in a forked process, and its arguments and results are pickled. It therefore gets a photo and the name
of the weights, and returns a prediction of all stages. Sessions are not passed, since they are large and identify
photos by object identity.

Work on cached features (What if, painted classes, faithfulness) stays on the CPU, where it takes tens of milliseconds,
whereas any call uses seconds of a visitor's quota.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecenet.data.images import ImageSource, RGBImage, load_image
from ecenet.inference.oom_fallback import SteadyPredictor
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model

try:
    from spaces import GPU  # must be imported before CUDA is used, which it replaces
except ImportError:
    GPU = None  # available in Spaces only

SECONDS = 15
"""Time limit of a call; shorter calls are scheduled sooner."""
_lent: dict[str, Predictor] = {}
"""Predictors by weights; there are few, since Spaces do not train."""


def open_predictor(weights: str | Path, **options: Any) -> Predictor:
    """Return a `LentGpuPredictor` in a ZeroGPU Space, else a `SteadyPredictor`."""
    lends = GPU is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return LentGpuPredictor(str(weights), **options) if lends else SteadyPredictor.from_weights(weights, **options)


class LentGpuPredictor(Predictor):
    """A predictor on the CPU that segments photos with the same weights on the GPU."""

    def __init__(self, weights: str, **options: Any) -> None:
        super().__init__(load_model(weights), device="cpu", optimised=True, **options)
        self._weights = weights
        _open_lent(weights)  # before the app is served, since tensors on the GPU by then are available in each call

    def predict(self, source: ImageSource) -> Prediction:
        image = load_image(source, max_pixels=self.max_pixels)
        prediction = _predict(self._weights, image)
        # The CPU's head needs fp32 features if the CPU does not support bf16.
        tensors = [tensor if self.half else tensor.float() for tensor in prediction.features.tensors]
        return replace(prediction, features=replace(prediction.features, image=image, tensors=tensors))

    def warm_up(self) -> None:
        """Warm up the CPU only, since a call to the GPU needs a visitor's quota."""
        super().predict(self.BLANK)


def _open_lent(weights: str) -> Predictor:
    """Return the predictor of the GPU, which may have to be loaded in the forked process."""
    if weights not in _lent:
        _lent[weights] = Predictor.from_weights(weights)
    return _lent[weights]


def _predict_lent(weights: str, image: RGBImage) -> Prediction:
    prediction = _open_lent(weights).predict(image)
    tensors = [tensor.cpu() for tensor in prediction.features.tensors]
    return replace(prediction, features=replace(prediction.features, tensors=tensors))


_predict = _predict_lent if GPU is None else GPU(_predict_lent, duration=SECONDS)
