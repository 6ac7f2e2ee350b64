"""The parts of training that can be worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ecenet.model.ecenet import ECENet
from ecenet.training.config import DataConfig, ModelConfig, OptimizerConfig, TrainConfig
from ecenet.training.optimizer import (
    freeze_batch_norm,
    leading_stages,
    learning_rate_factor,
    make_optimizer,
    moving_average,
    set_learning_rates,
)
from tests.support.helpers import small_model
from tests.support.refusals import refused


def optimizer_for(model: ECENet, **options: Any) -> torch.optim.AdamW:
    config = OptimizerConfig(lr=1e-2, backbone_lr=1e-4, weight_decay=0.1)
    return make_optimizer(model, model.backbone.network, replace(config, **options))


def run_of(steps: int, **options: Any) -> TrainConfig:
    return TrainConfig(DataConfig(Path("data")), Path("out"), steps=steps, optimizer=OptimizerConfig(**options))


def test_the_average_forgets_its_random_start_and_then_slows_down() -> None:
    model = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(model, multi_avg_fn=moving_average(0.3), use_buffers=True)

    def update(value: float) -> float:
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
        return averaged.module.get_parameter("weight").item()

    assert update(1.0) == 1.0, "the first weights are taken as they are"
    decay = 2 / 11  # (1 + n) / (10 + n) after n = 1 update
    assert update(2.0) == pytest.approx(decay * 1.0 + (1 - decay) * 2.0)
    before, decay = averaged.module.get_parameter("weight").item(), 3 / 12
    assert update(5.0) == pytest.approx(decay * before + (1 - decay) * 5.0)
    before, decay = averaged.module.get_parameter("weight").item(), 0.3  # 4 / 13 would be more than the limit
    assert update(-1.0) == pytest.approx(decay * before + (1 - decay) * -1.0)


def test_the_average_takes_statistics_too_and_counters_as_they_are() -> None:
    model = nn.BatchNorm1d(2)
    averaged = AveragedModel(model, multi_avg_fn=moving_average(0.999), use_buffers=True)
    averaged.update_parameters(model)
    model(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    averaged.update_parameters(model)
    expected = 9 / 11 * model.get_buffer("running_mean")  # from 0, with a decay of 2 / 11
    torch.testing.assert_close(averaged.module.running_mean, expected)
    assert averaged.module.num_batches_tracked == model.num_batches_tracked == 1


def test_the_learning_rate_rises_linearly_and_falls_to_zero() -> None:
    config = run_of(10, warmup_steps=4, schedule="poly")
    factors = [learning_rate_factor(step, config) for step in range(11)]
    assert factors[:4] == pytest.approx([(s + 1) / 4 * (1 - s / 10) ** 0.9 for s in range(4)])
    assert factors[4:] == pytest.approx([(1 - s / 10) ** 0.9 for s in range(4, 11)])
    assert factors[10] == 0


def test_the_cosine_has_its_half_in_the_middle() -> None:
    config = run_of(10, warmup_steps=0, schedule="cosine")
    factors = [learning_rate_factor(step, config) for step in (0, 5, 10)]
    assert factors == pytest.approx([1, 0.5, 0])


def test_every_group_has_its_share_of_its_own_peak() -> None:
    optimizer = optimizer_for(small_model())
    set_learning_rates(optimizer, 0.25)
    assert {(group["peak_lr"], group["lr"]) for group in optimizer.param_groups} == {(1e-2, 2.5e-3), (1e-4, 2.5e-5)}


def test_every_weight_is_in_one_group_and_only_matrices_decay() -> None:
    model = small_model()
    groups = optimizer_for(model).param_groups
    assert len(groups) == 4
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        group = found[id(parameter)]
        assert group["peak_lr"] == (1e-4 if name.startswith("backbone.") else 1e-2)
        assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)


def vit() -> ECENet:
    return small_model(
        config=ModelConfig(backbone="vit_tiny_patch16_224", out_indices=(2, 5, 8, 11), output_stride=None, embed_dim=8)
    )


def test_layers_further_from_the_head_learn_more_slowly() -> None:
    model = vit()
    groups = optimizer_for(model, layer_decay=0.5).param_groups
    peak = {id(parameter): group["peak_lr"] for group in groups for parameter in group["params"]}
    assert len(peak) == sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    rates = {name: peak[id(parameter)] for name, parameter in model.named_parameters()}
    blocks = [rates[f"backbone.network.model.blocks.{block}.attn.qkv.weight"] for block in range(12)]
    assert [later / earlier for earlier, later in pairwise(blocks)] == pytest.approx([2.0] * 11)
    assert rates["backbone.network.model.pos_embed"] == pytest.approx(blocks[0] / 2)
    assert max(blocks) <= 1e-4
    assert rates["classify.weight"] == 1e-2
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays[id(dict(model.named_parameters())["backbone.network.model.pos_embed"])] == 0


def test_a_backbone_without_named_layers_has_no_layer_decay() -> None:
    with refused("unsuitable-backbone", "layer_decay 0.5", "EfficientNetFeatures", "layer_decay at 1"):
        optimizer_for(small_model(), layer_decay=0.5)


@pytest.mark.parametrize(
    ("model", "last", "next_one"),
    [
        (small_model, "blocks.1.", "blocks.2."),
        (vit, "model.blocks.2.", "model.blocks.3."),
        (
            lambda: small_model(
                config=ModelConfig(backbone="convnext_atto", out_indices=(0, 1, 2, 3), output_stride=None, embed_dim=8)
            ),
            "stages_0.",
            "stages_1.",
        ),
    ],
    ids=["mobilenet", "vit", "convnext"],
)
def test_leading_stages_end_with_the_first_feature(model: Callable[[], ECENet], last: str, next_one: str) -> None:
    built = model()
    network = built.backbone.network
    features: Any = network.feature_info
    indices = tuple(features.out_indices)
    frozen = {id(parameter) for parameter in leading_stages(network, 1, out_indices=indices)}
    names = [name for name, p in network.named_parameters() if id(p) in frozen]
    assert any(name.startswith(last) for name in names)
    assert not any(name.startswith(next_one) for name in names)
    first = next(iter(dict(built.backbone.network.named_parameters())))
    assert first in names
    assert leading_stages(network, 0, out_indices=indices) == []


def test_only_batch_norms_are_frozen() -> None:
    norm, dropout = nn.BatchNorm2d(1), nn.Dropout(0.5)
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(norm, dropout)).train()
    freeze_batch_norm(module)
    assert [child.training for child in (module[0], norm, dropout)] == [True, False, True]
