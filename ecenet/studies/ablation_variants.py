"""Rows of the ablations' table: what each one leaves out, replaces or adds."""

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
    """A row of the table."""

    summary: str
    network: Mapping[str, Any] = field(default_factory=dict)
    """Fields of its architecture's config that differ: of `ModelConfig` from the whole, of `ReleaseConfig` and
    `SegViTConfig` from what the options of these say."""
    loss: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `LossConfig` that differ."""
    architecture: Architecture = "ecenet"

    @property
    def against(self) -> str:
        """The row that it is compared with."""
        return "segvit" if self.architecture == "segvit" else "whole"

    def applied(self, config: TrainConfig, *, seed: int, segvit_backbone_weights: Path | None = None) -> TrainConfig:
        """The settings of its training.

        Args:
            segvit_backbone_weights: file for the plain ViT of SegViT's rows, which cannot have another backbone's:
                without one its weights are timm's, or random without `pretrained`.
        Raises:
            UserError: the settings are none that it can have.
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
    """The release's settings on the backbone that the other rows stand on; like theirs it has no stochastic depth."""
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
                f"Expected the release's row on the backbone of all rows, with {name} {value}, got --release."
                f"{name.replace('_', '-')} {asked}; leave it out.",
            )
    return replace(config.release, **shared)


def _segvit_start(config: TrainConfig, weights: Path | None) -> StartConfig:
    """Of SegViT's rows: images normalised as timm's weights of that ViT expect, where there is a file of them."""
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
"""By the name of its row: an ablation of each part that the abstract names, in our design of it (learned, no-fr,
no-diversity, mean, updater-off, updater-added); the steps from there to the authors' release (release-fr, logits,
negated, gated-addition) and the release itself; choices that are ours (all others); and SegViT with and without parts
of ours. Other backbones are an option of the training."""
