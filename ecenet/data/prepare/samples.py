"""What every reader of labelled photos answers with."""

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
"""Names of folders and lists → of our splits."""
BACKGROUND = ("background", "_background_", "__background__")
"""What tools call pixels that belong to nothing."""
IGNORED = ("__ignore__", "ignore", "void")
"""And those that nobody has labelled."""


class Region(NamedTuple):
    """One labelled region: outlines, or runs of pixels."""

    label: str
    outlines: tuple[tuple[float, ...], ...] = ()
    """Each x₀ y₀ x₁ y₁ … in pixels; the region is all that lies in one of them."""
    runs: Any = None
    """COCO's run-length encoding, of the whole image."""


@dataclass(frozen=True)
class Sample:
    """One photo with its labels: a mask file, or regions."""

    image: Path
    split: str | None = None
    """One of ours, where the source has splits."""
    folder: str = ""
    """What tells it apart from photos of the same name, such as `tile-1`."""
    mask: Path | None = None
    regions: tuple[Region, ...] = ()
    size: tuple[int, int] | None = None
    """(width, height) of the photo that the regions were drawn on; where it is not said, the photo's own."""


@dataclass(frozen=True)
class Found:
    """Labelled photos of one kind."""

    kind: str
    samples: list[Sample]
    classes: ClassList = field(default_factory=ClassList)
    """As far as the source names them. Of regions all labels, in the order of the classes."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""

    @property
    def has_masks(self) -> bool:
        """Mask files rather than regions."""
        return any(sample.mask is not None for sample in self.samples)


Rest = Literal["background", "ignore"]
"""What pixels are that no region covers."""


def split_in(parts: tuple[str, ...]) -> str | None:
    """Of a path's folders, the one that names a split."""
    return next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), None)


def natural_classes(labels: list[str]) -> list[str]:
    """Each label once, in alphabetic order, those of the background first and those to ignore left out."""
    return background_first(sorted({label for label in labels if label.lower() not in IGNORED}))


def background_first(names: Iterable[str]) -> list[str]:
    """The same names after `background`, which takes the place of whatever tools call so."""
    return ["background", *(name for name in names if name.lower() not in BACKGROUND)]
