"""Mapping of the tensor names of ECENet's authors' release to ours.

The names of the head are those of the release. Those of its backbone are not known; timm's and Microsoft's names for
Swin are accepted (`layers.0.blocks.0.attn.qkv.weight`), with `norm0` … `norm3` if each stage has a norm.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.inference.convert.mmseg_file import Published, read_published
from ecenet.model.tensor_files import tensor_problems

HEAD_PREFIX, BACKBONE_PREFIX = "decode_head.", "backbone."
MINDSPORE = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
"""PyTorch's names for MindSpore's parameters of norms."""
COUNTER = "num_batches_tracked"
"""Counter of PyTorch's batch norms, which has no effect."""
UNUSED = re.compile(r"auxiliary_head\.|.*\.(num_batches_tracked|relative_position_index|attn_mask)$")
"""Tensors that are not needed for prediction: an auxiliary head, and values derived from sizes."""


class Sizes(NamedTuple):
    """The sizes of a head, derived from its tensors."""

    channels: list[int]
    """Channels of the four stages, shallow to deep."""
    num_classes: int
    embed_dim: int
    num_heads: int


def read_release(path: Path) -> Published:
    """Read the tensors of a safetensors or PyTorch file, with PyTorch's names for parameters of norms; nothing is
    executed.

    Raises:
        UserError: the file cannot be read, is in MindSpore's format, or has other content.
    """
    if path.suffix == ".safetensors":
        try:
            published = Published(path.name, load(path.read_bytes()), {}, [])
        except (OSError, SafetensorError) as error:
            raise UserError(
                "file-damaged",
                f"Expected a complete safetensors file, but {path} cannot be read ({error}); copy it again.",
            ) from error
    elif path.suffix in (".ckpt", ".mindir") and path.is_file() and path.read_bytes()[:2] != b"PK":
        raise UserError(
            "wrong-file",
            f"Expected PyTorch or safetensors, got MindSpore's format in {path}; export it where MindSpore is "
            "installed: "
            "save {name: parameter.asnumpy() for name, parameter in mindspore.load_checkpoint(FILE).items()} "
            "with safetensors.numpy.save_file.",
        )
    else:
        published = read_published(path)
    return published._replace(tensors={_torch_name(name): one for name, one in published.tensors.items()})


def _torch_name(name: str) -> str:
    stem, dot, last = name.rpartition(".")
    return stem + dot + MINDSPORE.get(last, last)


def head_sizes(tensors: Mapping[str, Tensor], *, file: str) -> Sizes:
    """Return the sizes of a head from its tensors, with or without the prefix `decode_head.`.

    Raises:
        UserError: a required tensor is missing or has another number of axes.
    """
    named = {name.removeprefix(HEAD_PREFIX): tensor for name, tensor in tensors.items()}
    telling = ["conv_seg.weight", "learner.0.weight", *(f"laterals.{stage}.weight" for stage in range(4))]
    missing = [name for name in telling if name not in named or named[name].ndim != 4]
    if missing:
        raise UserError(
            "wrong-file",
            f"Expected the tensors of ECENet's release in {file}, but {len(missing)} required ones are missing "
            f"({', '.join(missing[:3])}); its first tensor is {next(iter(tensors), 'none')}. "
            "Give a checkpoint of the release with its original names.",
        )
    num_classes, embed_dim = named["conv_seg.weight"].shape[:2]
    return Sizes(
        channels=[named[name].shape[1] for name in telling[2:]],
        num_classes=num_classes,
        embed_dim=embed_dim,
        num_heads=embed_dim // max(1, named["learner.0.weight"].shape[1]),
    )


