"""Inference-time optimisation of a network without changing its function. Ours."""

from collections import Counter
from typing import TypeGuard

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
"""Exact types, as below, since subclasses may transform their weights."""
NORMS = (nn.BatchNorm2d, BatchNormAct2d)


def make_ready(model: nn.Module, *, half: bool) -> None:
    """Fold batch norms into convolutions or, for bf16, convert matrices to bf16, which autocast would do at every pass.

    The model is changed in place and irreversibly. The results are identical in bf16, and equal up to rounding in fp32.
    Batch norms are not folded in bf16, because the different rounding would reduce the accuracy of networks that were
    trained in bf16.

    Args:
        model: a network with a `backbone`, in evaluation mode.
        half: whether the model will be run under bf16 autocast, and only there.
    """
    if not half:
        fold_batch_norms(model.get_submodule("backbone.network"))
        return
    for module in model.modules():
        if type(module) in (nn.Linear, *CONVOLUTIONS):
            module.to(torch.bfloat16)


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> int:
    """Fold each batch norm that directly follows a convolution into it, in place.

    Returns: the number of folded norms; 0 if the network cannot be traced.
    """
    if not any(map(_is_norm, network.modules())):
        return 0
    try:
        graph = _Tracer().trace(network)
    except (fx.proxy.TraceError, RuntimeError, TypeError):  # its control flow depends on the input
        return 0
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    folded = 0
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        conv, norm = (network.get_submodule(str(one.target)) for one in (source, node))
        once = calls[source.target] == calls[node.target] == 1
        if once and _is_convolution(conv) and _is_norm(norm) and norm.running_mean is not None:
            _fold(conv, norm)
            network.set_submodule(str(node.target), norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
            folded += 1
    return folded


def _is_convolution(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return type(module) in CONVOLUTIONS


def _is_norm(module: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    return type(module) in NORMS


class _Tracer(fx.Tracer):
    """Traces a network down to convolutions and norms, including timm's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (nn.Conv2d, *NORMS)) or super().is_leaf_module(m, module_qualified_name)


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None, "checked by the caller"
    assert norm.running_var is not None, "it exists together with the mean"
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
