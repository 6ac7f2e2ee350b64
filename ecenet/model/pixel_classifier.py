"""What every model of this package tells of itself: its classes, and how images are to come."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.backbone import Backbone
from ecenet.model.config import ModelConfig, SegViTConfig, Updater
from ecenet.model.config_file import config_values, parse_config
from ecenet.model.edits import HeadEdits
from ecenet.model.outputs import ECENetOutput

Self = TypeVar("Self", bound="PixelClassifier")


class PixelClassifier(nn.Module, PyTorchModelHubMixin):
    """A network whose settings, classes and normalisation travel in a flat `config.json`.

    Attributes:
        settings: the architecture.
        backbone: images → features of each stage; the network behind it is the head.
        class_names: K names, in the order of the output channels.
        class_colors: K RGB triples, 0 … 255.
        image_mean, image_std: normalisation of RGB values in 0 … 1.
        image_size: longest side in pixels that the weights were made for; None keeps images as they come.
        recipe: how the weights came about, with measured figures; free-form, for the model card and the app.
    """

    backbone: Backbone
    settings_type: ClassVar[type[ModelConfig] | type[SegViTConfig]]

    # Not `config`: an argument of that name the Hub mixin fills itself, with today's defaults for what old files lack.
    def __init__(
        self,
        settings: ModelConfig | SegViTConfig,
        *,
        class_names: list[str],
        class_colors: list[list[int]],
        image_mean: list[float],
        image_std: list[float],
        image_size: int | None,
        recipe: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.class_names = class_names
        self.class_colors = class_colors
        self.image_mean = image_mean
        self.image_std = image_std
        self.image_size = image_size
        self.recipe = recipe or {}
        self.embed_dim = settings.embed_dim
        self.explicit = settings.embeddings == "explicit"
        self.updater: Updater = settings.updater

    def forward(self, images: Tensor) -> ECENetOutput:
        """(B, 3, H, W) normalised images → every stage. H and W must be multiples of `backbone.size_divisor`."""
        self.backbone.check_size(images)
        return self.forward_head(self.backbone(images))

    def forward_head(self, backbone_features: list[Tensor], edits: HeadEdits | None = None) -> ECENetOutput:
        """Everything after the backbone, for features that were kept."""
        raise NotImplementedError

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def stored_config(self) -> dict[str, Any]:
        """Contents of `config.json`, as the model stands now."""
        return config_values(
            self.settings,
            class_names=self.class_names,
            class_colors=self.class_colors,
            image_mean=self.image_mean,
            image_std=self.image_std,
            image_size=self.image_size,
            recipe=self.recipe,
        )

    def save_pretrained(self, save_directory: str | Path, *, config: Any = None, **options: Any) -> str | None:
        """Write `config.json`, `model.safetensors` and, where there is none, a model card; arguments are
        huggingface_hub's. `config` is the model's own by default."""
        return super().save_pretrained(
            save_directory, config=self.stored_config if config is None else config, **options
        )

    @classmethod
    def _from_pretrained(
        cls: type[Self], *, model_id: str, config: dict[str, Any] | None = None, **options: Any
    ) -> Self:
        """What huggingface_hub's `from_pretrained` calls, with the contents of `config.json`.

        Raises:
            UserError: there is no such file, or it is of another network.
        """
        if config is None:
            raise UserError(
                "file-missing", f"Expected config.json in {model_id}, but there is none; give a complete checkpoint."
            )
        settings, _ = parse_config(config, place=f"{model_id}/config.json")
        if not isinstance(settings, cls.settings_type):
            raise UserError(
                "invalid-config",
                f"Expected weights of {cls.__name__} in {model_id}, got those of another network; "
                "load them with its class, or with ecenet.inference.weights.load_model, which knows both.",
            )
        return super()._from_pretrained(model_id=model_id, settings=settings, **options)
