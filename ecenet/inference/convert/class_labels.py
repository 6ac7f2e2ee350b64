"""Names and colours of a published checkpoint's classes, in the order of its outputs."""

from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.colors import distinct_colors
from ecenet.data.labels import LabelSet, read_labels
from ecenet.data.layouts.pairing import published_labels
from ecenet.data.layouts.pascal_context import with_background
from ecenet.inference.convert.mmseg_file import Published


def find_labels(published: Published, *, count: int, classes: Path | None) -> LabelSet:
    """Those of a file, else those that the checkpoint names itself, else those of a data set with so many classes.

    Of PASCAL-Context the order is mmsegmentation's, which sorts the names; the publisher's own list has another, which
    `--layout pascal-context-59` has, too.

    Args:
        count: K of the checkpoint.
        classes: file as `read_labels` takes it.
    Raises:
        UserError: none of these, or a file with another number of classes.
    """
    if classes is not None:
        labels = read_labels(classes)
        if labels.num_classes != count:
            raise UserError(
                "wrong-classes",
                f"Expected the {count} classes of {published.file} in {classes}, got {labels.num_classes}; "
                "list them all, in the order that it was trained with.",
            )
        return labels
    known = _data_set(count)
    own = published.class_names
    if len(own) == count == len(set(own)):
        shared = set(own) & set(known.class_names if known is not None else ())
        # A data set spells a name or two otherwise from file to file; with fewer in common it is another one.
        if known is not None and 2 * len(shared) > count:
            return _renamed(known, own)
        return LabelSet(published.file, own, [list(color) for color in distinct_colors(count)])
    if known is None:
        raise UserError(
            "missing-value",
            f"Expected a checkpoint of 59, 60, 150 or 171 classes, whose names are known, got {count} in "
            f"{published.file}; give them as --classes FILE, a classes.json.",
        )
    return known


def _data_set(count: int) -> LabelSet | None:
    """The data set that has so many classes, in mmsegmentation's order."""
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
    """Other names, or the same in another order; what keeps its name keeps its colour."""
    colors = dict(zip(labels.class_names, labels.class_colors, strict=True))
    fresh = distinct_colors(len(names))
    return LabelSet(labels.name, names, [colors.get(name, list(fresh[k])) for k, name in enumerate(names)])
