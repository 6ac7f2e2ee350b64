"""Class names and colours of published checkpoints."""

from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.colors import distinct_colors
from ecenet.data.labels import LabelSet, read_labels
from ecenet.data.layouts.pairing import published_labels
from ecenet.data.layouts.pascal_context import with_background
from ecenet.inference.convert.mmseg_file import Published


def find_labels(published: Published, *, count: int, classes: Path | None) -> LabelSet:
    """Return the classes in a file, or those in the checkpoint, or those of a data set with the same number of classes.

    For PASCAL-Context, the order is that of mmsegmentation, which sorts the names, unlike the publisher's list and
    `--layout pascal-context-59`.

    Args:
        count: number of classes of the checkpoint.
        classes: file for `read_labels`.
    Raises:
        UserError: the classes are unknown, or the file has another number of classes.
    """
    if classes is not None:
        labels = read_labels(classes)
        if labels.num_classes != count:
            raise UserError(
                "wrong-classes",
                f"Expected the {count} classes of {published.file} in {classes}, got {labels.num_classes}; "
                "list all of them in the order of the training.",
            )
        return labels
    known = _data_set(count)
    own = published.class_names
    if len(own) == count == len(set(own)):
        shared = set(own) & set(known.class_names if known is not None else ())
        # Spelling may differ for a few names; with fewer common names, it is another data set.
        if known is not None and 2 * len(shared) > count:
            return _renamed(known, own)
        return LabelSet(published.file, own, [list(color) for color in distinct_colors(count)])
    if known is None:
        raise UserError(
            "missing-value",
            f"Expected a checkpoint with 59, 60, 150 or 171 classes, whose names are known, got {count} in "
            f"{published.file}; give the names with --classes FILE, a classes.json.",
        )
    return known


def _data_set(count: int) -> LabelSet | None:
    """Return the classes of the data set with that number of classes, in mmsegmentation's order, or None."""
    match count:
        case 150:
            return published_labels("ade20k")
        case 59:
            return _sorted(published_labels("pascal_context"))
        case 60:
            return with_background(_sorted(published_labels("pascal_context")))
        case 171:
            return published_labels("coco_stuff")
    return None


def _sorted(labels: LabelSet) -> LabelSet:
    return _renamed(labels, sorted(labels.class_names))


def _renamed(labels: LabelSet, names: list[str]) -> LabelSet:
    """Return the labels with other or reordered names; equal names keep their colour."""
    colors = dict(zip(labels.class_names, labels.class_colors, strict=True))
    fresh = distinct_colors(len(names))
    return LabelSet(labels.name, names, [colors.get(name, list(fresh[k])) for k, name in enumerate(names)])
