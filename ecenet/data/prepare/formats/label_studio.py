"""Label Studio JSON with polygons, rectangles, ellipses and brush strokes."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np

from ecenet.data.class_lists import class_list
from ecenet.data.prepare.formats.json_files import PhotoFinder, malformed, missing_note
from ecenet.data.prepare.regions import ellipse, runs_of
from ecenet.data.prepare.samples import Found, Region, Sample, natural_classes, split_in

KIND = "Label Studio json"


def is_label_studio(content: Any) -> bool:
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) and "annotations" in task and "data" in task for task in content)
    )


def find_label_studio(root: Path, files: dict[Path, Any]) -> Found:
    """Find photos with the regions of their first annotation that is not cancelled.

    Raises:
        UserError: a file lacks fields.
    """
    photos = PhotoFinder(root)
    samples, labels, gone, skipped = [], [], [], set()
    for path, tasks in files.items():
        try:
            for task in tasks:
                name = _file_name(task["data"])
                photo = _photo(photos, name, beside=path)
                if photo is None:
                    gone.append(name)
                    continue
                done = [entry for entry in task["annotations"] if not entry.get("was_cancelled")]
                regions, size = [], None
                for result in done[0]["result"] if done else []:
                    if "original_width" in result:
                        size = (int(result["original_width"]), int(result["original_height"]))
                    region = _region(result, size)
                    if region is not None:
                        regions.append(region)
                    else:
                        skipped.add(result.get("type", "?"))
                labels += [region.label for region in regions]
                parts = photo.relative_to(root).parts[:-1]
                samples.append(
                    Sample(photo, split=split_in(parts), folder="/".join(parts), regions=tuple(regions), size=size)
                )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise malformed(path, KIND, error) from error
    notes = missing_note(gone, "the json file")
    if skipped:
        notes.append(f"Results that are not regions are omitted: {', '.join(sorted(skipped))}.")
    return Found(KIND, samples, class_list(natural_classes(labels)), notes)


def _file_name(data: dict[str, Any]) -> str:
    """Return the file name in the first field that looks like the URL of a picture."""
    value = next(str(value) for name, value in data.items() if name in ("image", "img", "photo") or "/" in str(value))
    address = urlparse(value)
    local = parse_qs(address.query).get("d")  # /data/local-files/?d=folder/photo.jpg
    return unquote(local[0] if local else address.path)


def _photo(photos: PhotoFinder, name: str, *, beside: Path) -> Path | None:
    """Find the photo of a task. Label Studio prefixes the names of uploads with eight hexadecimal digits."""
    found = photos.find(name.lstrip("/"), beside=beside)
    bare = Path(name).name
    if found is None and len(bare) > 9 and bare[8] == "-":
        found = photos.find(bare[9:], beside=beside)
    return found


def _region(result: dict[str, Any], size: tuple[int, int] | None) -> Region | None:
    kind, value = result.get("type", ""), result.get("value", {})
    if size is None or not value.get(kind):
        return None
    label, (width, height) = str(value[kind][0]), size
    match kind:
        case "polygonlabels":
            ring = [(x, y) for x, y in value["points"]]
        case "rectanglelabels" if not value.get("rotation"):
            x, y, w, h = (value[name] for name in ("x", "y", "width", "height"))
            ring = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
        case "ellipselabels" if not value.get("rotation"):
            x, y, rx, ry = (value[name] for name in ("x", "y", "radiusX", "radiusY"))
            ring = ellipse(x, y, rx, ry)
        case "brushlabels":
            bitmap = unpack_brush(value["rle"]).reshape(height, width, 4)[..., 3] > 127
            return Region(label, runs=runs_of(bitmap, left=0, top=0, size=size))
        case _:
            return None
    scaled = tuple(number for x, y in ring for number in (x * width / 100, y * height / 100))
    return Region(label, outlines=(scaled,))


def unpack_brush(rle: list[int]) -> np.ndarray:
    """Decode the bytes of a brush stroke to the values of its RGBA picture, as one row.

    The bits are: the number of values (32), their width minus 1 (5) and four widths of lengths minus 1 (4 each). Then
    follow blocks: a bit, the index of a width (2), a length minus 1, and one value for all (if the bit is 1) or for
    each.
    """
    bits = np.unpackbits(np.array(rle, np.uint8))
    place = 0

    def take(count: int) -> int:
        nonlocal place
        number = int("".join(map(str, bits[place : place + count])) or "0", 2)
        place += count
        return number

    values = np.zeros(take(32), np.uint8)
    width = take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    done = 0
    while done < len(values) and place < len(bits):
        same, length = take(1), take(lengths[take(2)]) + 1
        if same:
            values[done : done + length] = take(width)
        else:
            end = place + width * length
            powers = 1 << np.arange(width)[::-1]
            each = bits[place:end].reshape(length, width) @ powers
            values[done : done + length] = each[: len(values) - done]
            place = end
        done += length
    return values
