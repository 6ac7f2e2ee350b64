"""Architecture and tensor names of the checkpoints of SegViT's authors.

Their names start with `backbone.` (mmsegmentation's plain ViT) and `decode_head.` (the authors' ATMHead).
"""

import re
from collections.abc import Iterable, Mapping
from math import isqrt
from typing import NamedTuple

from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.inference.convert.mmseg_file import Published, stated
from ecenet.model.config import SegViTConfig
from ecenet.model.tensor_files import tensor_problems

BACKBONES = {
    (192, 12): "vit_tiny_patch16_384",
    (384, 12): "vit_small_patch16_384",
    (768, 12): "vit_base_patch16_384",
    (1024, 24): "vit_large_patch16_384",
}
"""timm's name by width and number of blocks."""
PATCH = 16
LAYERS = {12: (5, 7, 11), 24: (7, 15, 23)}
"""Blocks that the authors use as stages, by number of blocks."""
HEAD_DIM = 32
"""Width of an attention head in the authors' configurations."""
UNUSED = ("backbone.cls_token", "decode_head.loss_decode.criterion.empty_weight")
"""Tensors that are not needed for prediction: a token that their backbone drops, and weights of their loss."""
KINDS = ("weight", "bias")
BLOCKS = r"backbone\.layers\.(\d+)\."


class Source(NamedTuple):
    """The source of a tensor."""

    name: str
    third: int | None = None
    """0, 1 or 2 if the source concatenates query, key and value along the first axis."""
    skip: int = 0
    """Number of leading entries of the second axis to drop."""

    def take(self, tensors: Mapping[str, Tensor]) -> Tensor:
        tensor = tensors[self.name]
        if self.third is not None and tensor.ndim and len(tensor) % 3 == 0:
            tensor = tensor.chunk(3)[self.third]
        return tensor[:, self.skip :] if self.skip else tensor


