"""PASCAL-Context: the 59 most frequent of its 459 classes, alone or with everything else as background.

`trainval/*.mat` (`LabelMap`, 16-bit indices) and `labels.txt` (`index: name`) from the publisher of the annotations,
`JPEGImages/*.jpg` and `ImageSets` from VOC 2010. The usual split is that of VOC's main task: 4,998 images to train,
5,105 to validate.

The order of the classes is that of the publisher's `59_labels.txt`, their names are those of `labels.txt`; the two
spell three classes differently (table, cloth, bedclothes). Colours continue VOC's own colour map.
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
    """Pair the files that one split lists.

    Args:
        root: the folder VOC2010, VOCdevkit, or the one around that; the annotations lie there or in VOC2010.
        split: `train` or `val`, as listed beside the annotations, else in `ImageSets/SegmentationContext`, else in
            `ImageSets/Main`.
        background: 60 classes, class 0 is whatever is none of the 59; otherwise that is ignored.
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
            f"{'is' if len(absent) == 1 else 'are'} not among its {len(indices)}; fetch the file again.",
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
    """The 59 classes behind a class 0 for everything else."""
    return LabelSet(
        name=f"PASCAL-Context ({labels.num_classes + 1} classes)",
        class_names=["background", *labels.class_names],
        class_colors=[[0, 0, 0], *labels.class_colors],
    )


def read_label_indices(path: Path) -> dict[str, int]:
    """Name → index in the publisher's masks, from lines of `index: name`.

    Raises:
        UserError: the file is missing, or holds other lines.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        entries = [line.split(":", maxsplit=1) for line in lines]
        return {name.strip(): int(index) for index, name in entries}
    except (OSError, ValueError) as error:
        raise UserError(
            "invalid-labels",
            f"Expected lines of 'index: name' in {path}, but it cannot be read so ({error}); "
            "put the publisher's labels.txt there.",
        ) from error


def read_label_map(path: Path, *, table: np.ndarray) -> np.ndarray:
    """A MATLAB file's `LabelMap` → (H, W) uint8 class indices.

    Raises:
        UserError: the file cannot be read, lacks the map, or holds an index that `labels.txt` does not.
    """
    try:
        label_map = loadmat(path, variable_names=["LabelMap"])["LabelMap"]
    except Exception as error:  # on damaged files SciPy's reader raises almost anything
        raise UserError(
            "file-damaged",
            f"Expected a MATLAB file with LabelMap, but {path} is none that can be read; unpack it again.",
        ) from error
    if label_map.ndim != 2 or label_map.dtype.kind != "u":
        raise UserError(
            "wrong-file",
            f"Expected LabelMap in {path} to be a matrix of unsigned integers, but it has shape {label_map.shape} and "
            f"type {label_map.dtype}; unpack it again.",
        )
    return renumber(label_map, table, path)