def head_modules(stages: int = 4) -> dict[str, str]:
    """Return the release's name of every layer in `ReleaseHead`, by our name."""
    pairs = {
        "coarse.0": "learner.0",
        "coarse.1": "learner.1",
        "fuse.project.0": "proj.conv",
        "fuse.project.1": "proj.bn",
        "classify": "conv_seg",
        "identify": "trans",
    }
    for level in range(stages):
        ours, theirs = f"reconstruct.{level}", f"layer_slcts.{level}"
        pairs |= {
            f"{ours}.intrinsic.0": f"{theirs}.primary.0",
            f"{ours}.intrinsic.1": f"{theirs}.primary.1",
            f"{ours}.diverse.0": f"{theirs}.cheap.0",
            f"{ours}.diverse.1": f"{theirs}.cheap.1",
            f"{ours}.channel_weights.0": f"{theirs}.layer_channel_slct.0",
            f"{ours}.channel_weights.2": f"{theirs}.layer_channel_slct.2",
            f"{ours}.combine": f"{theirs}.conv_out",
            f"{ours}.norm": f"norms.{level}",
            f"lateral.{level}": f"laterals.{level}",
            f"extract.{level}.project": f"token_emb.{level}.cls_learner",
        }
    for level in range(stages - 1):
        ours, theirs = f"attend.{level}", f"transfer.{level}"
        pairs |= {
            f"{ours}.norm": f"{theirs}.norm_low",
            f"{ours}.embedding_norm": f"{theirs}.norm_high",
            f"{ours}.attention.query.0": f"{theirs}.cross_attn.q.depthwise_conv.conv",
            f"{ours}.attention.query.1": f"{theirs}.cross_attn.q.pointwise_conv.conv",
            f"{ours}.attention.key_value": f"{theirs}.cross_attn.kv",
            f"{ours}.attention.project": f"{theirs}.cross_attn.proj",
            f"{ours}.ffn_norm": f"{theirs}.norm_mlp",
            f"{ours}.ffn.0": f"{theirs}.mlp.0",
            f"{ours}.ffn.1": f"{theirs}.mlp.1",
            f"{ours}.ffn.3": f"{theirs}.mlp.4",
        }
        ours, theirs = f"update.{level}", f"gated_tokens.{level}"
        pairs |= {
            f"{ours}.evidence": f"{theirs}.dynamic_layer",
            f"{ours}.input": f"{theirs}.input_layer",
            f"{ours}.gate": f"{theirs}.update_gate",
            f"{ours}.gate_norm": f"{theirs}.norm_in",
            f"{ours}.evidence_norm": f"{theirs}.norm_out",
            f"{ours}.output": f"{theirs}.fc_layer",
            f"{ours}.output_norm": f"{theirs}.fc_norm",
        }
        for step in range(level + 1):
            for part in ("primary", "cheap"):
                ours, theirs = f"fuse.up.{level}.{step}.{part}", f"ghost_up_layers.{level}.layers.{step}.{part}"
                pairs |= {f"{ours}.0": f"{theirs}.conv", f"{ours}.1": f"{theirs}.bn"}
    return pairs


def head_sources(wanted: Iterable[str]) -> dict[str, str]:
    """Return the release's name, without prefix, of every tensor of a `ReleaseHead`, by our name."""
    modules = head_modules()
    parted = {name: name.rpartition(".") for name in wanted}
    return {name: f"{modules[module]}.{last}" for name, (module, _, last) in parted.items() if last != COUNTER}


def backbone_sources(wanted: Iterable[str], theirs: Collection[str]) -> dict[str, str]:
    """Return the file's name of every tensor of the backbone and the norms after it, by our name. File names are timm's
    or those of Microsoft's Swin; if a tensor is missing, Microsoft's name is returned."""
    found: dict[str, str] = {}
    for ours in (name for name in wanted if not name.endswith(COUNTER)):
        timms = ours.removeprefix("network.").replace("feature_norms.", "norm")
        # In Microsoft's Swin a stage ends with patch merging, in timm's it starts with it.
        merging = re.sub(r"^layers_(\d)\.downsample\.", lambda part: f"layers.{int(part[1]) - 1}.downsample.", timms)
        microsofts = re.sub(r"^layers_(\d)\.", r"layers.\1.", merging)
        found[ours] = BACKBONE_PREFIX + (timms if BACKBONE_PREFIX + timms in theirs else microsofts)
    return found


def translate_head(tensors: Mapping[str, Tensor], *, wanted: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """Return the tensors of a head by our names.

    Args:
        tensors: tensors by the release's names, with or without `decode_head.`.
        wanted: state dict of the `ReleaseHead`.
    Raises:
        UserError: tensors are missing, have another shape, or are left over; the message names the first three.
    """
    bare = {name.removeprefix(HEAD_PREFIX): tensor for name, tensor in tensors.items()}
    return fitting(bare, head_sources(wanted), wanted=wanted, file=file)


def fitting(
    tensors: Mapping[str, Tensor], sources: Mapping[str, str], *, wanted: Mapping[str, Tensor], file: str
) -> dict[str, Tensor]:
    """Return the tensors by our names and check that they are complete.

    Args:
        sources: names in the file by our names.
        wanted: a state dict; counters of batch norms are taken from it.
    Raises:
        UserError: tensors are missing, have another shape, or are left over; the message names the first three.
    """
    missing = [theirs for theirs in sources.values() if theirs not in tensors and not theirs.endswith(COUNTER)]
    found = {ours: tensors[theirs] for ours, theirs in sources.items() if theirs in tensors}
    misfits = [sources[ours] for ours in found if found[ours].shape != wanted[ours].shape]
    needed = set(sources.values())
    extra = sorted(name for name in tensors if name not in needed and not UNUSED.match(name))
    problems = tensor_problems(missing=missing, misfits=misfits, extra=extra)
    if problems:
        raise UserError(
            "tensor-mismatch",
            f"Expected the {len(sources)} tensors of ECENet's release with this backbone in {file}, but there are "
            f"{problems}; give a complete checkpoint.",
        )
    return {name: tensor for name, tensor in wanted.items() if name.endswith(COUNTER)} | found
