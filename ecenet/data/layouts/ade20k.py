"""ADE20K as its scene-parsing challenge published it (ADEChallengeData2016): 150 classes.

`images/{training,validation}/*.jpg`, `annotations/{training,validation}/*.png` with 0 = other, 1 … 150 = classes.
"""

from functools import partial
from pathlib import Path

from ecenet.data.layouts.pairing import (
    class_table,
    files_of_stems,
    find_home,
    list_files,
    pair_files,
    published_labels,
    read_renumbered,
)
from ecenet.data.split import LabelledSplit

FOLDERS = {"train": "training", "val": "validation"}
"""The publisher's names of our splits."""


def read_ade20k(root: Path | str, split: str) -> LabelledSplit:
    """List one split and pair its files.

    Args:
        root: the folder ADEChallengeData2016, or the one around it.
        split: `train` or `val`, or the publisher's name for it.
    Raises:
        UserError: folders, images or masks are missing.
    """
    root = Path(root)
    home = find_home([root, root / "ADEChallengeData2016"], holds="images")
    folder = FOLDERS.get(split, split)
    images = list_files(home / "images" / folder, "*.jpg")
    masks = files_of_stems(home / "annotations" / folder, [image.stem for image in images], suffix=".png")
    decode = partial(read_renumbered, table=class_table(range(1, 151), size=151))
    return pair_files(root, split, published_labels("ade20k"), zip(images, masks, strict=True), decode)
