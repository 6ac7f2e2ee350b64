"""Default colours of common classes."""

USUAL_COLORS = {
    "background": (0, 0, 0),
    "aeroplane": (137, 0, 255),
    "bicycle": (177, 0, 196),
    "bird": (255, 216, 78),
    "boat": (196, 0, 98),
    "bottle": (177, 255, 177),
    "bus": (137, 157, 0),
    "car": (98, 78, 235),
    "cat": (255, 157, 0),
    "chair": (196, 59, 177),
    "cow": (235, 137, 235),
    "table": (59, 98, 216),
    "dog": (157, 216, 255),
    "horse": (157, 118, 157),
    "motorbike": (157, 196, 98),
    "person": (235, 39, 59),
    "potted plant": (0, 216, 157),
    "sheep": (216, 235, 196),
    "sofa": (59, 255, 78),
    "train": (255, 235, 137),
    "tv monitor": (216, 137, 157),
    "wall": (255, 196, 137),
    "building": (255, 157, 137),
    "sky": (39, 196, 255),
    "floor": (177, 118, 98),
    "tree": (20, 118, 20),
    "ceiling": (255, 216, 235),
    "road": (78, 118, 118),
    "bed": (177, 118, 255),
    "window": (255, 20, 157),
    "grass": (98, 216, 0),
    "cabinet": (118, 118, 196),
    "sidewalk": (235, 177, 235),
    "earth": (137, 118, 59),
    "door": (177, 78, 118),
    "mountain": (137, 78, 157),
    "curtain": (20, 177, 78),
    "water": (39, 137, 235),
    "painting": (255, 98, 118),
    "shelf": (177, 78, 78),
    "mirror": (255, 39, 255),
    "rug": (39, 235, 216),
    "plant": (98, 157, 118),
    "flower": (255, 98, 196),
    "sign": (255, 98, 0),
    "book": (216, 157, 59),
}
"""Our choice, found by a search over colours that are neither dark nor pale. Natural surroundings are near their
natural hues. Any two colours have a distance of at least 20 in CIE Lab, and of at least 7.8 for any kind of colour
vision; classes that often touch (wall and floor, person and chair, road and sidewalk) have at least 33 and 13. The
colours of painted classes (`PAINTED_COLORS`) have the same distances to them."""

OTHER_NAMES = {
    "airplane": "aeroplane",
    "bike": "bicycle",
    "bicyclist": "bicycle",
    "bookcase": "shelf",
    "couch": "sofa",
    "dining table": "table",
    "diningtable": "table",
    "ground": "earth",
    "minibike": "motorbike",
    "motorcycle": "motorbike",
    "pavement": "sidewalk",
    "pedestrian": "person",
    "pottedplant": "potted plant",
    "sea": "water",
    "shelves": "shelf",
    "signboard": "sign",
    "television": "tv monitor",
    "traffic sign": "sign",
    "tv": "tv monitor",
    "tvmonitor": "tv monitor",
    "tv/monitor": "tv monitor",
    "vegetation": "tree",
    "windowpane": "window",
}
"""Other names of these classes in data sets."""


def usual_color(name: str) -> tuple[int, int, int] | None:
    """Return the default colour of a class, or None."""
    plain = name.strip().lower()
    return USUAL_COLORS.get(OTHER_NAMES.get(plain, plain))
