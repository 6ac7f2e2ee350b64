"""Things and scenes: which classes are countable objects, and which are the surfaces and surroundings they stand in."""

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
"""Names of "stuff" in the data sets that this package reads (ADE20K, Cityscapes, CamVid, PASCAL-Context, COCO-Stuff).
Where they differ, as about windows, doors and shelves, what is built into a room counts as the scene. Ours, and there
only to put lists in order: no number depends on it."""


def is_scene(name: str) -> bool:
    """Whether a class is of a scene rather than a thing; unknown names are things. COCO-Stuff's variants, such as
    `wall-brick` and `sky-other`, count as what they are variants of."""
    plain = name.strip().lower()
    return plain in SCENES or plain.split("-")[0] in SCENES


def listed_order(names: Sequence[str], *, area: np.ndarray) -> list[int]:
    """In which order a list offers classes: those of the photo by their area, then other things, then other scenes,
    each in the order of the weights.

    Args:
        area: (K,) share of the photo that each class has.
    """
    present = [int(k) for k in np.argsort(-area, kind="stable") if area[k] > 0]
    absent = [k for k in range(len(names)) if not area[k] > 0]
    return [*present, *sorted(absent, key=lambda k: is_scene(names[k]))]
