"""The authors' release of ECENet: class embeddings computed from mask logits, negated attention, and a gated addition.

Our design is in `ecenet/model/ecenet.py`; `docs/design.md` compares the two part by part.
"""

from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.model.backbone import Backbone, build_backbone, check_channels
from ecenet.model.config import ReleaseConfig
from ecenet.model.ecenet import resize
from ecenet.model.edit_checks import HeadParts
from ecenet.model.edits import NO_EDITS, HeadEdits, replaced_rows, silenced, within_range
from ecenet.model.layers.release_parts import (
    ChannelNorm,
    GatedAddition,
    MaskExtraction,
    ReleaseFusion,
    ReleaseReconstruction,
    ReleaseStage,
    position_diversity_loss,
)
from ecenet.model.layers.vit_pyramid import FOUR_STRIDES, build_vit_pyramid, fits_pyramid
from ecenet.model.outputs import ECENetOutput, StageOutput
from ecenet.model.pixel_classifier import PixelClassifier

STAGES = 4
PARTS = HeadParts(
    explicit=True,
    new_classes=False,
    reconstruction=True,
    updater="gated_addition",
    closed="those of ECENet's authors' release, whose class-indexed layer (trans) has no row for a painted class",
)
"""The parts that edits can change."""


class ReleaseHead(nn.Module):
    """The head of the authors' release.

    Args:
        channels: C of the four stages, shallow to deep; even, since Feature Reconstruction halves them.
        embed_dim: D, a multiple of `num_heads`.
        dropout: share of channels that is dropped before the classifier in training.
    """

    def __init__(
        self, *, channels: list[int], num_classes: int, embed_dim: int, num_heads: int, dropout: float
    ) -> None:
        super().__init__()
        shallower = len(channels) - 1
        self.reconstruct = nn.ModuleList(ReleaseReconstruction(channels=width) for width in channels)
        self.lateral = nn.ModuleList(nn.Conv2d(width, embed_dim, 1, bias=False) for width in channels)
        self.coarse = nn.Sequential(
            nn.Conv2d(embed_dim, embed_dim, 1, groups=num_heads, bias=False),
            nn.Conv2d(embed_dim, num_classes, 1, bias=False),
        )
        # One for each stage, including the deepest, which computes the first embeddings.
        self.extract = nn.ModuleList(MaskExtraction(num_classes=num_classes, embed_dim=embed_dim) for _ in channels)
        self.attend = nn.ModuleList(ReleaseStage(embed_dim=embed_dim, num_heads=num_heads) for _ in range(shallower))
        self.update = nn.ModuleList(GatedAddition(embed_dim=embed_dim) for _ in range(shallower))
        self.fuse = ReleaseFusion(width=embed_dim, stages=len(channels))
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(embed_dim, num_classes, 1)
        self.identify = nn.Linear(embed_dim, num_classes)
        self.num_classes = num_classes
        self.embed_dim = embed_dim

    @property
    def stage_names(self) -> list[str]:
        """Names of the stages: `ece`, which is the deepest one and has no attention, `stage3` … `stage1`, `final`."""
        return ["ece", *(f"stage{level}" for level in range(len(self.attend), 0, -1)), "final"]

    def forward(self, features: list[Tensor], edits: HeadEdits = NO_EDITS) -> ECENetOutput:
        """Compute all stages from (B, C, h, w) features of each stage, shallow to deep.

        The features of `ece` are the deepest lateral; `final` has the aggregated features, and the summed masks as
        similarity. A gate of 1 adds all of the mask's evidence, 0 none.
        """
        reconstructed, diversity = self._reconstruct(features, edits)
        laterals = [lateral(feature) for lateral, feature in zip(self.lateral, reconstructed, strict=True)]
        stages: dict[str, StageOutput] = {}

        predicted = self.coarse(laterals[-1])
        coarse = self._given_or(predicted, "ece", edits)
        embeddings = replaced_rows(self.extract[-1](coarse), edits.at("ece").embeddings)
        stages["ece"] = StageOutput(laterals[-1], predicted, coarse, embeddings, embeddings, None)

        # Deep to shallow: each stage's mask is computed with the embeddings of the deeper one, and updates them.
        enhanced, masks = [laterals[-1]], [coarse]
        for level in range(len(self.attend) - 1, -1, -1):
            name = f"stage{level + 1}"
            edit = edits.at(name)
            before = replaced_rows(embeddings, edit.embeddings)
            feature, similarity = self.attend[level](
                laterals[level], before, read=edit.attention, without=edits.without
            )
            mask = self._given_or(similarity, name, edits)
            embeddings, gate = before, None
            if edit.updater:
                embeddings, gate = self.update[level](before, self.extract[level](mask), gate=edits.gate_at(name))
            stages[name] = StageOutput(feature, similarity, mask, before, embeddings, gate)
            enhanced.insert(0, feature)
            masks.insert(0, mask)

        fused = self.fuse(enhanced)
        embeddings = replaced_rows(embeddings, edits.at("final").embeddings)
        summed = summed_masks(masks)
        assisted = self.class_probability(embeddings)[:, :, None, None] * summed.sigmoid()
        logits = silenced(self.classify(self.dropout(fused)) + assisted, edits.without)
        stages["final"] = StageOutput(fused, summed, logits, embeddings, embeddings, None)
        return ECENetOutput(logits, stages, diversity)

    def class_probability(self, embeddings: Tensor) -> Tensor:
        """Return the probability of each embedding's own class, the diagonal of softmax(W_t E). (B, K, D) → (B, K)."""
        return self.identify(embeddings).softmax(dim=2).diagonal(dim1=1, dim2=2)

    def _reconstruct(self, features: list[Tensor], edits: HeadEdits) -> tuple[list[Tensor], Tensor]:
        """Apply Feature Reconstruction to every stage; returns the features and the diversity loss (in training). Its
        mean over stages is ours."""
        reconstructed: list[Tensor] = []
        diversity = features[0].new_zeros(())
        for module, feature in zip(self.reconstruct, features, strict=True):
            combined, diverse = module(feature, diversify=edits.diverse)
            reconstructed.append(combined)
            if self.training:
                diversity = diversity + position_diversity_loss(diverse) / len(features)
        return reconstructed, diversity

    def _given_or(self, predicted: Tensor, stage: str, edits: HeadEdits) -> Tensor:
        """Return the mask logits of a stage, (B, K, h, w). Given ones are clipped to the range of the predicted ones,
        since embeddings are computed from logits (`within_range`). Ours."""
        logits = edits.mask_logits(stage, predicted, num_classes=self.num_classes)
        if edits.at(stage).mask is None:
            return logits
        return silenced(within_range(logits, predicted), edits.without)


