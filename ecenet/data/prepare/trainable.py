"""Conversion of labelled photos, in a folder or a zip file, to a folder that `train` can read."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.images import thumbnail
from ecenet.data.layouts.read import Layout
from ecenet.data.prepare.check import Checked, as_it_is, ready
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.overview import overlaid
from ecenet.data.prepare.unpack import unpack_zip
from ecenet.data.prepare.write import prepare
from ecenet.data.split import LabelledSplit, evenly_spread

SAMPLES, SAMPLE_SIDE = 6, 320
"""Number of photos that are shown under their masks, and their longest side in pixels."""


@dataclass(frozen=True)
class TrainableData:
    """Data that is ready for training."""

    source: Path
    """The given folder, or the folder with the content of the zip file."""
    folder: Path
    """The folder to train on: the source, or the prepared data."""
    checked: Checked
    how: str = ""
    """How the labels were prepared, or "" if they are read directly."""

    @property
    def layout(self) -> Layout:
        return self.checked.layout

    @property
    def class_names(self) -> list[str]:
        return self._splits[0].labels.class_names

    @property
    def class_colors(self) -> list[list[int]]:
        return self._splits[0].labels.class_colors

    @property
    def _splits(self) -> tuple[LabelledSplit, LabelledSplit]:
        assert self.checked.splits is not None
        return self.checked.splits

    def samples(self) -> list[tuple[str, Image.Image]]:
        """Return (split and file name, photo under its mask) of a few photos, evenly spread.

        Raises:
            UserError: a photo cannot be read.
        """
        places = [(split, index) for split in self._splits for index in range(len(split))]
        shown = []
        for number in evenly_spread(len(places), limit=SAMPLES):
            split, index = places[number]
            photo, mask = split.load(index)
            picture = overlaid(thumbnail(photo, max_side=SAMPLE_SIDE), mask, split.labels.class_colors)
            shown.append((f"{split.split}: {split.images[index].name}", picture))
        return shown


def trainable_data(source: Path, *, store: Path, layout: Layout = "folder") -> TrainableData:
    """Check labelled photos, and prepare them in `store` if `train` cannot read them directly.

    Args:
        source: a folder, or a zip file, which is unpacked in `store`.
        store: folder for unpacked and prepared data; the source is not changed.
        layout: layout of a published data set, or `folder` to detect the format.
    Raises:
        UserError: the format is unknown, or the data cannot be used.
    """
    if source.is_file() and source.suffix.lower() == ".zip":
        source = unpack_zip(source, store)
        source.touch()  # mark as used today, see below
    if not source.is_dir():
        raise UserError(
            "data-missing",
            f"Expected a folder or zip file of photos and labels, but {source} is neither; check the path.",
        )
    if layout != "folder":
        return TrainableData(source, source, ready(source, layout))
    checked, refusal = as_it_is(source)
    if checked is not None:
        return TrainableData(source, source, checked)
    out = store / f"{source.resolve().name}-{_listing_hash(source)}"
    try:
        prepared = prepare(source.resolve(), out, PrepareOptions())
    except UserError as error:
        raise (refusal or error) from error
    out.touch()  # mark as used today: unused copies are deleted after some days
    checked = ready(out, "folder")
    checked = replace(checked, notes=[*prepared.notes, *checked.notes])
    return TrainableData(source, out, checked, f"{prepared.kind}: {prepared.how}")


def _listing_hash(root: Path) -> str:
    """Return a hash of the names, sizes and times of all files, so that changed data is prepared again."""
    digest = hashlib.sha256(str(root.resolve()).encode())
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            facts = (Path(folder) / name).lstat()
            digest.update(f"{folder}/{name}|{facts.st_size}|{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
