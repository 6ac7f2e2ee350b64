"""Every preset is a training that can be built, and says whether it was measured."""

from pathlib import Path

import pytest
import tyro

from ecenet.model.config import SegViTConfig
from ecenet.training.command import Train
from ecenet.training.config import DataConfig, LossConfig, ModelConfig, OptimizerConfig, StartConfig, TrainConfig
from ecenet.training.presets import RECIPES, find_recipe, recipes_table, with_preset
from ecenet.training.recipe import Recipe, option_words
from ecenet.training.settings import options
from tests.support.refusals import refused


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_preset_sets_what_it_says(recipe: Recipe) -> None:
    words = with_preset(["train", "--preset", recipe.name, "--data", "d", "--out", "o"])
    config = tyro.cli(Train, args=words[1:]).config
    assert recipe.options.items() <= options(config).items()
    assert recipe.command.startswith(f"python -m ecenet train --preset {recipe.name} --data ")


def test_the_users_own_options_win() -> None:
    words = with_preset(["train", "--data", "d", "--out", "o", "--steps", "7", "--preset=camvid-mobilenetv2"])
    config: TrainConfig = tyro.cli(Train, args=words[1:]).config
    assert config.steps == 7
    assert config.loss.class_balance == find_recipe("camvid-mobilenetv2").options["class_balance"]


def test_words_without_a_preset_stay_as_they_are() -> None:
    for words in (["train", "--data", "d"], ["predict", "--preset"], []):
        assert with_preset(words) == words


def test_an_unknown_preset_is_named_with_what_there_is() -> None:
    with refused("unknown-choice", "ade20k-vit-base", "camvid-mobilenetv2", "'camvid'"):
        with_preset(["train", "--preset", "camvid"])


def test_options_become_words() -> None:
    few = {"scale": (0.5, 2.0), "frozen_batch_norm": False, "compile": True, "output_stride": None}
    assert option_words(few) == [
        *("--scale", "0.5", "2.0", "--no-frozen-batch-norm", "--compile", "--output-stride", "None")
    ]


def test_every_setting_is_an_option_and_words_bring_it_back() -> None:
    config = TrainConfig(
        DataConfig(Path("photos"), layout="camvid", scale=(0.7, 1.5), class_sampling=0.25, workers=3),
        Path("runs/mine"),
        start=StartConfig(backbone_weights=Path("b.safetensors"), pretrained=False, image_std=(0.2, 0.3, 0.4)),
        architecture="segvit",
        model=ModelConfig(output_stride=None, taper=False),
        segvit=SegViTConfig(out_indices=(1, 2), stand_ins=False, updater="gated"),
        optimizer=OptimizerConfig(lr=2e-3, schedule="cosine", frozen_batch_norm=False),
        loss=LossConfig(stage_loss="dice_focal", contrast_weight=0.3),
        steps=7,
        validate_every=3,
        precision="fp32",
        compile=True,
    )
    assert tyro.cli(Train, args=option_words(options(config))).config == config


def test_the_table_marks_what_was_not_run() -> None:
    blocks = recipes_table().split("\n\n")
    for recipe, block in zip(RECIPES, blocks, strict=True):
        assert block.startswith(f"{recipe.name} · {'measured' if recipe.measured else 'not run'}")
        assert recipe.command in block
