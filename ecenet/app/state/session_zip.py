"""A session in one zip: what every tool can read of its photos, and a `view.json` that opens it again."""

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
"""In the zip. It is the list of them that would take long, however small they are."""
DAMAGE: tuple[type[Exception], ...] = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
DAMAGE += (ValueError, KeyError, TypeError, AttributeError)
"""What reading a file raises that is no such zip, or whose `view.json` is of another shape."""


class Entry(NamedTuple):
    """A photo on its way into the zip."""

    name: str
    prediction: Prediction
    truth: np.ndarray | None = None
    """(H, W) uint8 class indices of the prediction, 255 = ignore."""


class SavedPhoto(NamedTuple):
    """A photo out of the zip."""

    name: str
    image: RGBImage
    truth: bytes | None
    """The file of its ground truth, unread."""


@dataclass(frozen=True)
class Bundle:
    """What `read_bundle` found."""

    photos: list[SavedPhoto]
    view: dict[str, Any]
    """`model`, `weights_hash`, `selection` as they were given to `write_bundle`."""


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
        view: JSON-able; what is needed to open the session again besides the photos.
        projection: JSON-able; the map of the embeddings, for others to draw again.
        track: wraps the photos, to show how far it is.
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
            if file.is_file() and file.name != "overlay.png":  # much larger than the same as a JPEG beside it
                bundle.write(file, file.relative_to(root).as_posix())


def embeddings_table(photos: Sequence[Entry]) -> pa.Table:
    """`photo`, `stage`, `class`, `area`, `confidence` and `embedding`: one row for each photo, stage and class that the
    stage gives any pixel. `final` is left out: it uses the embeddings of the stage before."""
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
    """Open what `write_bundle` wrote. Nothing is unpacked to disk, and only what `view.json` names is read.

    Args:
        limits: of the photos, their files' unpacked bytes, and the pixels of all of them together.
    Raises:
        UserError: it is no such file, is damaged, or holds more than a session takes.
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
                    f"Expected at most {limits.photos} photos in a session, but {path.name} holds {len(listed)}; "
                    "open its photos in parts.",
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
        raise ValueError("packed in a way that is not ours")
    with bundle.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UserError(
            "file-too-large",
            f"Expected {name} to hold at most {limit / 1e6:g} MB unpacked, but it holds more; save it smaller.",
            limit=limit,
        )
    return content


def _foreign(path: Path) -> UserError:
    return UserError(
        "file-damaged",
        f"Expected a session that the explorer saved as .zip, but {path.name} is none, or is damaged; "
        "choose the file that was downloaded.",
    )
