"""The distinction of classes into objects ("things") and their surroundings ("stuff")."""

from collections.abc import Sequence

import numpy as np

SCENES = frozenset(
    {
        "background",
        "bridge",
        "building",
        "carpet",
        "ceiling",
        "cloud",
        "clouds",
        "curtain",
        "dirt",
        "dirt track",
        "door",
        "earth",
        "fence",
        "field",
        "floor",
        "fog",
        "grass",
        "gravel",
        "ground",
        "hill",
        "house",
        "lake",
        "land",
        "leaves",
        "moss",
        "mountain",
        "mud",
        "path",
        "pavement",
        "pier",
        "platform",
        "playingfield",
        "railing",
        "railroad",
        "river",
        "road",
        "rock",
        "roof",
        "rug",
        "runway",
        "sand",
        "sea",
        "shelf",
        "shelves",
        "sidewalk",
        "sky",
        "skyscraper",
        "snow",
        "stairs",
        "stairway",
        "stone",
        "swimming pool",
        "terrain",
        "track",
        "tree",
        "vegetation",
        "wall",
        "water",
        "waterfall",
        "window",
        "windowpane",
        "wood",
    }
)
"""Names of "stuff" classes in the supported data sets (ADE20K, Cityscapes, CamVid, PASCAL-Context, COCO-Stuff). Where
they differ, as for windows, doors and shelves, everything built into a room counts as stuff. Our choice, used only to
sort lists; no result depends on it."""


def is_scene(name: str) -> bool:
    """Return whether a class is part of the surroundings; unknown names are objects. Variants in COCO-Stuff, such as
    `wall-brick` and `sky-other`, count like their base class."""
    plain = name.strip().lower()
    return plain in SCENES or plain.split("-")[0] in SCENES


def listed_order(names: Sequence[str], *, area: np.ndarray) -> list[int]:
    """Return the order of classes in lists: those of the photo by area, then other objects, then other surroundings,
    each in the order of the weights.

    Args:
        area: (K,) area of each class as a share of the photo.
    """
    present = [int(k) for k in np.argsort(-area, kind="stable") if area[k] > 0]
    absent = [k for k in range(len(names)) if not area[k] > 0]
    return [*present, *sorted(absent, key=lambda k: is_scene(names[k]))]
