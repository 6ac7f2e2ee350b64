"""The parts of training that can be worked out by hand."""

from pathlib import Path

import pytest
import torch
from helpers import small_model
from torch import nn
from torch.optim.swa_utils import AveragedModel

from ecenet.config import TrainConfig
from ecenet.train import freeze_batch_norm, make_optimizer, moving_average, set_learning_rates

CONFIG = TrainConfig(
    data=Path("data"), out=Path("run"), lr=1e-2, backbone_lr=1e-4, steps=10, warmup_steps=4, weight_decay=0.1
)


def test_the_average_forgets_its_random_start_and_then_slows_down() -> None:
    model = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(model, avg_fn=moving_average(0.3), use_buffers=True)

    def update(value: float) -> float:
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
        return averaged.module.weight.item()

    assert update(1.0) == 1.0, "the first weights are taken as they are"
    decay = 2 / 11  # (1 + n) / (10 + n) after n = 1 update
    assert update(2.0) == pytest.approx(decay * 1.0 + (1 - decay) * 2.0)
    before, decay = averaged.module.weight.item(), 3 / 12
    assert update(5.0) == pytest.approx(decay * before + (1 - decay) * 5.0)
    before, decay = averaged.module.weight.item(), 0.3  # 4 / 13 would be more than the limit
    assert update(-1.0) == pytest.approx(decay * before + (1 - decay) * -1.0)


def test_the_average_takes_statistics_too_and_counters_as_they_are() -> None:
    model = nn.BatchNorm1d(2)
    averaged = AveragedModel(model, avg_fn=moving_average(0.999), use_buffers=True)
    averaged.update_parameters(model)
    model(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    averaged.update_parameters(model)
    expected = 9 / 11 * model.running_mean  # from 0, with a decay of 2 / 11
    torch.testing.assert_close(averaged.module.running_mean, expected)
    assert averaged.module.num_batches_tracked == model.num_batches_tracked == 1


def test_the_learning_rate_rises_linearly_and_falls_to_zero() -> None:
    optimizer = make_optimizer(small_model(), CONFIG)
    rates = []
    for step in range(11):
        set_learning_rates(optimizer, CONFIG, step)
        rates.append({group["peak_lr"]: group["lr"] for group in optimizer.param_groups})
    head = [rate[CONFIG.lr] for rate in rates]
    assert head[:4] == pytest.approx([1e-2 * (s + 1) / 4 * (1 - s / 10) ** 0.9 for s in range(4)])
    assert head[4:] == pytest.approx([1e-2 * (1 - s / 10) ** 0.9 for s in range(4, 11)])
    assert head[10] == 0
    assert [rate[CONFIG.backbone_lr] for rate in rates] == pytest.approx([rate / 100 for rate in head])


def test_no_warm_up_starts_at_the_peak() -> None:
    optimizer = make_optimizer(small_model(), CONFIG)
    set_learning_rates(optimizer, TrainConfig(data=Path("d"), out=Path("r"), warmup_steps=0), 0)
    assert [group["lr"] for group in optimizer.param_groups] == [group["peak_lr"] for group in optimizer.param_groups]


def test_every_weight_is_in_one_group_and_only_matrices_decay() -> None:
    model = small_model()
    groups = make_optimizer(model, CONFIG).param_groups
    assert len(groups) == 4
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    found = {id(parameter): group for group in groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        group = found[id(parameter)]
        assert group["peak_lr"] == (1e-4 if name.startswith("backbone.") else 1e-2)
        assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)


def test_only_batch_norms_are_frozen() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5))).train()
    freeze_batch_norm(module)
    assert [child.training for child in (module[0], module[1][0], module[1][1])] == [True, False, True]
