"""Small models and data folders that tests make for themselves."""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from ecenet.data.colors import class_colors, seen_by_all
from ecenet.model.config import ReleaseConfig, SegViTConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.release import ECENetRelease
from ecenet.model.segvit import SegViT
from ecenet.training.config import DataConfig, ModelConfig, StartConfig, TrainConfig

CLASS_NAMES = ["sky", "grass", "cat"]
CLASS_COLORS = [[70, 130, 180], [60, 160, 60], [220, 120, 40]]
ABOUT: dict[str, Any] = {
    "class_names": CLASS_NAMES,
    "class_colors": CLASS_COLORS,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
"""What the small models have in common."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from `seed` on, and afterwards as if none had been drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def small_model(
    *,
    image_size: int | None = 64,
    seed: int = 0,
    config: ModelConfig | None = None,
    class_names: Sequence[str] = CLASS_NAMES,
) -> ECENet:
    """Random weights, the same for the same seed. All stages are equally wide by default: those of narrow random stages
    call everything the same class.
    """
    colors = CLASS_COLORS if class_names == CLASS_NAMES else class_colors(class_names)
    about = ABOUT | {"class_names": list(class_names), "class_colors": colors}
    with seeded(seed):
        return ECENet(config or ModelConfig(embed_dim=16, taper=False), **about, image_size=image_size)


PLAIN = ModelConfig(embed_dim=16, taper=False, stand_ins=False)
"""For `small_model`: embeddings are of masks alone."""

SWITCHES: list[dict[str, Any]] = [
    {"extraction": "logits"},
    {"attention": "negated"},
    {"updater": "gated_addition"},
    {"reconstruction": "release"},
    {"gate_bias": 3.0},
    {"candidate": "deepest"},
]
SWITCHES.append({name: value for switch in SWITCHES for name, value in switch.items()})
"""Fields of `ModelConfig`: the steps from our design to the authors' release and two of ours, one by one and all
together."""

SMALL_SEGVIT = SegViTConfig(
    backbone="vit_tiny_patch16_224",
    out_indices=(0, 1),
    position_side=64,
    embed_dim=16,
    num_heads=2,
    num_layers=2,
    dropout=0.0,
)
EXPLICIT: dict[str, Any] = {"embeddings": "explicit", "updater": "gated"}
"""What ECENet puts into a SegViT."""


def small_segvit(*, image_size: int | None = 64, seed: int = 0, **overrides: Any) -> SegViT:
    """As `small_model`; overrides are fields of `SegViTConfig`."""
    with seeded(seed):
        return SegViT(replace(SMALL_SEGVIT, **overrides), **ABOUT, image_size=image_size).eval()


SMALL_RELEASE = ReleaseConfig(
    backbone="mobilenetv2_035",
    out_indices=(1, 2, 3, 4),
    embed_dim=16,
    num_heads=2,
    dropout=0.0,
    drop_path=0.0,
)
"""The authors' release on a small backbone."""


def small_release(*, image_size: int | None = 64, seed: int = 0, **overrides: Any) -> ECENetRelease:
    """As `small_model`; overrides are fields of `ReleaseConfig`."""
    with seeded(seed):
        return ECENetRelease(replace(SMALL_RELEASE, **overrides), **ABOUT, image_size=image_size).eval()


def noise_image(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """RGB noise in coarse blocks: something that a random network tells apart."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 32, height: int = 24) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], axis=-1).astype(np.uint8))


def write_classes(root: Path, *, names: list[str] = CLASS_NAMES) -> None:
    classes = [{"name": name, "color": [10 * index % 256, 100, 200]} for index, name in enumerate(names)]
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(json.dumps({"name": "tiny", "classes": classes}), encoding="utf-8")


def write_pair(
    root: Path, split: str, name: str, mask: np.ndarray, *, image: Image.Image | None = None, suffix: str = ".png"
) -> None:
    """One image (noise of the mask's size by default) and its mask."""
    image = image or noise_image(mask.shape[1], mask.shape[0], seed=len(name))
    for folder in ("images", "masks"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    image.save(root / "images" / split / f"{name}{suffix}")
    Image.fromarray(mask).save(root / "masks" / split / f"{name}.png")


def write_folder(root: Path, *, splits: tuple[str, ...] = ("train", "val"), images: int = 6, side: int = 64) -> Path:
    """Upper part sky, lower part grass or cat, a frame of ignored pixels; colours follow the labels."""
    write_classes(root)
    palette = np.array([[90, 140, 220], [60, 150, 50], [200, 110, 30]], dtype=np.uint8)
    for split in splits:
        for index in range(images):
            mask = np.zeros((side, side), dtype=np.uint8)
            mask[side // 4 + 4 * index :] = 1 + index % 2
            image = Image.fromarray(palette[mask])
            mask[:2] = mask[:, :2] = 255
            write_pair(root, split, f"{index}", mask, image=image)
    return root


def tiny_training(data: Path, out: Path, **changes: Any) -> TrainConfig:
    """Six small steps on a folder such as `write_folder` makes; changes as for `changed`."""
    config = TrainConfig(
        data=DataConfig(data, image_size=64, crop_size=32, workers=0),
        out=out,
        start=StartConfig(pretrained=False),
        model=ModelConfig(embed_dim=8),
        steps=6,
        batch_size=2,
    )
    return changed(config, **changes)


def write_backbone(path: Path) -> Path:
    """A file of weights for the backbone of `tiny_training`: random ones, which nobody can tell from pretrained."""
    backbone = small_model(config=ModelConfig(embed_dim=8)).backbone
    save_file(backbone.network.state_dict(), path)
    return path


def changed(config: TrainConfig, **changes: Any) -> TrainConfig:
    """Other settings, named as on the command line, whatever group they are in; `model`, `release` and `segvit` are
    whole."""
    if "data" in changes:
        changes["folder"] = changes.pop("data")
    for name in ("data", "start", "optimizer", "loss"):
        group = getattr(config, name)
        own = {field.name: changes.pop(field.name) for field in fields(group) if field.name in changes}
        config = replace(config, **{name: replace(group, **own)})
    return replace(config, **changes)


def least_distance(colors: Sequence[Sequence[int]]) -> float:
    """CIE Lab's, of the two that are most alike to the eyes that tell them apart worst."""
    seen = seen_by_all(np.array(colors))
    distances = np.linalg.norm(seen[:, :, None] - seen[:, None, :], axis=-1).min(axis=0)
    return float(distances[np.triu_indices(len(colors), 1)].min())


def write_leaves(path: Path, *, photos: int = 8, side: int = 96) -> Path:
    """Green photos with an orange square, and masks of 0 and 255 beside them, below a folder, without a split."""
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(photos):
            mask = np.zeros((side, side), np.uint8)
            mask[20 + 3 * number :, 10 : 50 + 4 * number] = 255
            photo = np.where(mask[..., None] > 0, (220, 120, 40), (60, 160, 60)).astype(np.uint8)
            packed.writestr(f"leaves/photo {number}.jpg", encode(Image.fromarray(photo), "JPEG"))
            packed.writestr(f"leaves/photo {number}_mask.png", encode(Image.fromarray(mask), "PNG"))
    return path
