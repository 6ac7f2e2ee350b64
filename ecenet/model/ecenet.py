"""ECENet in our design: masks, class embeddings and features refine each other from the deepest stage to the
shallowest.

It is based on the paper's abstract, and was designed before the authors' release was known to us. It differs from the
release in nearly every part; above all, the release computes class embeddings from mask logits, ours from the features
under a mask. The release is in `ecenet/model/release.py`; `docs/design.md` compares the two part by part.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ecenet.model.backbone import build_backbone, check_channels
from ecenet.model.config import ModelConfig
from ecenet.model.edit_checks import HeadParts
from ecenet.model.edits import HeadEdits, replaced_rows, silenced
from ecenet.model.layers.class_extraction import LogitsExtraction, build_extraction
from ecenet.model.layers.reconstruction import TwoBranches, build_reconstruction
from ecenet.model.layers.semantics import EmbeddingUpdater, SemanticsAttention, dot_product
from ecenet.model.layers.vit_pyramid import build_vit_pyramid
from ecenet.model.outputs import ECENetOutput, StageOutput
from ecenet.model.pixel_classifier import PixelClassifier

CLOSED = (
    "those of an ECENet whose class embeddings are computed from mask logits (extraction: logits) instead of features"
)
"""Reason why no class can be added to some weights, for `HeadParts.closed`."""


class ECENet(
    PixelClassifier,
    library_name="ecenet",
    tags=["semantic-segmentation", "explicit-class-embeddings"],
    paper_url="https://arxiv.org/abs/2308.12894",
):
    """Semantic segmentation with explicit class embeddings (arXiv 2308.12894), in our design.

    From the abstract: the names and purposes of FR, ECE and SAU, the flow from masks to embeddings and from deep to
    shallow stages, masks as by-products of attention, and a final prediction from aggregated stages, class embeddings
    and summed masks. All formulas are ours; those of the authors' release are in `ECENetRelease`. In docstrings, "the
    abstract" means the paper's abstract, the caption of its overview figure, and published summaries; the full text was
    not available to us.

    Also ours: attention at the deepest stage (in the caption it starts at the stage after it), queries that include the
    features of the deeper stage, and logits that are inner products of fused features and embeddings plus the masks.
    The release uses the logits of a classifier plus each class's probability times the sigmoid of the summed masks.

    Settings, classes and normalisation are stored in `config.json`. The weights of the head are random until a
    checkpoint is loaded.

    Args:
        settings: the architecture.
        class_names: K names, in the order of the output channels.
        class_colors: K RGB triples, 0 … 255.
        image_mean, image_std: normalisation of RGB values in 0 … 1.
        image_size: longest side in pixels of the input that the weights are for; None for the image's size.
        recipe: free-form description of the training with measured figures, for the model card and the app.
        temperature: divisor of the logits for probabilities; outputs do not depend on it.
        unsure_below: confidence below which pixels are shown as unsure, or None.
        pretrained: load timm's weights for the backbone. It is not stored in a checkpoint.
    """

    settings: ModelConfig
    settings_type = ModelConfig

    def __init__(
        self,
        settings: ModelConfig,
        *,
        class_names: list[str],
        class_colors: list[list[int]],
        image_mean: list[float],
        image_std: list[float],
        image_size: int | None = None,
        recipe: dict[str, Any] | None = None,
        temperature: float = 1.0,
        unsure_below: float | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__(
            settings,
            class_names=class_names,
            class_colors=class_colors,
            image_mean=image_mean,
            image_std=image_std,
            image_size=image_size,
            recipe=recipe,
            temperature=temperature,
            unsure_below=unsure_below,
        )
        num_classes = len(class_names)

        self.backbone = build_backbone(
            name=settings.backbone,
            out_indices=settings.out_indices,
            output_stride=settings.output_stride,
            same_padding=settings.same_padding,
            pretrained=pretrained,
            position_side=settings.position_side,
        )
        self.pyramid = None
        if settings.vit_strides:
            self.pyramid = build_vit_pyramid(self.backbone, name=settings.backbone, strides=settings.vit_strides)
        stages = self.backbone if self.pyramid is None else self.pyramid
        if settings.reconstruction == "release":
            check_channels(stages.channels, name=settings.backbone)
        embed_dim, strides = settings.embed_dim, stages.strides
        widths = [stage_width(embed_dim, stride) if settings.taper else embed_dim for stride in strides]
        self.dropout = nn.Dropout2d(settings.dropout)
        self.reconstruct = nn.ModuleList(
            build_reconstruction(settings.reconstruction, in_channels=channels, width=width)
            for channels, width in zip(stages.channels, widths, strict=True)
        )
        self.extract = build_extraction(
            settings.extraction,
            width=widths[-1],
            embed_dim=embed_dim,
            num_classes=num_classes,
            pool_grids=settings.pool_grids,
            masks_only=settings.embeddings == "learned",
            stand_ins=settings.stand_ins,
        )
        if settings.embeddings == "learned":
            self.learned_embeddings = nn.Parameter(torch.randn(num_classes, embed_dim))
        self.attend = nn.ModuleList(
            SemanticsAttention(width=width, embed_dim=embed_dim, ffn_ratio=settings.ffn_ratio, kind=settings.attention)
            for width in widths
        )
        self.pools_deepest = settings.candidate == "deepest"
        # The last update is used by `classify` only, where a bias would add the same number to all classes of a cell.
        self.update = nn.ModuleList(
            EmbeddingUpdater(
                width=widths[-1] if self.pools_deepest else width,
                embed_dim=embed_dim,
                mode=settings.updater,
                norm_bias=level > 0,
                gate_bias=settings.gate_bias,
            )
            for level, width in enumerate(widths)
        )
        # From each stage to the next finer one, if their widths differ.
        self.carry = nn.ModuleList(
            nn.Identity() if deep == fine else nn.Conv2d(deep, fine, 1) for fine, deep in pairwise(widths)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(width, widths[0], 1) for width in widths)
        self.fuse_norm = LayerNorm2d(widths[0])
        self.classify = nn.Linear(embed_dim, widths[0], bias=False)
        self.reconstruction = settings.reconstruction != "off"
        self.summed_masks = settings.summed_masks

    @property
    def stage_names(self) -> list[str]:
        """Keys of `ECENetOutput.stages`, coarse to fine: `ece`, `stageL` … `stage1`, `final`."""
        return ["ece", *(f"stage{level}" for level in range(len(self.attend), 0, -1)), "final"]

    @property
    def parts(self) -> HeadParts:
        """The parts that edits can change."""
        closed = CLOSED if isinstance(self.extract, LogitsExtraction) else ""
        return HeadParts(
            explicit=self.explicit,
            new_classes=not closed,
            reconstruction=self.reconstruction,
            updater=self.updater,
            closed=closed,
        )

    def forward_head(self, backbone_features: list[Tensor], edits: HeadEdits | None = None) -> ECENetOutput:
        """Run the head on backbone features.

        Args:
            backbone_features: (B, C, h, w) of each index, shallow to deep.
            edits: changes for this pass. With added classes, K in the output is the number of all rows of the head.
        Raises:
            UserError: the edits do not fit the weights or the features.
        """
        stage_features = self._stage_features(backbone_features)
        edits = self._checked(edits, stage_features)
        features, diversity = self._reconstruct(stage_features, edits)
        stages: dict[str, StageOutput] = {}

        coarse, embeddings = self._extract(features[-1], edits)
        stages["ece"] = StageOutput(features[-1], coarse, coarse, embeddings, embeddings, None)

        # Deep to shallow.
        enhanced: Tensor | None = None
        deepest: Tensor | None = None
        fused: Tensor | None = None
        masks: Tensor | None = None
        for level in range(len(features), 0, -1):
            name = f"stage{level}"
            edit = edits.at(name)
            inputs = features[level - 1]
            grid = inputs.shape[-2:]
            if enhanced is not None:
                inputs = inputs + resize(self.carry[level - 1](enhanced), grid)
            before = replaced_rows(embeddings, edit.embeddings)
            deeper = None if masks is None else resize(masks, grid)
            enhanced, similarity = self.attend[level - 1](
                inputs,
                before,
                mask=deeper if self.summed_masks else None,
                read=edit.attention,
                without=edits.without,
            )
            deepest = enhanced if deepest is None else deepest
            mask = edits.mask_logits(name, similarity, num_classes=self.num_classes)
            embeddings, gate = before, None
            if edit.updater:
                pooled = deepest if self.pools_deepest else enhanced
                embeddings, gate = self.update[level - 1](before, pooled, mask, gate=edits.gate_at(name))
            stages[name] = StageOutput(enhanced, similarity, mask, before, embeddings, gate)
            # Equal to a 1×1 convolution of the concatenated stages, each upsampled to the finest grid, but cheaper:
            # stages are projected before upsampling and summed on the way. The same holds for the sum of masks.
            projected = self.fuse[level - 1](enhanced)
            fused = projected if fused is None else resize(fused, grid) + projected
            masks = mask if deeper is None or self.summed_masks else deeper + mask

        assert fused is not None, "a backbone has at least one stage"
        assert masks is not None, "it grows with fused"
        fused = self.fuse_norm(fused)
        embeddings = replaced_rows(embeddings, edits.at("final").embeddings)
        class_similarity = dot_product(fused, self.classify(embeddings) * fused.shape[1] ** -0.5)
        masks = masks if self.summed_masks else masks / len(features)
        logits = silenced(class_similarity + masks, edits.without)
        stages["final"] = StageOutput(fused, class_similarity, logits, embeddings, embeddings, None)
        return ECENetOutput(logits, stages, diversity)

    def deepest_features(self, backbone_features: list[Tensor]) -> Tensor:
        """Return the (B, D, h, w) features of the deepest stage after Feature Reconstruction, which ECE pools."""
        feature = self.dropout(self._stage_features(backbone_features)[-1])
        reconstructed = self.reconstruct[-1](feature)
        return reconstructed[0] if self.reconstruction else reconstructed

    def _stage_features(self, backbone_features: list[Tensor]) -> list[Tensor]:
        """Return the features of the backbone or, for a plain ViT, of the pyramid."""
        return backbone_features if self.pyramid is None else self.pyramid(backbone_features)

    def _reconstruct(self, stage_features: list[Tensor], edits: HeadEdits) -> tuple[list[Tensor], Tensor]:
        """Apply Feature Reconstruction to every stage; returns the features and the mean diversity loss (in
        training)."""
        features: list[Tensor] = []
        diversity = stage_features[0].new_zeros(())
        for module, feature in zip(self.reconstruct, map(self.dropout, stage_features), strict=True):
            if not self.reconstruction:
                features.append(module(feature))
                continue
            combined, intrinsic, diverse = module(feature, diversify=edits.diverse)
            features.append(combined)
            if self.training:
                assert isinstance(module, TwoBranches), "there is reconstruction"
                diversity = diversity + module.diversity(intrinsic, diverse) / len(self.reconstruct)
        return features, diversity

    def _grids(self, stage_features: list[Tensor]) -> list[tuple[int, int]]:
        grids = [(feature.shape[-2], feature.shape[-1]) for feature in stage_features]
        return [grids[-1], *reversed(grids), grids[0]]


def stage_width(embed_dim: int, stride: int) -> int:
    """Return the channels of a tapered stage: D from stride 16 on, and proportionally fewer at finer ones. Ours.

    The number is even, since branches may be halved, and at least 8 unless D is less, since norms over few channels
    leave little but signs.
    """
    return max(min(embed_dim, 8), embed_dim * min(stride, 16) // 32 * 2)


def resize(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Resize (B, C, h, w) bilinearly to (B, C, *size); returns the same tensor if the size is equal."""
    if maps.shape[-2:] == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
