"""Variants of the ablation study: what each one removes, replaces or adds."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.model.backbone import timm_normalisation
from ecenet.model.config import Architecture, ReleaseConfig
from ecenet.training.config import StartConfig, TrainConfig


@dataclass(frozen=True)
class Variant:
    """A row of the ablation table."""

    summary: str
    network: Mapping[str, Any] = field(default_factory=dict)
    """Overridden fields of the architecture's config (`ModelConfig`, `ReleaseConfig` or `SegViTConfig`)."""
    loss: Mapping[str, Any] = field(default_factory=dict)
    """Overridden fields of `LossConfig`."""
    architecture: Architecture = "ecenet"

    @property
    def against(self) -> str:
        """Name of the variant to compare with."""
        return "segvit" if self.architecture == "segvit" else "whole"

    def applied(self, config: TrainConfig, *, seed: int, segvit_backbone_weights: Path | None = None) -> TrainConfig:
        """The training settings of the variant.

        Args:
            segvit_backbone_weights: weights for the plain ViT of the SegViT variants, which cannot use those of another
                backbone. By default timm's weights, or random ones without `pretrained`.
        Raises:
            UserError: the variant does not support the settings.
        """
        groups: dict[str, Any]
        if self.architecture == "segvit":
            groups = {
                "segvit": replace(config.segvit, **self.network),
                "start": _segvit_start(config, segvit_backbone_weights),
            }
        elif self.architecture == "ecenet-release":
            groups = {"release": replace(_on_our_backbone(config), **self.network)}
        else:
            groups = {"model": replace(config.model, **self.network)}
        loss = replace(config.loss, **self.loss)
        return replace(config, seed=seed, architecture=self.architecture, loss=loss, **groups)


def _on_our_backbone(config: TrainConfig) -> ReleaseConfig:
    """Settings of the release on the backbone of the other variants, also without stochastic depth."""
    shared: dict[str, Any] = {
        "backbone": config.model.backbone,
        "out_indices": config.model.out_indices,
        "same_padding": config.model.same_padding,
        "drop_path": 0.0,
    }
    for name, value in shared.items():
        asked = getattr(config.release, name)
        if asked not in (getattr(ReleaseConfig(), name), value):
            raise UserError(
                "conflicting-options",
                f"Expected the variant `release` on the backbone of all variants, with {name} {value}, got --release."
                f"{name.replace('_', '-')} {asked}; omit this option.",
            )
    return replace(config.release, **shared)


def _segvit_start(config: TrainConfig, weights: Path | None) -> StartConfig:
    """Start settings of the SegViT variants: with a weights file, images are normalised as timm's weights expect."""
    if weights is None:
        return replace(config.start, backbone_weights=None)
    mean, std = timm_normalisation(config.segvit.backbone)
    return replace(
        config.start,
        backbone_weights=weights,
        image_mean=(mean[0], mean[1], mean[2]),
        image_std=(std[0], std[1], std[2]),
    )


VARIANTS: dict[str, Variant] = {
    "whole": Variant("explicit embeddings, FR, pyramid, gated updater"),
    "learned": Variant("K learned vectors for explicit embeddings", {"embeddings": "learned"}),
    "no-fr": Variant("a 1×1 convolution for Feature Reconstruction", {"reconstruction": "off"}),
    "joined-fr": Variant("Feature Reconstruction's branches side by side, half as wide", {"reconstruction": "joined"}),
    "release-fr": Variant("the release's Feature Reconstruction and diversity loss", {"reconstruction": "release"}),
    "no-diversity": Variant("Feature Reconstruction without its diversity loss", {}, {"diversity_weight": 0.0}),
    "mean": Variant("a plain mean under the mask for the pyramid", {"extraction": "mean"}),
    "logits": Variant("embeddings of mask logits, as released, for those of features", {"extraction": "logits"}),
    "negated": Variant("attention over negated scores, as released", {"attention": "negated"}),
    "updater-off": Variant("embeddings as ECE made them, never updated", {"updater": "off"}),
    "updater-added": Variant("updates added, without a gate", {"updater": "added"}),
    "gated-addition": Variant("updates by the release's gated addition", {"updater": "gated_addition"}),
    "closed-gates": Variant("gates that begin at about 0.95, nearly closed to updates", {"gate_bias": 3.0}),
    "deepest-candidate": Variant("updates pooled from the deepest stage's features", {"candidate": "deepest"}),
    "no-stand-ins": Variant("no learned stand-ins for classes that masks do not show", {"stand_ins": False}),
    "masks-anew": Variant("every stage's mask made anew instead of summed up", {"summed_masks": False}),
    "with-jaccard": Variant("a loss on the final map's IoU as well, Lovász-softmax", {}, {"jaccard_weight": 0.5}),
    "contrast": Variant("a contrastive loss on embeddings as well", {}, {"contrast_weight": 0.3}),
    "release": Variant(
        "ECENet as its authors released it, with its loss",
        {},
        {"terms": "release", "diversity_weight": 0.2},
        architecture="ecenet-release",
    ),
    "segvit": Variant("SegViT: learned vectors, no updater", architecture="segvit"),
    "segvit-explicit": Variant("SegViT with explicit embeddings", {"embeddings": "explicit"}, architecture="segvit"),
    "segvit-updater": Variant(
        "SegViT with explicit embeddings and gated updater",
        {"embeddings": "explicit", "updater": "gated"},
        architecture="segvit",
    ),
}
"""Variants by name: ablations of each part named in the abstract (learned, no-fr, no-diversity, mean, updater-off,
updater-added); steps towards the authors' release (release-fr, logits, negated, gated-addition) and the release itself;
SegViT with and without these parts; and design choices not from the paper (all others). The backbone is an option of
the training."""