def summed_masks(masks: list[Tensor]) -> Tensor:
    """Sum the masks of several stages, (B, K, h, w) each, on the grid of the first, with bilinear resizing."""
    grid = masks[0].shape[-2:]
    total = masks[0]
    for mask in masks[1:]:
        total = total + resize(mask, grid)
    return total


class ECENetRelease(
    PixelClassifier,
    library_name="ecenet",
    tags=["semantic-segmentation", "explicit-class-embeddings"],
    paper_url="https://arxiv.org/abs/2308.12894",
):
    """The authors' release of ECENet (MindSpore, 2023), on any backbone with four stages.

    Head and formulas are those of the authors' release, which is probably, but not provably, the same as the paper's
    training code. Ours: backbones other than Swin, a simple feature pyramid for plain ViTs, and the effect of edits.

    Settings, classes and normalisation are stored in `config.json`. Arguments as in `ECENet`.
    """

    settings: ReleaseConfig
    settings_type = ReleaseConfig

    def __init__(
        self,
        settings: ReleaseConfig,
        *,
        class_names: list[str],
        class_colors: list[list[int]],
        image_mean: list[float],
        image_std: list[float],
        image_size: int | None = None,
        temperature: float = 1.0,
        unsure_below: float | None = None,
        recipe: dict[str, Any] | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__(
            settings,
            class_names=class_names,
            class_colors=class_colors,
            image_mean=image_mean,
            image_std=image_std,
            image_size=image_size,
            temperature=temperature,
            unsure_below=unsure_below,
            recipe=recipe,
        )
        self.backbone = build_backbone(
            name=settings.backbone,
            out_indices=settings.out_indices,
            output_stride=None,
            same_padding=settings.same_padding,
            pretrained=pretrained,
            drop_path=settings.drop_path,
        )
        plain = needs_pyramid(self.backbone, name=settings.backbone)
        self.pyramid = build_vit_pyramid(self.backbone, name=settings.backbone, strides=FOUR_STRIDES) if plain else None
        channels = self.backbone.channels if self.pyramid is None else self.pyramid.channels
        norms = nn.ModuleList(ChannelNorm(width) for width in channels)
        self.feature_norms = norms if settings.feature_norms else None
        self.head = ReleaseHead(
            channels=channels,
            num_classes=len(class_names),
            embed_dim=settings.embed_dim,
            num_heads=settings.num_heads,
            dropout=settings.dropout,
        )

    @property
    def stage_names(self) -> list[str]:
        """Keys of `ECENetOutput.stages`, coarse to fine: `ece`, `stage3`, `stage2`, `stage1`, `final`."""
        return self.head.stage_names

    @property
    def parts(self) -> HeadParts:
        """The parts that edits can change."""
        return PARTS

    def forward_head(self, backbone_features: list[Tensor], edits: HeadEdits | None = None) -> ECENetOutput:
        """Run the head on backbone features. It differs from `ECENet.forward_head`:

        - a given mask is pooled itself, since embeddings are computed from masks, and its logits are part of the final
          sum;
        - a forced gate of 0 adds none of the mask's evidence, 1 all of it;
        - classes cannot be added.
        """
        features = backbone_features if self.pyramid is None else self.pyramid(backbone_features)
        if self.feature_norms is not None:
            features = [norm(feature) for norm, feature in zip(self.feature_norms, features, strict=True)]
        return self.head(features, self._checked(edits, features))

    def _grids(self, stage_features: list[Tensor]) -> list[tuple[int, int]]:
        """Return the grids of the stages, for a plain ViT those of its pyramid."""
        grids = [(feature.shape[-2], feature.shape[-1]) for feature in stage_features]
        return [*reversed(grids), grids[0]]


def needs_pyramid(backbone: Backbone, *, name: str) -> bool:
    """Return whether a feature pyramid is needed to make four stages from the single grid of a plain ViT.

    Raises:
        UserError: the backbone has neither four stages, each at half the resolution of the previous one, nor a single
            grid of stride 16; or its channels are not multiples of 4.
    """
    strides, channels = backbone.strides, backbone.channels
    plain = fits_pyramid(backbone)
    four = len(strides) == STAGES and all(2 * fine == coarse for fine, coarse in pairwise(strides))
    if not plain and not four:
        raise UserError(
            "unsuitable-backbone",
            "Expected a backbone with four stages for ecenet-release, each at half the resolution of the previous "
            f"one, or a plain ViT with patches of 16 pixels, got {name} with strides {', '.join(map(str, strides))}; "
            "choose other out_indices or another backbone.",
        )
    check_channels(channels, name=name)
    return plain
