"""CamVid in SegNet's 11 classes, from its publisher's files or from the copy in SegNet's tutorial.

Publisher: `701_StillsRaw_full/*.png`, `LabeledApproved_full/*_L.png` (colours of 32 classes), without splits; the
common ones are the tutorial's `train.txt`, `val.txt` and `test.txt`, placed beside the two folders.

Tutorial: `<split>/*.png`, `<split>annot/*.png` (8-bit indices, 11 = void).
"""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.layouts.pairing import (
    class_table,
    find_home,
    list_files,
    pair_files,
    published_labels,
    read_list,
    read_renumbered,
)
from ecenet.data.split import LabelledSplit

GROUPS: tuple[dict[str, tuple[int, int, int]], ...] = (
    {"Sky": (128, 128, 128)},
    {
        "Building": (128, 0, 0),
        "Archway": (192, 0, 128),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Wall": (64, 192, 0),
    },
    {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    {"Road": (128, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64)},
    {"Sidewalk": (0, 0, 192), "ParkingBlock": (64, 192, 128), "RoadShoulder": (128, 128, 192)},
    {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    {"SignSymbol": (192, 128, 128), "Misc_Text": (128, 128, 64), "TrafficLight": (0, 64, 64)},
    {"Fence": (64, 64, 128)},
    {
        "Car": (64, 0, 128),
        "OtherMoving": (128, 64, 64),
        "SUVPickupTruck": (64, 128, 192),
        "Train": (192, 64, 128),
        "Truck_Bus": (192, 128, 192),
    },
    {
        "Pedestrian": (64, 64, 0),
        "Animal": (64, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Child": (192, 128, 64),
    },
    {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
)
"""For each of the 11 classes, the publisher's classes that it combines, with their colours in `label_colors.txt`."""
VOID = (0, 0, 0)
UNKNOWN = 254
"""Index of other colours."""


def read_camvid(root: Path | str, split: str) -> LabelledSplit:
    """List one split and pair its files.

    Args:
        root: the folder with the publisher's two folders and the lists, or with the tutorial's folders.
        split: `train`, `val` or `test`.
    Raises:
        UserError: folders, the list, images or masks are missing.
    """
    root = Path(root)
    labels = published_labels("camvid")
    if (root / "trainannot").is_dir() or (root / f"{split}annot").is_dir():
        images = list_files(root / split, "*.png")
        pairs = [(image, root / f"{split}annot" / image.name) for image in images]
        return pair_files(root, split, labels, pairs, partial(read_renumbered, table=class_table(range(11), size=12)))
    stills = find_home([root], holds="701_StillsRaw_full") / "701_StillsRaw_full"
    stems = read_list(root / f"{split}.txt")
    pairs = [(stills / f"{stem}.png", root / "LabeledApproved_full" / f"{stem}_L.png") for stem in stems]
    return pair_files(root, split, labels, pairs, read_colors)


def read_colors(path: Path) -> np.ndarray:
    """Read a mask of the publisher, with colours of 32 classes, as (H, W) uint8 indices of 11 classes, 255 = void.

    Raises:
        UserError: the file cannot be read, or contains another colour.
    """
    try:
        with Image.open(path) as file:
            colors = np.array(file.convert("RGB"))
    except Exception as error:  # Pillow raises many exceptions for damaged files
        raise UserError(
            "file-damaged", f"Expected a PNG of class colours, but {path} cannot be read; unpack it again."
        ) from error
    indices: np.ndarray = _TABLE[_codes(colors)]
    # The channels of all 32 colours are multiples of 64, so six bits identify them.
    unknown = (indices == UNKNOWN) | (colors % 64 != 0).any(axis=-1)
    if unknown.any():
        red, green, blue = colors[unknown][0].tolist()
        raise UserError(
            "unknown-mask-value",
            f"Expected only the 32 colours of label_colors.txt in {path}, but it contains ({red}, {green}, {blue}); "
            "use the publisher's own masks, neither resized nor converted.",
        )
    return indices


def _codes(colors: np.ndarray) -> np.ndarray:
    """Return the two leading bits of each channel, (…, 3) uint8 → (…) in 0 … 63."""
    return colors[..., 0] // 64 * 16 + colors[..., 1] // 64 * 4 + colors[..., 2] // 64


def _color_table() -> np.ndarray:
    table = np.full(64, UNKNOWN, dtype=np.uint8)
    table[_codes(np.array(VOID))] = IGNORE_INDEX
    for index, group in enumerate(GROUPS):
        table[_codes(np.array(list(group.values())))] = index
    return table


_TABLE = _color_table()
