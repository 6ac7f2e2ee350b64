"""LabelMe: a JSON file beside each photo, with polygons, rectangles, circles and masks."""

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np

from ecenet.data.class_lists import class_list
from ecenet.data.images import load_stored
from ecenet.data.prepare.formats.image_pairs import SUFFIXES
from ecenet.data.prepare.formats.json_files import malformed, missing_note
from ecenet.data.prepare.regions import ellipse, runs_of
from ecenet.data.prepare.samples import Found, Region, Sample, natural_classes, split_in

KIND = "LabelMe json"


def is_labelme(content: Any) -> bool:
    return isinstance(content, dict) and {"shapes", "imagePath"} <= content.keys()


def find_labelme(root: Path, files: dict[Path, Any]) -> Found:
    """Find photos with regions in the order of the file; later regions cover earlier ones.

    Raises:
        UserError: a file lacks fields.
    """
    samples, labels, skipped, gone = [], [], set(), []
    for path, content in files.items():
        try:
            photo = _photo(path, str(content["imagePath"]))
            if photo is None:
                gone.append(str(content["imagePath"]))
                continue
            size = (int(content["imageWidth"]), int(content["imageHeight"]))
            regions = []
            for shape in content["shapes"]:
                region = _region(shape, size)
                if region is not None:
                    regions.append(region)
                else:
                    skipped.add(shape.get("shape_type"))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise malformed(path, KIND, error) from error
        labels += [region.label for region in regions]
        relative = photo.relative_to(root).parts[:-1] if photo.is_relative_to(root) else ()
        samples.append(
            Sample(photo, split=split_in(relative), folder="/".join(relative), regions=tuple(regions), size=size)
        )
    notes = missing_note(gone, "the json files")
    if skipped:
        notes.append(f"Shapes without an area are omitted: {', '.join(sorted(map(str, skipped)))}.")
    return Found(KIND, samples, class_list(natural_classes(labels)), notes)


def _photo(path: Path, name: str) -> Path | None:
    named = path.parent / name.replace("\\", "/")
    if named.is_file():
        return named
    beside = [path.parent / Path(name.replace("\\", "/")).name]
    beside += [other for other in sorted(path.parent.glob(f"{path.stem}.*")) if other.suffix.lower() in SUFFIXES]
    return next((other for other in beside if other.is_file()), None)


def _region(shape: dict[str, Any], size: tuple[int, int]) -> Region | None:
    """Return the region of a shape; None for points and lines."""
    label, points = str(shape["label"]), [(float(x), float(y)) for x, y in shape["points"]]
    match shape.get("shape_type") or "polygon":
        case "polygon" if len(points) >= 3:
            ring = points
        case "rectangle":
            (x0, y0), (x1, y1) = points
            ring = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        case "circle":
            (x, y), edge = points
            radius = math.dist((x, y), edge)
            ring = ellipse(x, y, radius, radius)
        case "mask":
            bitmap = np.asarray(load_stored(base64.b64decode(shape["mask"])).convert("L"))
            left, top = (round(value) for value in points[0])
            return Region(label, runs=runs_of(bitmap, left=left, top=top, size=size))
        case _:
            return None
    return Region(label, outlines=(tuple(value for point in ring for value in point),))
