"""YOLO text files: a class index and a polygon on each line, relative to the sides of the photo."""

from pathlib import Path
from typing import Any

import yaml

from ecenet.common.errors import UserError
from ecenet.data.class_lists import class_list, read_class_list
from ecenet.data.images import image_size
from ecenet.data.prepare.formats.image_pairs import SUFFIXES
from ecenet.data.prepare.samples import Found, Region, Sample, background_first, split_in

KIND = "YOLO polygons"


def find_yolo(root: Path) -> Found | None:
    """Find photos below `images` with text files below `labels` or beside them; returns None if there are none.

    Raises:
        UserError: a line cannot be read, a class has no name, or all lines are boxes.
    """
    samples, boxes, polygons = [], 0, 0
    names: list[str] | None = None
    for photo in sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES):
        text = _labels_of(photo)
        if text is None:
            continue
        rows = _rows(text)
        if rows and names is None:
            names = _names(root)
        regions = []
        size = image_size(photo)
        for index, values in rows:
            if names is None or index >= len(names):
                raise UserError(
                    "invalid-labels",
                    f"Expected a name for class {index} in {text}, but {root} has names of {len(names or [])} classes; "
                    "add `data.yaml` (`names: [cat, …]`) or `classes.txt`.",
                )
            if len(values) == 4:
                boxes += 1
                continue
            polygons += 1
            ring = tuple(value * size[place % 2] for place, value in enumerate(values))
            regions.append(Region(names[index], outlines=(ring,)))
        parts = photo.relative_to(root).parts[:-1]
        samples.append(Sample(photo, split=split_in(parts), folder="", regions=tuple(regions), size=size))
    if not samples or names is None:
        return None
    if boxes and not polygons:
        raise UserError(
            "wrong-data",
            f"Expected polygons in the text files of {root}, but all {boxes} lines are boxes (a class and four "
            "numbers), which cannot be converted to masks; export polygons.",
        )
    notes = [f"{boxes} boxes among the polygons are omitted."] if boxes else []
    return Found(KIND, samples, class_list(background_first(names)), notes)


def _labels_of(photo: Path) -> Path | None:
    """Return the text file of a photo: `…/labels/train/a.txt` for `…/images/train/a.jpg`, or `a.txt` beside it."""
    parts = list(photo.parts)
    places = [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"]
    candidates = [photo.with_suffix(".txt")]
    if places:
        parts[places[-1]] = "labels"
        candidates.insert(0, Path(*parts).with_suffix(".txt"))
    return next((path for path in candidates if path.is_file()), None)


def _rows(path: Path) -> list[tuple[int, list[float]]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            first, *values = line.split()
            row = int(first), [float(value) for value in values]
        except ValueError:
            row = -1, []
        if row[0] < 0 or (len(row[1]) != 4 and (len(row[1]) < 6 or len(row[1]) % 2)):
            raise UserError(
                "wrong-file",
                f"Expected a class index and pairs of coordinates on each line, got line {number} of {path}: "
                f"{line[:60]!r}; export the file again.",
            )
        rows.append(row)
    return rows


def _names(root: Path) -> list[str]:
    for path in sorted([*root.glob("*.yaml"), *root.glob("*.yml")]):
        try:
            content: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
            names = content["names"]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            continue
        return [str(names[key]) for key in sorted(names)] if isinstance(names, dict) else [str(name) for name in names]
    for name in ("classes.txt", "obj.names", "classes.json"):
        if (root / name).is_file():
            return read_class_list(root / name).names
    return []
