"""SegViT as its paper's formulae say, in the plainest torch there is, under the tensor names of published checkpoints.

It shares no code with the package: what both compute must be the same.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, BLOCKS, PATCH = 192, 12, 16
OUT_INDICES = (5, 7, 11)
HEAD_WIDTH, HEADS = 64, 2
SIDE = 64
"""Of images, in pixels."""


class Attention(nn.Module):
    """Only a place for torch's own, which published backbones call `attn.attn`."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(WIDTH, WIDTH // 64, batch_first=True)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn = Attention()
        self.ffn = nn.ModuleDict(
            {"layers": nn.ModuleList([nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH)), nn.Linear(4 * WIDTH, WIDTH)])}
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln1(x)
        x = x + self.attn.attn(y, y, y, need_weights=False)[0]
        first, second = self.ffn["layers"].children()
        return x + second(F.gelu(first(self.ln2(x))))


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, (SIDE // PATCH) ** 2 + 1, WIDTH))
        self.patch_embed = nn.ModuleDict({"projection": nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)})
        self.layers = nn.ModuleList(Block() for _ in range(BLOCKS))

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.patch_embed["projection"](images).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]
        found = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in OUT_INDICES:
                found.append(x)
        return found


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.multihead_attn = nn.ModuleDict({name: nn.Linear(width, width) for name in ("q", "k", "v", "proj")})
        self.linear1, self.linear2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, q: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        q = self.norm1(q + self.self_attn(q, q, q)[0])
        names = self.multihead_attn
        queries, keys, values = (
            names[name](rows).chunk(self.heads, dim=2) for name, rows in (("q", q), ("k", x), ("v", x))
        )
        scores = [torch.einsum("bkd,bnd->bkn", a, b) / a.shape[2] ** 0.5 for a, b in zip(queries, keys, strict=True)]
        read = [score.softmax(dim=2) @ value for score, value in zip(scores, values, strict=True)]
        q = self.norm2(q + names["proj"](torch.cat(read, dim=2)))
        q = self.norm3(q + self.linear2(F.relu(self.linear1(q))))
        return q, torch.stack(scores).mean(dim=0)


class Head(nn.Module):
    def __init__(self, *, classes: int, layers: int) -> None:
        super().__init__()
        self.q = nn.Embedding(classes, HEAD_WIDTH)
        self.class_embed = nn.Linear(HEAD_WIDTH, classes + 1)
        for number in (1, 2, 3):
            self.add_module(f"input_proj_{number}", nn.Linear(WIDTH, HEAD_WIDTH))
            self.add_module(f"proj_norm_{number}", nn.LayerNorm(HEAD_WIDTH))
            stack = nn.ModuleList(Layer(HEAD_WIDTH, HEADS) for _ in range(layers))
            self.add_module(f"decoder_{number}", nn.ModuleDict({"layers": stack}))
        criterion = nn.Module()
        criterion.register_buffer("empty_weight", torch.ones(classes + 1))
        self.loss_decode = nn.ModuleDict({"criterion": criterion})


class ReferenceSegViT(nn.Module):
    """Its state dict has the names, and but for the sizes the shapes, of a published one."""

    def __init__(self, *, classes: int, layers: int = 2, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.backbone = Backbone()
            self.decode_head = Head(classes=classes, layers=layers)
            for parameter in self.parameters():  # biases and norms, too, must differ from one another
                parameter.data += 0.05 * torch.randn_like(parameter)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """For each stage, from the deepest features on: scores (B, K, h, w), their sum so far, the embeddings that
        leave it (B, K, D), and the map (B, K, h, w) that they and the summed masks make, Σ P(class | q) · σ(mask)."""
        head: Any = self.decode_head
        q = head.q.weight.expand(len(images), -1, -1)
        total, found = 0, []
        for number, features in enumerate(reversed(self.backbone(images)), start=1):
            x = getattr(head, f"proj_norm_{number}")(getattr(head, f"input_proj_{number}")(features))
            for layer in getattr(head, f"decoder_{number}")["layers"]:
                q, scores = layer(q, x)
            scores = scores.unflatten(2, (SIDE // PATCH, SIDE // PATCH))
            total = total + scores
            classes = head.class_embed(q).softmax(dim=2)[..., :-1]
            found.append((scores, total, q, torch.einsum("bqc,bqhw->bchw", classes, total.sigmoid())))
        return found


CONFIG = f"""img_norm_cfg = dict(
    mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True)
model = dict(
    type='EncoderDecoder',
    backbone=dict(type='VisionTransformer', num_heads=3, out_indices={list(OUT_INDICES)}),
    decode_head=dict(type='ATMHead', num_heads={HEADS}, in_channels={WIDTH}))
"""
"""As mmcv notes it in a checkpoint's `meta`."""


def write_checkpoint(path: Path, reference: ReferenceSegViT, **changes: Any) -> Path:
    """As mmcv saves one; `changes` are further entries of `meta`."""
    meta = {"mmseg_version": "0.24.0", "iter": 160000, "config": CONFIG, **changes}
    torch.save({"meta": meta, "state_dict": reference.state_dict()}, path)
    return path


def published_tensors(width: int, depth: int, side: int, classes: int) -> dict[str, Tensor]:
    """Names and shapes as mmsegmentation's ViT and the authors' head define them, on the meta device."""
    half = width // 2
    shapes: dict[str, tuple[int, ...]] = {}
    shapes["backbone.cls_token"] = (1, 1, width)
    shapes["backbone.pos_embed"] = (1, (side // PATCH) ** 2 + 1, width)

    def linear(name: str, out: int, into: int, *, joined: bool = False) -> None:
        mark = "_" if joined else "."
        shapes[f"{name}{mark}weight"], shapes[f"{name}{mark}bias"] = (out, into), (out,)

    def norm(name: str, size: int) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (size,)

    shapes["backbone.patch_embed.projection.weight"] = (width, 3, PATCH, PATCH)
    shapes["backbone.patch_embed.projection.bias"] = (width,)
    for block in range(depth):
        at = f"backbone.layers.{block}"
        norm(f"{at}.ln1", width)
        linear(f"{at}.attn.attn.in_proj", 3 * width, width, joined=True)
        linear(f"{at}.attn.attn.out_proj", width, width)
        norm(f"{at}.ln2", width)
        linear(f"{at}.ffn.layers.0.0", 4 * width, width)
        linear(f"{at}.ffn.layers.1", width, 4 * width)
    shapes["decode_head.q.weight"] = (classes, half)
    linear("decode_head.class_embed", classes + 1, half)
    shapes["decode_head.loss_decode.criterion.empty_weight"] = (classes + 1,)
    for stage in (1, 2, 3):
        linear(f"decode_head.input_proj_{stage}", half, width)
        norm(f"decode_head.proj_norm_{stage}", half)
        for layer in range(3):
            at = f"decode_head.decoder_{stage}.layers.{layer}"
            linear(f"{at}.self_attn.in_proj", 3 * half, half, joined=True)
            linear(f"{at}.self_attn.out_proj", half, half)
            for part in ("q", "k", "v", "proj"):
                linear(f"{at}.multihead_attn.{part}", half, half)
            linear(f"{at}.linear1", 4 * half, half)
            linear(f"{at}.linear2", half, 4 * half)
            for number in (1, 2, 3):
                norm(f"{at}.norm{number}", half)
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
