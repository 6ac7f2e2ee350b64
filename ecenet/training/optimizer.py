"""The optimiser: parameter groups, learning rates, the moving average, and frozen parameters."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

from ecenet.common.errors import UserError
from ecenet.training.config import OptimizerConfig, TrainConfig

POLY_POWER = 0.9
Tensors = tuple[Tensor, ...] | list[Tensor]


def make_optimizer(model: nn.Module, backbone: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Create AdamW with groups for backbone and head, each with weight decay (matrices) and without (norms, biases).

    Args:
        backbone: timm's network, the part of `model` with a learning rate of its own.
    Raises:
        UserError: layer-wise rate decay is requested, but the backbone does not define layers.
    """
    backbone_groups = _layer_groups(backbone, config) if config.layer_decay < 1 else []
    grouped = {id(parameter) for group in backbone_groups for parameter in group["params"]}
    inner = {id(parameter) for parameter in backbone.parameters()}
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for parameter in model.parameters():
        if id(parameter) not in grouped:
            peak = config.backbone_lr if id(parameter) in inner else config.lr
            groups.setdefault((peak, parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "peak_lr": peak, "weight_decay": config.weight_decay if decays else 0.0}
            for (peak, decays), parameters in groups.items()
        ]
        + backbone_groups
    )


def _layer_groups(backbone: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    network: Any = getattr(backbone, "model", backbone)  # timm wraps ViTs for feature extraction
    if not hasattr(network, "group_matcher"):
        raise UserError(
            "unsuitable-backbone",
            f"Expected a backbone with layers defined by timm, such as a ViT, for layer_decay {config.layer_decay}, "
            f"got {type(network).__name__}; leave layer_decay at 1.",
        )
    exempt = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()
    groups = param_groups_layer_decay(
        network, weight_decay=config.weight_decay, no_weight_decay_list=exempt, layer_decay=config.layer_decay
    )
    return [
        {
            "params": group["params"],
            "peak_lr": config.backbone_lr * group["lr_scale"],
            "weight_decay": group["weight_decay"],
        }
        for group in groups
    ]


def learning_rate_factor(step: int, config: TrainConfig) -> float:
    """Return the factor on the peak learning rate, 0 … 1: linear warm-up times a decay to 0 at the last step."""
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    done = step / config.steps
    poly = config.optimizer.schedule == "poly"
    return warmup * ((1 - done) ** POLY_POWER if poly else (1 + math.cos(math.pi * done)) / 2)


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of each group to `factor` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return an exponential moving average for `AveragedModel(multi_avg_fn=…)`.

    Its decay grows with the number of updates, so that short runs forget their random initialisation.
    """

    def average(old: Tensors, new: Tensors, updates: Tensor | int) -> None:
        if not old[0].is_floating_point():  # all tensors of a list have the same type
            torch._foreach_copy_(old, new)
            return
        ramped = min(decay, (1 + int(updates)) / (10 + int(updates)))
        torch._foreach_lerp_(old, new, 1 - ramped)

    return average


def leading_stages(backbone: nn.Module, count: int, *, out_indices: tuple[int, ...]) -> list[nn.Parameter]:
    """Return the parameters of timm's network up to and including the `count`th feature stage that ECENet uses."""
    if count == 0:
        return []
    network: Any = backbone
    # Some of timm's feature networks name `stages.0` `stages_0`.
    last = f".{network.feature_info.module_name(out_indices[count - 1])}.".replace("_", ".")
    named = list(network.named_parameters())
    end = max(index for index, (name, _) in enumerate(named) if last in f".{name}".replace("_", ".")) + 1
    return [parameter for _, parameter in named[:end]]


def choose_learners(backbone: nn.Module, *, learns: bool, never: Iterable[nn.Parameter]) -> None:
    """Freeze or unfreeze the backbone; the parameters `never` stay frozen."""
    for parameter in backbone.parameters():
        parameter.requires_grad_(learns)
    for parameter in never:
        parameter.requires_grad_(False)


def freeze_batch_norm(module: nn.Module) -> None:
    """Use the running statistics of batch norms without updating them."""
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()


def learners(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return all parameters of the optimiser."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
