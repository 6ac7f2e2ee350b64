"""PASCAL VOC 2012: 20 classes and the background.

`JPEGImages/*.jpg`, `SegmentationClass/*.png` (palette images of indices, 255 = border) and the lists in
`ImageSets/Segmentation`. The split `train_aug`, which adds the masks of the Semantic Boundaries Dataset, needs
`SegmentationClassAug/*.png` (8-bit indices) and its list, `trainaug.txt` or `train_aug.txt`.

Annotation tools export this layout as well; `class_names.txt` then contains the classes, one per line.
"""

from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.labels import LabelSet, read_labels
from ecenet.data.layouts.pairing import files_of_stems, find_home, pair_files, published_labels, read_list
from ecenet.data.split import LabelledSplit, read_indices


def read_voc2012(root: Path | str, split: str) -> LabelledSplit:
    """Pair the files in the list of a split.

    Args:
        root: the folder VOC2012, VOCdevkit, or the one around that.
        split: `train`, `val`, `trainval` or `train_aug`.
    Raises:
        UserError: folders, the list, images or masks are missing.
    """
    root = Path(root)
    home = find_home([root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"], holds="JPEGImages")
    lists = home / "ImageSets" / "Segmentation"
    augmented = split == "train_aug"
    # Both spellings are common for this list, which is not the publisher's.
    name = "trainaug" if augmented and (lists / "trainaug.txt").exists() else split
    folder = home / ("SegmentationClassAug" if augmented else "SegmentationClass")
    labels = _labels(home)
    stems = read_list(lists / f"{name}.txt")
    photos, masks = (
        files_of_stems(home / "JPEGImages", stems, suffix=".jpg"),
        files_of_stems(folder, stems, suffix=".png"),
    )
    return pair_files(root, split, labels, zip(photos, masks, strict=True), read_indices)


def _labels(home: Path) -> LabelSet:
    """Return the classes of VOC, or those written by an annotation tool.

    Raises:
        UserError: the masks contain colours instead of indices, or the file of classes is invalid.
    """
    if (home / "labelmap.txt").is_file():
        raise UserError(
            "wrong-file",
            f"Expected masks of class indices in {home}, but according to its labelmap.txt they contain colours; "
            f"run `python -m ecenet data prepare {home} --out NEW` and train on NEW.",
        )
    if not (home / "class_names.txt").is_file():
        return published_labels("voc2012")
    return read_labels(home / "class_names.txt")
