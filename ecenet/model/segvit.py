"""SegViT: class embeddings attend to the features of a plain ViT, and the attention scores are the masks."""

from typing import Any

import torch
from torch import Tensor, nn

from ecenet.model.backbone import build_plain_vit
from ecenet.model.config import SegViTConfig
from ecenet.model.edit_checks import HeadParts
from ecenet.model.edits import HeadEdits, replaced_rows, silenced
from ecenet.model.layers.attention_to_mask import AttentionToMask, class_shares, semantic_logits
from ecenet.model.layers.class_extraction import build_extraction
from ecenet.model.layers.semantics import EmbeddingUpdater
from ecenet.model.outputs import ECENetOutput, StageOutput
from ecenet.model.pixel_classifier import PixelClassifier


class SegViT(
    PixelClassifier,
    library_name="ecenet",
    tags=["semantic-segmentation", "plain-vision-transformer"],
    paper_url="https://arxiv.org/abs/2210.05844",
):
    """Semantic segmentation with plain vision transformers (arXiv 2210.05844), optionally with ECENet's embeddings.

    From the paper and its code: a plain ViT without class token, attention-to-mask stages from the deepest to the
    shallowest features with learned class embeddings, masks that are summed over stages, and a classification layer
    with an output for "not in this image". With `embeddings` learned and `updater` off, it is the authors' network.

    ECENet's abstract (arXiv 2308.12894) says that its updater improves SegViT. How they are combined is ours, and so
    are the parts (`ClassExtraction`, `EmbeddingUpdater`): embeddings from the masks of ECE on the deepest features
    replace the learned ones, and after each stage the updater updates them with the features under the stage's mask.
    They are trained with `matched_loss`.

    Settings, classes and normalisation are stored in `config.json`. Arguments as in `ECENet`.
    """

    settings: SegViTConfig
    settings_type = SegViTConfig

    def __init__(
        self,
        settings: SegViTConfig,
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

        self.backbone = build_plain_vit(
            name=settings.backbone,
            out_indices=settings.out_indices,
            position_side=settings.position_side,
            pretrained=pretrained,
            drop_path=settings.drop_path,
            antialias=settings.position_antialias,
        )
        embed_dim = settings.embed_dim
        self.project = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, embed_dim), nn.LayerNorm(embed_dim))
            for channels in self.backbone.channels
        )
        if settings.embeddings == "learned":
            self.learned_embeddings = nn.Parameter(torch.randn(num_classes, embed_dim))
        else:
            self.extract = build_extraction(
                settings.extraction,
                width=embed_dim,
                embed_dim=embed_dim,
                num_classes=num_classes,
                pool_grids=settings.pool_grids,
                masks_only=False,
                stand_ins=settings.stand_ins,
            )
        self.decode = nn.ModuleList(
            AttentionToMask(
                embed_dim=embed_dim,
                num_heads=settings.num_heads,
                num_layers=settings.num_layers,
                dropout=settings.dropout,
            )
            for _ in self.backbone.channels
        )
        self.update = nn.ModuleList(
            EmbeddingUpdater(width=embed_dim, embed_dim=embed_dim, mode=settings.updater)
            for _ in self.backbone.channels
        )
        self.classify = nn.Linear(embed_dim, num_classes + 1)

    @property
    def stage_names(self) -> list[str]:
        """Keys of `ECENetOutput.stages`: `ece` with explicit embeddings, `stageL` … `stage1`, `final`."""
        stages = [f"stage{level}" for level in range(len(self.decode), 0, -1)]
        return [*(["ece"] if self.explicit else []), *stages, "final"]

    @property
    def parts(self) -> HeadParts:
        """The parts that edits can change."""
        return HeadParts(
            explicit=self.explicit,
            new_classes=False,
            reconstruction=False,
            updater=self.updater,
            closed="SegViT's, which has outputs for its own classes only",
        )

    def forward_head(self, backbone_features: list[Tensor], edits: HeadEdits | None = None) -> ECENetOutput:
        """Run the head on backbone features. It differs from `ECENet.forward_head`:

        - the `similarity` of a stage is its attention scores, and its `mask_logits` combine the masks up to it with its
          classified embeddings (`semantic_logits`);
        - `final` is the prediction of the last stage with the updated embeddings, and its similarity is the summed
          masks;
        - with `attention` off, the embeddings do not attend to the features, and a given mask of a stage after `ece`
          changes what the updater pools, but not the sum of masks.
        """
        edits = self._checked(edits, backbone_features)
        features = [self._project(level, feature) for level, feature in enumerate(backbone_features)]
        stages: dict[str, StageOutput] = {}

        if self.explicit:
            coarse, embeddings = self._extract(features[-1], edits)
            stages["ece"] = StageOutput(features[-1], coarse, coarse, embeddings, embeddings, None)
        else:
            embeddings = self.learned_embeddings.repeat(len(features[-1]), 1, 1)

        # Deep to shallow.
        masks: Tensor | None = None
        for level in range(len(features), 0, -1):
            name = f"stage{level}"
            edit = edits.at(name)
            before = replaced_rows(embeddings, edit.embeddings)
            embeddings, similarity = self.decode[level - 1](before, features[level - 1], read=edit.attention)
            masks = similarity.float() if masks is None else masks + similarity
            class_logits = self.classify(embeddings)
            predicted = semantic_logits(class_logits, masks)
            mask_logits = edits.mask_logits(name, predicted, num_classes=self.num_classes)
            gate = None
            if edit.updater:
                embeddings, gate = self.update[level - 1](
                    embeddings, features[level - 1], mask_logits, gate=edits.gate_at(name)
                )
            predicts = edit.mask is None
            stages[name] = StageOutput(
                features=features[level - 1],
                similarity=similarity,
                mask_logits=mask_logits,
                embeddings_before=before,
                embeddings_after=embeddings,
                gate=gate,
                class_logits=class_logits,
                masks=masks if predicts else None,
                class_shares=class_shares(class_logits, without=edits.without) if predicts else None,
            )

        assert masks is not None, "a backbone has at least one stage"
        embeddings = replaced_rows(embeddings, edits.at("final").embeddings)
        class_logits = self.classify(embeddings)
        logits = silenced(semantic_logits(class_logits, masks), edits.without)
        shares = class_shares(class_logits, without=edits.without)
        stages["final"] = StageOutput(
            features[0], masks, logits, embeddings, embeddings, None, masks=masks, class_shares=shares
        )
        return ECENetOutput(logits, stages, diversity=logits.new_zeros(()))

    def _project(self, level: int, feature: Tensor) -> Tensor:
        """Project (B, C, h, w) to (B, D, h, w)."""
        tokens = self.project[level](feature.flatten(2).mT)
        return tokens.mT.unflatten(2, feature.shape[-2:])

    def _grids(self, stage_features: list[Tensor]) -> list[tuple[int, int]]:
        height, width = stage_features[0].shape[-2:]
        return [(height, width)] * len(self.stage_names)