def architecture(
    published: Published, *, out_indices: tuple[int, ...] | None = None, num_heads: int | None = None
) -> SegViTConfig:
    """Determine the architecture of a checkpoint from the shapes of its tensors.

    Args:
        out_indices, num_heads: these cannot be determined from shapes; by default those in the checkpoint's
            configuration, or else the authors' published ones.
    Raises:
        UserError: the checkpoint belongs to another model, or the backbone does not have these blocks.
    """
    file, tensors = published.file, published.tensors
    if any(name.startswith("decode_head.atm.") for name in tensors):
        raise UserError(
            "wrong-file",
            f"Expected a plain SegViT, got the Shrunk variant in {file} (decode_head.atm.*), which is another network; "
            "give a checkpoint of the plain variant.",
        )
    width, _, patch, _ = _shape(published, "backbone.patch_embed.projection.weight", rank=4)
    _, positions, _ = _shape(published, "backbone.pos_embed", rank=3)
    _, embed_dim = _shape(published, "decode_head.q.weight", rank=2)
    depth = _count(tensors, BLOCKS)
    stages = _count(tensors, r"decode_head\.decoder_(\d+)\.")
    layers = _count(tensors, r"decode_head\.decoder_1\.layers\.(\d+)\.")
    side = isqrt(max(positions - 1, 0))
    if (width, depth) not in BACKBONES or patch != PATCH or side**2 != positions - 1:
        known = ", ".join(f"{w}×{d}" for w, d in BACKBONES)
        raise UserError(
            "wrong-file",
            f"Expected a ViT of width × blocks among {known}, with patches of {PATCH} and a square grid of position "
            f"embeddings, in {file}, got {width}×{depth}, {patch} and {positions}; give another checkpoint.",
        )
    if out_indices is None:
        out_indices = tuple(stated(published, "model", "backbone", "out_indices", kind=list) or LAYERS[depth])
    if len(out_indices) != stages or not all(type(index) is int and 0 <= index < depth for index in out_indices):
        raise UserError(
            "out-of-range",
            f"Expected {stages} blocks of 0 … {depth - 1} as --out-indices, one for each stage of {file}, "
            f"got {', '.join(map(str, out_indices))}; give those of the training.",
        )
    if num_heads is None:
        said = stated(published, "model", "decode_head", "num_heads", kind=int)
        num_heads = said or max(1, embed_dim // HEAD_DIM)
    return SegViTConfig(
        backbone=BACKBONES[width, depth],
        out_indices=out_indices,
        position_side=side * PATCH,
        embed_dim=embed_dim,
        num_heads=num_heads,
        num_layers=layers,
        position_antialias=False,
    )


def _shape(published: Published, name: str, *, rank: int) -> tuple[int, ...]:
    tensor = published.tensors.get(name)
    if tensor is None or tensor.ndim != rank:
        came = "none" if tensor is None else f"one of {tensor.ndim}"
        raise UserError(
            "wrong-file",
            f"Expected a checkpoint of SegViT, with {name} of {rank} axes, but {published.file} has {came} (its first "
            f"tensor is {next(iter(published.tensors))}); give a checkpoint of SegViT's authors.",
        )
    return tuple(tensor.shape)


def _count(names: Iterable[str], pattern: str) -> int:
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def sources(config: SegViTConfig) -> dict[str, Source]:
    """Return the source of every tensor, by our name. Their stages are numbered from the deepest, ours from the
    shallowest."""
    found = {"learned_embeddings": Source("decode_head.q.weight")}
    vit = "backbone.network.model"
    found[f"{vit}.pos_embed"] = Source("backbone.pos_embed", skip=1)  # drops the class token's
    pairs = {f"{vit}.patch_embed.proj": "backbone.patch_embed.projection", "classify": "decode_head.class_embed"}
    for block in range(max(config.out_indices) + 1):
        ours, theirs = f"{vit}.blocks.{block}", f"backbone.layers.{block}"
        pairs |= {
            f"{ours}.norm1": f"{theirs}.ln1",
            f"{ours}.attn.proj": f"{theirs}.attn.attn.out_proj",
            f"{ours}.norm2": f"{theirs}.ln2",
            f"{ours}.mlp.fc1": f"{theirs}.ffn.layers.0.0",
            f"{ours}.mlp.fc2": f"{theirs}.ffn.layers.1",
        }
        # timm also concatenates query, key and value in this order.
        found |= {f"{ours}.attn.qkv.{kind}": Source(f"{theirs}.attn.attn.in_proj_{kind}") for kind in KINDS}
    stages = len(config.out_indices)
    for level in range(stages):
        number = stages - level
        pairs[f"project.{level}.0"] = f"decode_head.input_proj_{number}"
        pairs[f"project.{level}.1"] = f"decode_head.proj_norm_{number}"
        for layer in range(config.num_layers):
            ours, theirs = f"decode.{level}.layers.{layer}", f"decode_head.decoder_{number}.layers.{layer}"
            pairs |= {
                f"{ours}.among.project": f"{theirs}.self_attn.out_proj",
                f"{ours}.among_norm": f"{theirs}.norm1",
                f"{ours}.read.query": f"{theirs}.multihead_attn.q",
                f"{ours}.read.key": f"{theirs}.multihead_attn.k",
                f"{ours}.read.value": f"{theirs}.multihead_attn.v",
                f"{ours}.read.project": f"{theirs}.multihead_attn.proj",
                f"{ours}.read_norm": f"{theirs}.norm2",
                f"{ours}.ffn.0": f"{theirs}.linear1",
                f"{ours}.ffn.3": f"{theirs}.linear2",
                f"{ours}.ffn_norm": f"{theirs}.norm3",
            }
            for third, part in enumerate(("query", "key", "value")):
                found |= {
                    f"{ours}.among.{part}.{kind}": Source(f"{theirs}.self_attn.in_proj_{kind}", third) for kind in KINDS
                }
    return found | {f"{ours}.{kind}": Source(f"{theirs}.{kind}") for ours, theirs in pairs.items() for kind in KINDS}


def translate(
    published: Published, config: SegViTConfig, *, wanted: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors by our names, and the names of those that are not needed for prediction.

    Args:
        wanted: state dict of the model, a plain SegViT.
    Raises:
        UserError: tensors are missing, have another shape, or are left over.
    """
    places, theirs = sources(config), published.tensors
    assert places.keys() == wanted.keys(), "a plain SegViT has these tensors and no others"
    needed = {source.name for source in places.values()}
    depth = _count(theirs, BLOCKS)
    behind = tuple(f"backbone.layers.{block}." for block in range(max(config.out_indices) + 1, depth))
    unused = [name for name in theirs if name in UNUSED or name.startswith(behind)]
    missing = sorted(needed - theirs.keys())
    extra = [name for name in theirs if name not in needed and name not in unused]
    found = {name: source.take(theirs) for name, source in places.items() if source.name in theirs}
    misfits = list(dict.fromkeys(places[name].name for name in found if found[name].shape != wanted[name].shape))
    problems = tensor_problems(missing=missing, misfits=misfits, extra=extra)
    if problems:
        raise UserError(
            "wrong-file",
            f"Expected the tensors of a plain SegViT on {config.backbone} in {published.file}, but there are "
            f"{problems}; give a checkpoint of SegViT's authors.",
        )
    return found, unused
