"""How weights move: parameter groups, learning rates, the moving average, and what stays frozen."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ecenet.common.errors import UserError
from ecenet.model.network import Network
from ecenet.training.config import Schedule

POLY_POWER = 0.9
Tensors = tuple[Tensor, ...] | list[Tensor]


def make_optimizer(
    model: nn.Module,
    backbone: nn.Module,
    *,
    lr: float,
    backbone_lr: float,
    weight_decay: float,
    layer_decay: float = 1.0,
) -> torch.optim.AdamW:
    """AdamW: backbone and head, each with weight decay (matrices) or without (norms, biases).

    Args:
        backbone: the part of `model` that has a rate of its own.
        layer_decay: below 1, each backbone layer has its own rate: times this for each layer further from the head.
    Raises:
        UserError: the backbone names no layers.
    """
    backbone_groups: list[dict[str, Any]] = []
    if layer_decay < 1:
        backbone_groups = _layer_groups(backbone, lr=backbone_lr, weight_decay=weight_decay, layer_decay=layer_decay)
    grouped = {id(parameter) for group in backbone_groups for parameter in group["params"]}
    inner = {id(parameter) for parameter in backbone.parameters()}
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for parameter in model.parameters():
        if id(parameter) not in grouped:
            peak = backbone_lr if id(parameter) in inner else lr
            groups.setdefault((peak, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "peak_lr": peak, "weight_decay": weight_decay if decays else 0.0}
            for (peak, decays), parameters in groups.items()
        ]
        + backbone_groups
    )


def _layer_groups(backbone: nn.Module, *, lr: float, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    network: Any = backbone.network
    network = getattr(network, "model", network)  # timm wraps a ViT whose features it gathers
    if not hasattr(network, "group_matcher"):
        raise UserError(
            "unsuitable-backbone",
            f"Expected a backbone whose layers timm can tell apart for layer_decay {layer_decay}, such as a ViT, "
            f"got {type(network).__name__}; leave layer_decay at 1.",
        )
    exempt = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    return [
        {"params": group["params"], "peak_lr": lr * group["lr_scale"], "weight_decay": group["weight_decay"]}
        for group in param_groups_layer_decay(
            network, weight_decay=weight_decay, no_weight_decay_list=exempt, layer_decay=layer_decay
        )
    ]


def learning_rate_factor(step: int, *, steps: int, warmup_steps: int, schedule: Schedule) -> float:
    """Of the peak, 0 … 1: linear warm-up times a fall to 0 at `steps`."""
    warmup = min(1.0, (step + 1) / max(warmup_steps, 1))
    done = step / steps
    return warmup * ((1 - done) ** POLY_POWER if schedule == "poly" else (1 + math.cos(math.pi * done)) / 2)


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Each group's rate as a share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential moving average whose decay grows with the updates, so that short runs forget their random start.

    For `AveragedModel(multi_avg_fn=…)`: all tensors of a kind at once, and one look at the count of updates.
    """

    def average(old: Tensors, new: Tensors, updates: Tensor | int) -> None:
        if not old[0].is_floating_point():  # each list has one type
            torch._foreach_copy_(old, new)
            return
        ramped = min(decay, (1 + int(updates)) / (10 + int(updates)))
        torch._foreach_lerp_(old, new, 1 - ramped)

    return average


def averaged_weights(averaged: AveragedModel) -> Network:
    """The model inside: what is validated and saved."""
    assert isinstance(averaged.module, Network)
    return averaged.module


def leading_stages(model: Network, count: int) -> list[nn.Parameter]:
    """Parameters of the backbone up to and with its `count`th stage of `out_indices`."""
    if count == 0:
        return []
    network: Any = model.backbone.network
    # Some of timm's feature networks have `stages_0` where the original has `stages.0`.
    last = f".{network.feature_info.module_name()[count - 1]}.".replace("_", ".")
    named = list(network.named_parameters())
    end = max(index for index, (name, _) in enumerate(named) if last in f".{name}".replace("_", ".")) + 1
    return [parameter for _, parameter in named[:end]]


def choose_learners(backbone: nn.Module, *, learns: bool, never: Iterable[nn.Parameter]) -> None:
    """Whether the backbone learns, but for the parameters that never do."""
    for parameter in backbone.parameters():
        parameter.requires_grad_(learns)
    for parameter in never:
        parameter.requires_grad_(False)


def freeze_batch_norm(module: nn.Module) -> None:
    """Use the running statistics, and leave them as they are."""
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()


def learners(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Every parameter that it moves."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
