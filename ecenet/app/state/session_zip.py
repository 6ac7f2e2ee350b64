"""A session as a zip file: results in common formats, and a `view.json` from which the session can be opened again."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ecenet.app.state.limits import Limits
from ecenet.common.errors import UserError
from ecenet.data.images import RGBImage, load_image
from ecenet.data.prepare.unpack import PACKINGS
from ecenet.inference.export import export_prediction, unique_names
from ecenet.inference.prediction import Prediction

FORMAT = 1
VIEW, PROJECTION = "view.json", "projection.json"
MAX_VIEW_BYTES = 1_000_000
MAX_FILES = 10_000
"""Largest number of files in the zip, since even a list of empty files may take long to read."""
DAMAGE: tuple[type[Exception], ...] = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
DAMAGE += (ValueError, KeyError, TypeError, AttributeError)
"""Exceptions of reading another file, or one with an invalid `view.json`."""


class Entry(NamedTuple):
    """A photo to save."""

    name: str
    prediction: Prediction
    truth: np.ndarray | None = None
    """(H, W) uint8 class indices of the prediction, 255 = ignore."""


class SavedPhoto(NamedTuple):
    """A photo read from the zip."""

    name: str
    image: RGBImage
    truth: bytes | None
    """The encoded file of its ground truth."""


@dataclass(frozen=True)
class Bundle:
    """The content of a zip, returned by `read_bundle`."""

    photos: list[SavedPhoto]
    view: dict[str, Any]
    """`model`, `weights_hash` and `selection` as passed to `write_bundle`."""


def write_bundle(
    path: Path,
    *,
    photos: Sequence[Entry],
    view: dict[str, Any],
    projection: dict[str, Any] | None = None,
    track: Callable[[Sequence[Entry]], Iterable[Entry]] = iter,
) -> None:
    """Write masks (palette PNG and COCO RLE), overlays and arrays of every photo and stage, one Parquet table of all
    class embeddings, `projection.json`, the photos themselves with their ground truths, and `view.json`.

    Args:
        view: JSON values needed to open the session again, besides the photos.
        projection: JSON values of the map of the embeddings, for use by other programs.
        track: wraps the photos, to show progress.
    """
    folders = unique_names([Path(photo.name) for photo in photos])
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        root = Path(temporary)
        summaries = []
        for folder, (name, prediction, truth) in zip(folders, track(photos), strict=True):
            summary = export_prediction(prediction, root / folder)
            prediction.image.save(root / folder / "photo.png")
            if truth is not None:
                Image.fromarray(truth).save(root / folder / "truth.png")
                summary["truth"] = f"{folder}/truth.png"
            summaries.append({"name": name, "file": f"{folder}/photo.png", **summary})
        if photos:
            pq.write_table(embeddings_table(photos), root / "embeddings.parquet")
        if projection is not None:
            (root / PROJECTION).write_text(json.dumps(projection))
        (root / VIEW).write_text(json.dumps({"format": FORMAT, "photos": summaries, **view}, indent=1))
        for file in sorted(root.rglob("*")):
            if file.is_file() and file.name != "overlay.png":  # the JPEG beside it is much smaller
                bundle.write(file, file.relative_to(root).as_posix())


def embeddings_table(photos: Sequence[Entry]) -> pa.Table:
    """Return a table with the columns `photo`, `stage`, `class`, `area`, `confidence` and `embedding`, and one row for
    each photo, stage and class that the stage assigns to any pixel. `final` is omitted, since it has no embeddings of
    its own."""
    rows = [
        {
            "photo": name,
            "stage": stage.name,
            "class": prediction.class_names[k],
            "area": float(stage.area[k]),
            "confidence": float(stage.mean_confidence[k]),
            "embedding": stage.embeddings[k],
        }
        for name, prediction, _ in photos
        for stage in prediction.stages.values()
        if stage.name != "final"
        for k in stage.present()
    ]
    return pa.Table.from_pylist(rows)


def read_bundle(path: Path, *, limits: Limits) -> Bundle:
    """Read a file written by `write_bundle`. Nothing is unpacked to disk, and only files listed in `view.json` are
    read.

    Args:
        limits: limits on the number of photos, the unpacked size of each file, and the pixels of all photos together.
    Raises:
        UserError: the file is not a saved session, is damaged, or exceeds the limits.
    """
    try:
        if path.read_bytes().count(b"PK\1\2") > MAX_FILES:
            raise _foreign(path)
        with zipfile.ZipFile(path) as bundle:
            view = json.loads(_read(bundle, VIEW, limit=MAX_VIEW_BYTES))
            if not isinstance(view, dict) or view.get("format") != FORMAT or not isinstance(view.get("photos"), list):
                raise _foreign(path)
            listed = view.pop("photos")
            if len(listed) > limits.photos:
                raise UserError(
                    "too-many",
                    f"Expected at most {limits.photos} photos in a session, but {path.name} has {len(listed)}; "
                    "save the session in parts.",
                    limit=limits.photos,
                )
            photos, pixels = [], limits.pixels
            for photo in listed:
                image = load_image(_read(bundle, str(photo["file"]), limit=limits.bytes), max_pixels=pixels)
                pixels -= image.width * image.height
                truth = _read(bundle, str(photo["truth"]), limit=limits.bytes) if photo.get("truth") else None
                photos.append(SavedPhoto(str(photo["name"]), image, truth))
    except DAMAGE as error:
        raise _foreign(path) from error
    return Bundle(photos, view)


def _read(bundle: zipfile.ZipFile, name: str, *, limit: int) -> bytes:
    if bundle.getinfo(name).compress_type not in PACKINGS:
        raise ValueError("unknown compression")
    with bundle.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UserError(
            "file-too-large",
            f"Expected {name} to have at most {limit / 1e6:g} MB unpacked, but it has more; reduce its size.",
            limit=limit,
        )
    return content


def _foreign(path: Path) -> UserError:
    return UserError(
        "file-damaged",
        f"Expected a session saved by this app as .zip, but {path.name} is another file or damaged; "
        "choose the downloaded file.",
    )
