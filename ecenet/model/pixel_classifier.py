"""What every model of this package tells of itself: its classes, and how images are to come."""

from pathlib import Path
from typing import Any, ClassVar, TypeVar

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.backbone import Backbone
from ecenet.model.config import NetworkConfig, Updater
from ecenet.model.config_file import config_values, parse_config
from ecenet.model.edit_checks import HeadFacts, HeadParts, check_edits
from ecenet.model.edits import NO_EDITS, HeadEdits, replaced_rows
from ecenet.model.layers.class_extraction import ClassExtraction
from ecenet.model.outputs import ECENetOutput
from ecenet.model.tensor_files import INDEX_FILE, read_tensors

Self = TypeVar("Self", bound="PixelClassifier")
HUB_OPTIONS = ("revision", "cache_dir", "force_download", "local_files_only", "token", "map_location", "strict")
"""Keyword arguments of the mixin's own loading."""


class PixelClassifier(nn.Module, PyTorchModelHubMixin):
    """A network whose settings, classes and normalisation travel in a flat `config.json`.

    Attributes:
        settings: the architecture.
        backbone: images → features of each stage; the network behind it is the head.
        extract: ECE, which makes the coarse mask and, of masks, embeddings; SegViT has none with learned embeddings.
        learned_embeddings: (K, D), in the place of explicit ones.
        class_names: K names, in the order of the output channels.
        class_colors: K RGB triples, 0 … 255.
        image_mean, image_std: normalisation of RGB values in 0 … 1.
        image_size: longest side in pixels that the weights were made for; None keeps images as they come.
        recipe: how the weights came about, with measured figures; free-form, for the model card and the app.
        temperature: what whoever makes probabilities of logits divides them by; 1 where nobody has calibrated it.
        unsure_below: confidence below which people are told that an answer of the final mask is unsure; None where
            nobody has chosen one. It changes what is said of an answer and no number.
    """

    backbone: Backbone
    extract: ClassExtraction
    learned_embeddings: nn.Parameter
    settings_type: ClassVar[type[NetworkConfig]]

    # Not `config`: an argument of that name the Hub mixin fills itself, with today's defaults for what old files lack.
    def __init__(
        self,
        settings: NetworkConfig,
        *,
        class_names: list[str],
        class_colors: list[list[int]],
        image_mean: list[float],
        image_std: list[float],
        image_size: int | None,
        recipe: dict[str, Any] | None,
        temperature: float = 1.0,
        unsure_below: float | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.class_names = class_names
        self.class_colors = class_colors
        self.image_mean = image_mean
        self.image_std = image_std
        self.image_size = image_size
        self.recipe = recipe or {}
        self.temperature = float(temperature)
        self.unsure_below = None if unsure_below is None else float(unsure_below)
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
    def stage_names(self) -> list[str]:
        """The keys of `ECENetOutput.stages`, coarse to fine."""
        raise NotImplementedError

    @property
    def parts(self) -> HeadParts:
        """What edits can change."""
        raise NotImplementedError

    def _grids(self, stage_features: list[Tensor]) -> list[tuple[int, int]]:
        """(h, w) of each stage of `stage_names`."""
        raise NotImplementedError

    def _checked(self, edits: HeadEdits | None, stage_features: list[Tensor]) -> HeadEdits:
        """Edits that these weights and features can follow; None are edits that change nothing.

        Raises:
            UserError: they cannot.
        """
        if edits is None:
            return NO_EDITS
        facts = HeadFacts(
            batch=len(stage_features[0]),
            num_classes=self.num_classes,
            embed_dim=self.embed_dim,
            grids=dict(zip(self.stage_names, self._grids(stage_features), strict=True)),
            parts=self.parts,
        )
        check_edits(edits, facts)
        return edits

    def _extract(self, features: Tensor, edits: HeadEdits) -> tuple[Tensor, Tensor]:
        """Coarse mask logits (B, K, h, w) and E_0 (B, K, D) of the deepest features."""
        edit = edits.at("ece")
        predicted = self.extract.predict_mask(features)
        if self.explicit:
            given = None if edit.mask is None else edit.mask[:, : self.num_classes]
            embeddings = self.extract.first_embeddings(features, predicted, given=given)
        else:
            embeddings = self.learned_embeddings.expand(predicted.shape[0], -1, -1)
        coarse = edits.mask_logits("ece", predicted, num_classes=self.num_classes)
        return coarse, edits.joined_embeddings(replaced_rows(embeddings, edit.embeddings))

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
            # Told only where the weights were calibrated: a file without it is as it always was.
            **({} if self.temperature == 1 else {"temperature": self.temperature}),
            **({} if self.unsure_below is None else {"unsure_below": self.unsure_below}),
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
        """What huggingface_hub's `from_pretrained` calls, with the contents of `config.json`. Weights in shards must
        lie in a folder here; `ecenet.inference.weights.load_model` downloads them.

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
                "load them with its class, or with ecenet.inference.weights.load_model, which knows all.",
            )
        if not (Path(model_id) / INDEX_FILE).is_file():
            return super()._from_pretrained(model_id=model_id, settings=settings, **options)
        # huggingface_hub's mixin reads one file only.
        for name in HUB_OPTIONS:
            options.pop(name, None)
        model = cls(settings=settings, **options)
        model.load_state_dict(read_tensors(Path(model_id), wanted=model.state_dict()))
        return model.eval()
