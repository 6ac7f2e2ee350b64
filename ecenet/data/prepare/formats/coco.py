"""COCO JSON with polygons or run lengths, in one file or one for each split."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.data.class_lists import ClassList, Color, class_list
from ecenet.data.prepare.formats.json_files import PhotoFinder, malformed, missing_note
from ecenet.data.prepare.samples import SPLITS, Found, Region, Sample, background_first, split_in

KIND = "COCO json"


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def find_coco(root: Path, files: dict[Path, Any]) -> Found:
    """Find photos with regions. Larger regions are drawn first, so that small ones stay visible.

    Args:
        files: parsed content of every COCO file, by path.
    Raises:
        UserError: a file lacks fields, or all annotations are boxes.
    """
    photos = PhotoFinder(root)
    samples: list[Sample] = []
    gone: list[str] = []
    without = 0
    names: dict[str, Color | None] = {}
    for path, content in files.items():
        try:
            entries = sorted(content["categories"], key=lambda entry: entry["id"])
            categories = {entry["id"]: str(entry["name"]) for entry in entries}
            names |= dict.fromkeys(categories.values())
            regions: dict[Any, list[tuple[float, Region]]] = defaultdict(list)
            for entry in content["annotations"]:
                region = _region(entry, categories)
                if region is None:
                    without += 1
                else:
                    regions[entry["image_id"]].append((float(entry.get("area") or 0.0), region))
            for image in content["images"]:
                photo = photos.find(str(image["file_name"]), beside=path)
                if photo is None:
                    gone.append(str(image["file_name"]))
                    continue
                drawn = sorted(regions[image["id"]], key=lambda pair: -pair[0])
                size = (int(image["width"]), int(image["height"])) if image.get("width") else None
                split = _split(path) or split_in(photo.relative_to(root).parts[:-1])
                samples.append(
                    Sample(photo, split=split, folder=split or "", regions=tuple(r for _, r in drawn), size=size)
                )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise malformed(path, KIND, error) from error
    if without and not any(sample.regions for sample in samples):
        raise UserError(
            "wrong-data",
            f"Expected outlines (`segmentation`) in {next(iter(files))}, but its {without} annotations are boxes or "
            "points, which cannot be converted to masks; export polygons or masks.",
        )
    notes = missing_note(gone, "the json files")
    if without:
        notes.append(f"{without} annotations without an outline are omitted.")
    return Found(KIND, samples, _classes(list(names)), notes)


def _classes(names: list[str]) -> ClassList:
    """Return the classes in the order of the category ids, with background first. Roboflow's first category, a group
    name without annotations, is kept."""
    return class_list(background_first(names))


def _region(entry: dict[str, Any], categories: dict[Any, str]) -> Region | None:
    shape = entry.get("segmentation")
    label = categories[entry["category_id"]]
    if isinstance(shape, dict):
        return Region(label, runs={"size": shape["size"], "counts": shape["counts"]})
    rings = tuple(tuple(float(value) for value in ring) for ring in shape or () if len(ring) >= 6)
    return Region(label, outlines=rings) if rings else None


def _split(path: Path) -> str | None:
    """Return the split in a path such as `instances_val2017.json`, `train/_annotations.coco.json` or
    `annotations/test.json`."""
    for word in reversed(path.stem.lower().replace("-", "_").split("_")):
        word = word.rstrip("0123456789")
        if word in SPLITS:
            return SPLITS[word]
    return split_in(path.parts[-2:-1])
