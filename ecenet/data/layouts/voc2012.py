"""PASCAL VOC 2012: 20 classes and the background.

`JPEGImages/*.jpg`, `SegmentationClass/*.png` (palette images of indices, 255 = border) and the lists in
`ImageSets/Segmentation`. The split `train_aug`, which adds the masks of the Semantic Boundaries Dataset, needs
`SegmentationClassAug/*.png` (8-bit indices) and its list, `trainaug.txt` or `train_aug.txt`.
"""

from pathlib import Path

from ecenet.data.layouts.pairing import find_home, pair_files, published_labels, read_list
from ecenet.data.split import LabelledSplit, read_indices


def read_voc2012(root: Path | str, split: str) -> LabelledSplit:
    """Pair the files that one split lists.

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
    # Both spellings are in use for this list, which is not the publisher's.
    name = "trainaug" if augmented and (lists / "trainaug.txt").exists() else split
    folder = home / ("SegmentationClassAug" if augmented else "SegmentationClass")
    stems = read_list(lists / f"{name}.txt")
    pairs = [(home / "JPEGImages" / f"{stem}.jpg", folder / f"{stem}.png") for stem in stems]
    return pair_files(root, split, published_labels("voc2012"), pairs, read_indices)
