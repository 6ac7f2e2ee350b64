"""Presets for `train --preset NAME`: named settings with their expected results."""

import difflib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ecenet.common.errors import UserError
from ecenet.training.recipe import Recipe, option_words

NOT_RUN = "not run"
EVERYDAY_OPTIONS = {
    "embed_dim": 128,
    "ffn_ratio": 1.5,
    "color": 0.4,
    "paste": 0.2,
    "contrast_weight": 0.3,
    "label_stride": 2,
}
PLAIN_VIT_OPTIONS = {
    "output_stride": None,
    "embed_dim": 256,
    "lr": 6e-4,
    "backbone_lr": 6e-5,
    "weight_decay": 0.01,
    "schedule": "poly",
    "warmup_steps": 1500,
    "frozen_steps": 0,
    "batch_size": 16,
    "stage_loss": "dice_focal",
    "workers": 8,
    "scale": (0.5, 2.0),
}
"""Options of our design with plain ViTs on the paper's data sets. AdamW with 6e-5 and 0.01, poly and batches of 16 are
reportedly the paper's settings, and the sizes are SegViT's; the paper's text was not available to us, and neither the
abstract nor the authors' release contains them. The tenfold rate of the head, the warm-up, the width and the losses are
ours."""
AUTHORS_OPTIONS = {
    "layout": "ade20k",
    "weight_decay": 0.01,
    "schedule": "poly",
    "warmup_steps": 1500,
    "frozen_steps": 0,
    "batch_size": 16,
    "steps": 160_000,
    "workers": 8,
    "scale": (0.5, 2.0),
}
"""Options that the presets of the authors' release of ECENet and of SegViT share. SegViT's authors use AdamW with 2e-5
and a tenfold rate for the head, poly and batches of 16; its drop path here is our choice. Of ECENet's release, only
crops of 640², drop path 0.3 and the loss weights are known; the rest is as in `PLAIN_VIT_OPTIONS`."""
LAYERS = {"base": (5, 7, 11), "large": (7, 15, 23)}
"""Blocks of a ViT that are used as stages."""


EARLY_HEAD = {
    "embed_dim": 96,
    "taper": False,
    "summed_masks": False,
    "stand_ins": False,
    "reconstruction": "joined",
}
"""Options of runs from before tapered stages, summed masks, stand-ins and whole branches of FR."""


def _plain_vit_recipe(name: str, *, summary: str, miou: str, needs: str, **options: Any) -> Recipe:
    """Return a preset of our design with a plain ViT on a data set of the paper; the name ends with the ViT's size."""
    size = name.rpartition("-")[2]
    vit = {"backbone": f"vit_{size}_patch16_384.augreg_in21k_ft_in1k", "out_indices": LAYERS[size]}
    return Recipe(name, summary, False, miou, NOT_RUN, needs, {**vit, **PLAIN_VIT_OPTIONS, **options})


