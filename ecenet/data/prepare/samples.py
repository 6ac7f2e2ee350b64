"""The common result type of all readers of labelled photos."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ecenet.data.class_lists import ClassList

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Our split for each name of a folder or list."""
BACKGROUND = ("background", "_background_", "__background__")
"""Names of the background in annotation tools."""
IGNORED = ("__ignore__", "ignore", "void")
"""Names of ignored pixels in annotation tools."""


class Region(NamedTuple):
    """A labelled region, given by outlines or run lengths."""

    label: str
    outlines: tuple[tuple[float, ...], ...] = ()
    """Each is x₀ y₀ x₁ y₁ … in pixels; the region is their union."""
    runs: Any = None
    """COCO's run-length encoding of the whole image."""


@dataclass(frozen=True)
class Sample:
    """A photo with its labels: a mask file, or regions."""

    image: Path
    split: str | None = None
    """Our name of its split, if the source has splits."""
    folder: str = ""
    """Distinguishes photos of the same name, such as `tile-1`."""
    mask: Path | None = None
    regions: tuple[Region, ...] = ()
    size: tuple[int, int] | None = None
    """(width, height) of the image that the regions were drawn on; None for that of the photo."""


@dataclass(frozen=True)
class Found:
    """Labelled photos in one format."""

    kind: str
    samples: list[Sample]
    classes: ClassList = field(default_factory=ClassList)
    """Classes named in the source; for regions all labels, in the order of the classes."""
    notes: list[str] = field(default_factory=list)
    """Notes on omitted data."""

    @property
    def has_masks(self) -> bool:
        """Whether the labels are mask files."""
        return any(sample.mask is not None for sample in self.samples)


Rest = Literal["background", "ignore"]
"""Label of pixels that no region covers."""


def split_in(parts: tuple[str, ...]) -> str | None:
    """Return the split named by a folder of a path, or None."""
    return next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), None)


def natural_classes(labels: list[str]) -> list[str]:
    """Return the distinct labels in alphabetic order, with background first and without ignored labels."""
    return background_first(sorted({label for label in labels if label.lower() not in IGNORED}))


def background_first(names: Iterable[str]) -> list[str]:
    """Return the names with `background` first, which replaces other names of the background."""
    return ["background", *(name for name in names if name.lower() not in BACKGROUND)]
