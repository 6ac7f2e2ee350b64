"""What every model of this package tells of itself: its classes, and how images are to come."""

from typing import Any

from huggingface_hub import PyTorchModelHubMixin
from torch import nn


class PixelClassifier(nn.Module, PyTorchModelHubMixin):
    """A network whose keyword arguments travel in `config.json`.

    Attributes:
        class_names: K names, in the order of the output channels.
        class_colors: K RGB triples, 0 … 255.
        image_mean, image_std: normalisation of RGB values in 0 … 1.
        image_size: longest side in pixels that the weights were made for; None keeps images as they come.
        recipe: how the weights came about, with measured figures; free-form, for the model card and the app.
        temperature: what whoever makes probabilities of logits divides them by; 1 where nobody has calibrated it.
    """

    def __init__(
        self,
        *,
        class_names: list[str],
        class_colors: list[list[int]],
        image_mean: list[float],
        image_std: list[float],
        image_size: int | None,
        recipe: dict[str, Any] | None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        assert isinstance(self._hub_mixin_config, dict), "the mixin gathers keyword arguments"
        self._hub_mixin_config.pop("pretrained", None)  # never stored: a checkpoint brings its own weights
        self._hub_mixin_config.pop("temperature", None)  # stored only where the weights were calibrated
        self.class_names = class_names
        self.class_colors = class_colors
        self.image_mean = image_mean
        self.image_std = image_std
        self.image_size = image_size
        self.recipe = recipe or {}
        self.temperature = float(temperature)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)
