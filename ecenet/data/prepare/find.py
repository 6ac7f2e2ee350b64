"""Detection of the format of labelled photos."""

from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError
from ecenet.data.prepare.formats.coco import find_coco, is_coco
from ecenet.data.prepare.formats.cvat import find_cvat
from ecenet.data.prepare.formats.image_pairs import SUFFIXES, find_pairs
from ecenet.data.prepare.formats.json_files import read_json
from ecenet.data.prepare.formats.label_studio import find_label_studio, is_label_studio
from ecenet.data.prepare.formats.labelme import find_labelme, is_labelme
from ecenet.data.prepare.formats.yolo import find_yolo
from ecenet.data.prepare.samples import Found

EXPECTED = """Expected photos and labels in one of these formats:
  images/train/a.jpg + masks/train/a.png (also img_dir/ann_dir, train/images + train/masks, a.jpg + a_mask.png)
  JPEGImages/a.jpg + SegmentationClass/a.png
  COCO: a json file with images, annotations and categories
  LabelMe: a.jpg + a.json; YOLO: images/a.jpg + labels/a.txt + data.yaml
  CVAT: annotations.xml; Label Studio: its json export"""


def find_labelled(root: Path, *, images: str | None = None, masks: str | None = None) -> Found:
    """Find the labelled photos below a folder.

    Args:
        images, masks: patterns of paths below `root`, for photos and mask files with other names.
    Raises:
        UserError: the format is unknown, or the data is damaged.
    """
    if not root.is_dir():
        raise UserError(
            "data-missing", f"Expected a folder of photos and labels, but {root} is not a folder; check the path."
        )
    if images is None and masks is None:
        found = _annotation_files(root)
        if found is not None:
            return found
    pairs = find_pairs(root, images=images, masks=masks)
    if pairs is not None:
        return pairs
    text = find_yolo(root)
    if text is not None:
        return text
    raise UserError(
        "data-missing",
        f"{EXPECTED}\nFound in {root}: {_inventory(root)}. If these are photos and masks, select them by patterns: "
        f"python -m ecenet data prepare {root} --out NEW --images '*_sat.jpg' --masks '*_map.png'.",
    )


def _annotation_files(root: Path) -> Found | None:
    """Find photos that are labelled by JSON or XML files."""
    contents = {path: read_json(path) for path in _json_files(root)}
    for is_kind, find in (
        (is_coco, find_coco),
        (is_labelme, find_labelme),
        (is_label_studio, find_label_studio),
    ):
        own: dict[Path, Any] = {path: content for path, content in contents.items() if is_kind(content)}
        if own:
            found = find(root, own)
            if found.samples:
                return found
            raise UserError(
                "data-missing",
                f"Expected the photos listed in {next(iter(own))} below {root}, but none of them exists. "
                + " ".join(found.notes),
            )
    for path in sorted(root.rglob("*.xml")):
        with path.open("rb") as file:
            if b"<annotations" in file.read(2000):
                return find_cvat(root, path)
    return None


def _json_files(root: Path) -> list[Path]:
    """Return the JSON files other than `classes.json`."""
    return sorted(path for path in root.rglob("*.json") if path.name[0] != "." and path.name != "classes.json")


def _inventory(root: Path) -> str:
    counts: dict[str, int] = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            suffix = path.suffix.lower() or "without suffix"
            counts[suffix] = counts.get(suffix, 0) + 1
    most = sorted(counts.items(), key=lambda entry: -entry[1])[:5]
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())[:8]
    files = ", ".join(f"{count} {suffix}" for suffix, count in most) or "no files"
    photos = sum(count for suffix, count in counts.items() if suffix in SUFFIXES)
    return f"{files} ({photos} pictures){f'; folders {chr(44).join(folders)}' if folders else ''}"
