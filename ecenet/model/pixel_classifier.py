"""The base class of all models, with their classes and the normalisation of images."""

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
"""Keyword arguments of the mixin for loading."""


class PixelClassifier(nn.Module, PyTorchModelHubMixin):
    """A network whose settings, classes and normalisation are stored in a flat `config.json`.

    Attributes:
        settings: the architecture.
        backbone: network from images to features of each stage; the rest of the network is the head.
        extract: ECE, which predicts the coarse mask and computes embeddings from masks; SegViT with learned embeddings
            has none.
        learned_embeddings: (K, D) learned embeddings instead of explicit ones.
        class_names: K names, in the order of the output channels.
        class_colors: K RGB triples, 0 … 255.
        image_mean, image_std: normalisation of RGB values in 0 … 1.
        image_size: longest side in pixels of the input that the weights are for; None for the image's size.
        recipe: free-form description of the training with measured figures, for the model card and the app.
        temperature: divisor of the logits for probabilities; 1 without calibration.
        unsure_below: confidence below which pixels of the final mask are shown as unsure, or None. It affects only how
            results are displayed.
    """

    backbone: Backbone
    extract: ClassExtraction
    learned_embeddings: nn.Parameter
    settings_type: ClassVar[type[NetworkConfig]]

    # Not named `config`, because the Hub mixin would fill it, with today's defaults for settings that old files lack.
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
        """Compute all stages for (B, 3, H, W) normalised images. H and W must be multiples of
        `backbone.size_divisor`."""
        self.backbone.check_size(images)
        return self.forward_head(self.backbone(images))

    def forward_head(self, backbone_features: list[Tensor], edits: HeadEdits | None = None) -> ECENetOutput:
        """Run the head on backbone features."""
        raise NotImplementedError

    @property
    def stage_names(self) -> list[str]:
        """Keys of `ECENetOutput.stages`, coarse to fine."""
        raise NotImplementedError

    @property
    def parts(self) -> HeadParts:
        """The parts that edits can change."""
        raise NotImplementedError

    def _grids(self, stage_features: list[Tensor]) -> list[tuple[int, int]]:
        """Return (h, w) of each stage in `stage_names`."""
        raise NotImplementedError

    def _checked(self, edits: HeadEdits | None, stage_features: list[Tensor]) -> HeadEdits:
        """Check edits; None means edits that change nothing.

        Raises:
            UserError: the edits do not fit the weights or the features.
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
        """Return the coarse mask logits (B, K, h, w) and E_0 (B, K, D) for the deepest features."""
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
        """Content of `config.json` for the current model."""
        return config_values(
            self.settings,
            class_names=self.class_names,
            class_colors=self.class_colors,
            image_mean=self.image_mean,
            image_std=self.image_std,
            image_size=self.image_size,
            recipe=self.recipe,
            # Only for calibrated weights, so that other files stay the same.
            **({} if self.temperature == 1 else {"temperature": self.temperature}),
            **({} if self.unsure_below is None else {"unsure_below": self.unsure_below}),
        )

    def save_pretrained(self, save_directory: str | Path, *, config: Any = None, **options: Any) -> str | None:
        """Write `config.json`, `model.safetensors` and, if there is none, a model card. The arguments are those of
        huggingface_hub; `config` is by default that of the model."""
        return super().save_pretrained(
            save_directory, config=self.stored_config if config is None else config, **options
        )

    @classmethod
    def _from_pretrained(
        cls: type[Self], *, model_id: str, config: dict[str, Any] | None = None, **options: Any
    ) -> Self:
        """Load a model; called by huggingface_hub's `from_pretrained` with the content of `config.json`. Weights in
        shards must be in a local folder; `ecenet.inference.weights.load_model` downloads them.

        Raises:
            UserError: the file does not exist, or belongs to another network.
        """
        if config is None:
            raise UserError(
                "file-missing",
                f"Expected config.json in {model_id}, but it does not exist; give a complete checkpoint.",
            )
        settings, _ = parse_config(config, place=f"{model_id}/config.json")
        if not isinstance(settings, cls.settings_type):
            raise UserError(
                "invalid-config",
                f"Expected weights of {cls.__name__} in {model_id}, got those of another network; "
                "load them with its class, or with ecenet.inference.weights.load_model.",
            )
        if not (Path(model_id) / INDEX_FILE).is_file():
            return super()._from_pretrained(model_id=model_id, settings=settings, **options)
        # huggingface_hub's mixin reads a single file only.
        for name in HUB_OPTIONS:
            options.pop(name, None)
        model = cls(settings=settings, **options)
        model.load_state_dict(read_tensors(Path(model_id), wanted=model.state_dict()))
        return model.eval()
