"""Inspection of labelled photos: what was found, what training would reject, and which command to run next."""

import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.data.images import image_size
from ecenet.data.inspection.class_table import check_learnable, class_table, splits_doubts
from ecenet.data.inspection.report import splits_report
from ecenet.data.layouts.read import Layout, read_data
from ecenet.data.prepare.find import find_labelled
from ecenet.data.prepare.formats.hugging_face import local_source
from ecenet.data.prepare.labels_of import Labels, labels_of
from ecenet.data.prepare.mask_values import parallel
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.samples import Found
from ecenet.data.split import LabelledSplit, mask_counts, pixel_counts

MARKS: dict[Layout, tuple[str, ...]] = {
    "folder": ("images", "masks", "classes.json"),
    "ade20k": ("images/training", "annotations/training"),
    "cityscapes": ("leftImg8bit", "gtFine"),
    "camvid": ("701_StillsRaw_full", "LabeledApproved_full"),
    "voc2012": ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"),
}
"""Paths that identify the layouts that `train` reads directly."""


@dataclass(frozen=True)
class Checked:
    """The result of inspecting a folder."""

    title: str
    table: str = ""
    notes: list[str] = field(default_factory=list)
    refusal: str = ""
    """Why `train` cannot read it directly, or ""."""
    command: str = ""
    """Command to run next."""
    splits: tuple[LabelledSplit, LabelledSplit] | None = None
    """Training and validation split, if `train` can read it directly."""
    layout: Layout = "folder"
    """Layout of these splits."""
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    """Pixels by split, as in `class_table`."""

    def report(self) -> str:
        """Return the report as text."""
        lines = [self.title, self.table, *(f"Note: {note}" for note in self.notes)]
        if self.refusal:
            lines.append(f"Training cannot read it directly: {self.refusal}")
        return "\n".join(line for line in [*lines, f"Next: {self.command}"] if line)


def check(root: Path, options: PrepareOptions) -> Checked:
    """Inspect labelled photos in any supported format. Every mask is read.

    Raises:
        UserError: the format is unknown, or none of the data is usable.
    """
    with local_source(root) as folder:
        return _checked(folder, options, name=root)


def _checked(root: Path, options: PrepareOptions, *, name: Path) -> Checked:
    """Inspect a local folder.

    Args:
        name: the path given by the user.
    """
    refusal = None
    if options == PrepareOptions() and name == root:
        checked, refusal = as_it_is(root)
        if checked is not None:
            return checked
    found = find_labelled(root, images=options.images, masks=options.masks)
    labels = labels_of(found, options)
    sizes, counts, problems = _looked_at(found, labels)
    splits = [sample.split or "all" for sample in found.samples]
    of_split = {
        split: counts[[number for number, own in enumerate(splits) if own == split]] for split in dict.fromkeys(splits)
    }
    notes = [*found.notes, *splits_doubts(labels.classes.names, of_split)]
    if labels.encoding is not None and labels.encoding.doubtful:
        notes.append(
            f"{labels.encoding.doubtful:.2%} of the pixels have values between classes; the nearest class is used."
        )
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:3])
        notes.append(f"{len(problems)} photos cannot be used:{shown}")
    title = f"{found.kind}: {len(found.samples)} photos, {_sizes(sizes)}; {labels.how}."
    out = root.resolve().with_name(f"{root.resolve().name}-prepared")
    if name != root:
        out = Path(f"{name.name.partition(':')[0]}-prepared")  # a data set of the Hub
    words = ["python", "-m", "ecenet", "data", "prepare", str(name), "--out", str(out), *_option_words(options)]
    return Checked(title, class_table(labels.classes.names, of_split), notes, str(refusal or ""), shlex.join(words))


def as_it_is(root: Path) -> tuple[Checked | None, UserError | None]:
    """Inspect a folder that `train` can read directly. Returns the result, or the error if the folder has a known
    layout but cannot be read."""
    refusal: UserError | None = None
    for layout, marks in MARKS.items():
        if all((root / mark).exists() for mark in marks):
            try:
                return ready(root, layout), None
            except UserError as error:
                refusal = refusal or error
    return None, refusal


def ready(root: Path, layout: Layout) -> Checked:
    """Inspect a folder in a layout of `train`.

    Raises:
        UserError: it cannot be read.
    """
    train, val = (read_data(root, split, layout=layout) for split in ("train", "val"))
    counts, val_counts = pixel_counts(train), pixel_counts(val)
    check_learnable(train, counts)
    table, doubts = splits_report(train, val, counts, val_counts)
    words = ["python", "-m", "ecenet", "train", "--data", str(root)]
    words += [] if layout == "folder" else ["--layout", layout]
    words += ["--start-from", DEFAULT_WEIGHTS, "--out", f"runs/{root.resolve().name}"]
    title = f"Ready for training, layout {layout}: {len(train)} photos for training, {len(val)} for validation."
    of_split = {"train": counts, "val": val_counts}
    return Checked(title, table, doubts, command=shlex.join(words), splits=(train, val), layout=layout, counts=of_split)


def _looked_at(found: Found, labels: Labels) -> tuple[list[tuple[int, int]], np.ndarray, list[str]]:
    """Return the sizes of the photos, (samples, K + 1) pixels, and problems with photos."""
    classes = len(labels.classes.names)

    def look(number: int) -> tuple[tuple[int, int], np.ndarray, str]:
        sample, counts = found.samples[number], np.zeros(classes + 1, np.int64)
        try:
            size = image_size(sample.image)
            if labels.counts is not None:
                return size, labels.counts[number], _size_problem(found, number, size)
            return size, mask_counts(labels.mask_of(sample), classes), ""
        except UserError as error:
            return (0, 0), counts, str(error)

    answers = parallel(look, range(len(found.samples)), title="Checking", unit="photo")
    sizes, counts, problems = zip(*answers, strict=True)
    return list(sizes), np.stack(counts), [problem for problem in problems if problem]


def _size_problem(found: Found, number: int, size: tuple[int, int]) -> str:
    """Describe a wrong size of a mask file, or return "". Masks that fit the photo before its rotation are rotated
    later."""
    sample = found.samples[number]
    assert sample.mask is not None
    own = image_size(sample.mask)
    if own in (size, size[::-1]):
        return ""
    return f"{sample.mask} has {own[0]}×{own[1]} pixels, its photo {sample.image} {size[0]}×{size[1]}"


def _sizes(sizes: list[tuple[int, int]]) -> str:
    counted = Counter(size for size in sizes if size != (0, 0)).most_common()
    if not counted:
        return "none of them readable"
    if len(counted) == 1:
        return f"all {counted[0][0][0]}×{counted[0][0][1]}"
    widths, heights = zip(*(size for size, _ in counted), strict=True)
    return f"{min(widths)}×{min(heights)} to {max(widths)}×{max(heights)}"


def _option_words(options: PrepareOptions) -> list[str]:
    words: list[str] = []
    for name in ("classes", "images", "masks", "unknown", "rest"):
        value = getattr(options, name)
        if value != getattr(PrepareOptions(), name):
            words += [f"--{name}", str(value)]
    return words