RECIPES = [
    _plain_vit_recipe(
        "ade20k-vit-base",
        summary="ADE20K, 150 classes, ViT-B/16 at 512²",
        miou="not run (SegViT reports 51.3)",
        needs="--data ADEChallengeData2016",
        layout="ade20k",
        image_size=683,
        crop_size=512,
        steps=160_000,
    ),
    _plain_vit_recipe(
        "ade20k-vit-large",
        summary="ADE20K, 150 classes, ViT-L/16 at 640²",
        miou="not run (SegViT reports 54.6)",
        needs="--data ADEChallengeData2016",
        layout="ade20k",
        image_size=853,
        crop_size=640,
        steps=160_000,
    ),
    _plain_vit_recipe(
        "pascal-context-vit-large",
        summary="PASCAL-Context, 59 classes, ViT-L/16 at 480²",
        miou="not run (the paper reports 65.9 for its design)",
        needs="--data VOCdevkit",
        layout="pascal-context-59",
        image_size=512,
        crop_size=480,
        steps=80_000,
    ),
    _plain_vit_recipe(
        "cityscapes-vit-large",
        summary="Cityscapes, 19 classes, ViT-L/16 at 768²",
        miou=NOT_RUN,
        needs="--data cityscapes",
        layout="cityscapes",
        image_size=2048,
        crop_size=768,
        steps=80_000,
    ),
    Recipe(
        name="ade20k-swin-base",
        summary="ADE20K, 150 classes, Swin-B at 640²: the authors' release of ECENet, with losses as far as known",
        measured=False,
        miou="not run (the release reports 54.17)",
        run_time=NOT_RUN,
        needs="--data ADEChallengeData2016",
        options={
            **AUTHORS_OPTIONS,
            "architecture": "ecenet-release",
            "loss": "release",
            "diversity_weight": 0.2,
            "release.backbone": "swin_base_patch4_window12_384.ms_in22k",
            "release.drop_path": 0.3,
            "lr": 6e-4,
            "backbone_lr": 6e-5,
            "image_size": 853,
            "crop_size": 640,
        },
    ),
    Recipe(
        name="ade20k-segvit-base",
        summary="ADE20K, 150 classes, ViT-B/16 at 512²: SegViT with its authors' loss and learning rates",
        measured=False,
        miou="not run (its authors report 51.3)",
        run_time=NOT_RUN,
        needs="--data ADEChallengeData2016",
        options={
            **AUTHORS_OPTIONS,
            "architecture": "segvit",
            "loss": "segvit",
            "segvit.backbone": "vit_base_patch16_384.augreg_in21k_ft_in1k",
            "segvit.drop_path": 0.1,
            "segvit.position_antialias": False,
            "lr": 2e-4,
            "backbone_lr": 2e-5,
            "image_size": 683,
            "crop_size": 512,
        },
    ),
    Recipe(
        name="everyday-efficientnet-lite2",
        summary="Everyday photos, 45 classes, EfficientNet-Lite2: last run of the weights everyday (see model card)",
        measured=False,
        miou="not run as a whole (the model card of everyday has the figures of its runs)",
        run_time="90 minutes on one CPU core (bf16), with the averaging in the model card",
        needs="--data everyday --backbone-weights lite2.safetensors",
        options={
            **EVERYDAY_OPTIONS,
            "weight_decay": 0.02,
            "dropout": 0.1,
            "ema": 0.998,
            "backbone": "tf_efficientnet_lite2",
            "image_size": 512,
            "crop_size": 384,
            "scale": (0.5, 1.75),
            "steps": 2400,
            "frozen_steps": 0,
            "frozen_stages": 2,
            "lr": 6e-4,
            "backbone_lr": 1e-4,
            "warmup_steps": 60,
            "jaccard_weight": 0.4,
        },
    ),
    Recipe(
        name="everyday-vit-tiny",
        summary="Everyday photos, 45 classes, plain ViT-Ti/16",
        measured=True,
        miou="67.8 on VOC's 21 classes, 87.4 on MSRC, at 448 pixels",
        run_time="110 minutes on one busy CPU core (bf16)",
        needs="--data everyday --backbone-weights vit_tiny_patch16_224.safetensors",
        options={
            **EVERYDAY_OPTIONS,
            "weight_decay": 0.05,
            "ema": 0.995,
            "backbone": "vit_tiny_patch16_224",
            "out_indices": (5, 7, 9, 11),
            "output_stride": None,
            "vit_strides": (4, 8, 16, 16),
            "position_side": 448,
            "image_size": 448,
            "crop_size": 320,
            "scale": (0.5, 1.75),
            "steps": 3200,
            "frozen_steps": 60,
            "lr": 1e-3,
            "backbone_lr": 3e-4,
            "layer_decay": 0.8,
            "warmup_steps": 120,
            "class_balance": 0.1,
            "class_sampling": 0.4,
            "jaccard_weight": 0.3,
        },
    ),
    Recipe(
        name="camvid-mobilenetv2",
        summary="Street scenes, 11 classes, MobileNetV2: the first run for the weights camvid (see model card)",
        measured=True,
        miou="75.2 on val, 66.7 on test, predicted at 736 pixels",
        run_time="66 minutes on two CPU cores (bf16)",
        needs="--data camvid --backbone-weights mobilenetv2_100_voc.safetensors",
        options={
            **EARLY_HEAD,
            "image_size": 480,
            "crop_size": 352,
            "scale": (0.75, 2.0),
            "steps": 2800,
            "frozen_steps": 0,
            "frozen_stages": 1,
            "backbone_lr": 2e-4,
            "class_balance": 0.4,
            "paste": 0.3,
            "ema": 0.997,
        },
    ),
]


def find_recipe(name: str) -> Recipe:
    """Return a preset by name.

    Raises:
        UserError: the preset does not exist.
    """
    for recipe in RECIPES:
        if recipe.name == name:
            return recipe
    names = [recipe.name for recipe in RECIPES]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]}?" if close else "choose one of them."
    raise UserError("unknown-choice", f"Expected a preset ({', '.join(names)}), got {name!r}; {hint}")


def with_preset(arguments: Sequence[str]) -> list[str]:
    """Insert the options of `--preset NAME` before the user's own, which take precedence.

    Raises:
        UserError: the preset does not exist.
    """
    words = list(arguments)
    names = [following for word, following in pairwise(words) if word == "--preset"]
    names += [word.partition("=")[2] for word in words if word.startswith("--preset=")]
    if not names or words[0] not in ("train", "compare", "ablate"):
        return words
    return [words[0], *option_words(find_recipe(names[-1]).options), *words[1:]]


def recipes_table() -> str:
    """Return a text that lists each preset with its expected result and command."""
    blocks = []
    for recipe in RECIPES:
        state = "measured" if recipe.measured else "not run"
        blocks.append(
            f"{recipe.name} · {state}\n  {recipe.summary}\n  mIoU {recipe.miou}; run time {recipe.run_time}\n"
            f"  {recipe.command}"
        )
    return "\n\n".join(blocks)
