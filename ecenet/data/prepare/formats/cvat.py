"""CVAT's export "CVAT for images": `annotations.xml` with polygons, boxes, ellipses and masks. Its VOC export is read
as mask files with the colours in `labelmap.txt`."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ecenet.common.errors import UserError
from ecenet.data.class_lists import ClassList, Color
from ecenet.data.prepare.formats.json_files import PhotoFinder, malformed, missing_note
from ecenet.data.prepare.regions import ellipse, runs_of
from ecenet.data.prepare.samples import BACKGROUND, SPLITS, Found, Region, Sample, background_first, split_in

KIND = "CVAT xml"


def find_cvat(root: Path, path: Path) -> Found:
    """Find photos with regions, lower layers (`z_order`) first.

    Raises:
        UserError: the file is damaged or lacks attributes.
    """
    try:
        tree = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise UserError(
            "file-damaged", f"Expected CVAT XML in {path}, but it cannot be read ({error}); export it again."
        ) from error
    photos = PhotoFinder(root)
    samples, gone, skipped = [], [], set()
    names: dict[str, Color | None] = {}
    try:
        for label in tree.iter("label"):
            name, color = label.findtext("name"), label.findtext("color")
            if (name and label.find("attributes") is not None) or (name and color):
                names[str(name)] = _color(color)
        for image in tree.iter("image"):
            photo = photos.find(image.attrib["name"], beside=path)
            if photo is None:
                gone.append(image.attrib["name"])
                continue
            size = (int(image.attrib["width"]), int(image.attrib["height"]))
            regions = []
            for shape in sorted(image, key=lambda shape: int(shape.get("z_order", 0))):
                region = _region(shape, size)
                if region is not None:
                    regions.append(region)
                    names.setdefault(region.label)
                elif shape.tag != "tag":
                    skipped.add(shape.tag)
            split = SPLITS.get(image.get("subset", "").lower()) or split_in(photo.relative_to(root).parts[:-1])
            folder = "/".join(photo.relative_to(root).parts[:-1])
            samples.append(Sample(photo, split=split, folder=folder, regions=tuple(regions), size=size))
    except (KeyError, ValueError, TypeError) as error:
        raise malformed(path, KIND, error) from error
    notes = missing_note(gone, "the xml file")
    if skipped:
        notes.append(f"Shapes without an area are omitted: {', '.join(sorted(skipped))}.")
    background = next((names[name] for name in names if name.lower() in BACKGROUND), None)
    classes = background_first(names)
    return Found(KIND, samples, ClassList(classes, [background, *(names[name] for name in classes[1:])]), notes)


def _color(text: str | None) -> Color | None:
    if text is None or len(text) != 7:
        return None
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _region(shape: ElementTree.Element, size: tuple[int, int]) -> Region | None:
    label = shape.get("label", "")
    match shape.tag:
        case "polygon":
            pairs = [pair.split(",") for pair in shape.attrib["points"].split(";")]
            return Region(label, outlines=(tuple(float(value) for pair in pairs for value in pair),))
        case "box":
            x0, y0, x1, y1 = (float(shape.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
            return Region(label, outlines=((x0, y0, x1, y0, x1, y1, x0, y1),))
        case "ellipse":
            x, y, rx, ry = (float(shape.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
            return Region(label, outlines=(tuple(value for point in ellipse(x, y, rx, ry) for value in point),))
        case "mask":
            left, top, width, height = (int(shape.attrib[name]) for name in ("left", "top", "width", "height"))
            runs = [int(value) for value in shape.attrib["rle"].split(",")]
            # Row by row, starting with pixels outside of the mask.
            bitmap = np.repeat(np.arange(len(runs)) % 2, runs).reshape(height, width).astype(np.uint8)
            return Region(label, runs=runs_of(bitmap, left=left, top=top, size=size))
    return None
