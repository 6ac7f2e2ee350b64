"""PASCAL-Context: the 59 most frequent of its 459 classes, optionally with everything else as background.

`trainval/*.mat` (`LabelMap`, 16-bit indices) and `labels.txt` (`index: name`) are from the publisher of the
annotations, `JPEGImages/*.jpg` and `ImageSets` from VOC 2010. The common split is that of VOC's main task, with 4,998
images for training and 5,105 for validation.

The order of the classes is that of the publisher's `59_labels.txt`, the names are those of `labels.txt`; the two files
spell three classes differently (table, cloth, bedclothes). Colours continue VOC's colour map.
"""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from ecenet.common.errors import UserError
from ecenet.data.labels import LabelSet
from ecenet.data.layouts.pairing import (
    class_table,
    files_of_stems,
    find_home,
    pair_files,
    published_labels,
    read_list,
    renumber,
)
from ecenet.data.split import LabelledSplit


def read_pascal_context(root: Path | str, split: str, *, background: bool = False) -> LabelledSplit:
    """Pair the files in the list of a split.

    Args:
        root: the folder VOC2010, VOCdevkit, or the one around it; the annotations are there or in VOC2010.
        split: `train` or `val`, listed beside the annotations, in `ImageSets/SegmentationContext` or in
            `ImageSets/Main`.
        background: use 60 classes, with class 0 for everything else, which is ignored otherwise.
    Raises:
        UserError: folders, lists, images or masks are missing, or `labels.txt` lacks a class.
    """
    root = Path(root)
    voc = find_home([root, root / "VOC2010", root / "VOCdevkit" / "VOC2010"], holds="JPEGImages")
    context = find_home([root, voc] if voc != root else [root], holds="trainval")
    sets = voc / "ImageSets"
    lists = [context / f"{split}.txt", sets / "SegmentationContext" / f"{split}.txt", sets / "Main" / f"{split}.txt"]
    stems = read_list(next((path for path in lists if path.exists()), lists[-1]))
    photos = files_of_stems(voc / "JPEGImages", stems, suffix=".jpg")
    pairs = [(photo, context / "trainval" / f"{stem}.mat") for photo, stem in zip(photos, stems, strict=True)]

    labels = published_labels("pascal_context")
    indices = read_label_indices(context / "labels.txt")
    absent = [name for name in labels.class_names if name not in indices]
    if absent:
        raise UserError(
            "invalid-labels",
            f"Expected the publisher's 459 classes in {context / 'labels.txt'}, but {', '.join(absent)} "
            f"{'is' if len(absent) == 1 else 'are'} not among its {len(indices)}; download the file again.",
        )
    values = [indices[name] for name in labels.class_names]
    size = max(indices.values()) + 1
    if background:
        labels = with_background(labels)
        table = class_table(values, size=size, first=1, other=0)
    else:
        table = class_table(values, size=size)
    return pair_files(root, split, labels, pairs, partial(read_label_map, table=table))


def with_background(labels: LabelSet) -> LabelSet:
    """Insert a class 0 for everything else before the 59 classes."""
    return LabelSet(
        name=f"PASCAL-Context ({labels.num_classes + 1} classes)",
        class_names=["background", *labels.class_names],
        class_colors=[[0, 0, 0], *labels.class_colors],
    )


def read_label_indices(path: Path) -> dict[str, int]:
    """Read the index of each class name in the publisher's masks from lines of `index: name`.

    Raises:
        UserError: the file is missing or has another format.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        entries = [line.split(":", maxsplit=1) for line in lines]
        return {name.strip(): int(index) for index, name in entries}
    except (OSError, ValueError) as error:
        raise UserError(
            "invalid-labels",
            f"Expected lines of 'index: name' in {path}, but it cannot be read ({error}); "
            "put the publisher's labels.txt there.",
        ) from error


def read_label_map(path: Path, *, table: np.ndarray) -> np.ndarray:
    """Read the `LabelMap` of a MATLAB file as (H, W) uint8 class indices.

    Raises:
        UserError: the file cannot be read, has no map, or contains an index that is not in `labels.txt`.
    """
    try:
        label_map = loadmat(path, variable_names=["LabelMap"])["LabelMap"]
    except Exception as error:  # SciPy raises many exceptions for damaged files
        raise UserError(
            "file-damaged",
            f"Expected a MATLAB file with LabelMap, but {path} cannot be read as one; unpack it again.",
        ) from error
    if label_map.ndim != 2 or label_map.dtype.kind != "u":
        raise UserError(
            "wrong-file",
            f"Expected LabelMap in {path} to be a matrix of unsigned integers, but it has shape {label_map.shape} and "
            f"type {label_map.dtype}; unpack it again.",
        )
    return renumber(label_map, table, path)
