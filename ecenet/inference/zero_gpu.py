"""Photos on a GPU that a Space is lent for the length of a call (ZeroGPU); elsewhere on what the machine has.

What is lent a GPU runs in a process of its own, forked from this one, and all it is given and gives back is pickled. So
it takes a photo and weights' name and returns a prediction, all stages at once, and nothing of a visitor's session:
events give it no more than that, since sessions are large, and what is painted knows its photo by identity.

Everything behind the backbone stays on the processor: what-if, painted classes, how far a map can be trusted. It takes
tens of milliseconds there, and a call takes seconds of a visitor's quota whatever it does.
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
    from spaces import GPU  # has to come before anything touches CUDA; it then stands in for it
except ImportError:
    GPU = None  # only Spaces have it

SECONDS = 15
"""That a call may take: the less it asks for, the sooner it is let in."""
_lent: dict[str, Predictor] = {}
"""By their weights; Spaces train none, so there are few."""


def open_predictor(weights: str | Path, **options: Any) -> Predictor:
    """As `SteadyPredictor.from_weights`, but for a GPU that is lent where there are such."""
    lends = GPU is not None and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return LentGpuPredictor(str(weights), **options) if lends else SteadyPredictor.from_weights(weights, **options)


class LentGpuPredictor(Predictor):
    """A predictor on the processor whose photos are segmented by another one of the same weights on the GPU."""

    def __init__(self, weights: str, **options: Any) -> None:
        super().__init__(load_model(weights), device="cpu", optimised=True, **options)
        self._weights = weights
        _open_lent(weights)  # before the app is served: what lies on the GPU by then is moved there with each call

    def predict(self, source: ImageSource) -> Prediction:
        image = load_image(source, max_pixels=self.max_pixels)
        prediction = _predict(self._weights, image)
        # fp32 where this processor has no bf16: its head could not read what the GPU's backbone wrote.
        tensors = [tensor if self.half else tensor.float() for tensor in prediction.features.tensors]
        return replace(prediction, features=replace(prediction.features, image=image, tensors=tensors))

    def warm_up(self) -> None:
        """On the processor alone: there is no visitor yet whose quota a call could take."""
        super().predict(self.BLANK)


def _open_lent(weights: str) -> Predictor:
    """In the process of a call that was forked before others were opened, too."""
    if weights not in _lent:
        _lent[weights] = Predictor.from_weights(weights)
    return _lent[weights]


def _predict_lent(weights: str, image: RGBImage) -> Prediction:
    prediction = _open_lent(weights).predict(image)
    tensors = [tensor.cpu() for tensor in prediction.features.tensors]
    return replace(prediction, features=replace(prediction.features, tensors=tensors))


_predict = _predict_lent if GPU is None else GPU(_predict_lent, duration=SECONDS)
