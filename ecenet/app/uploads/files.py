"""Files of the API: those that a client sends, checked, and those that it gets back. Both are in Gradio's cache."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from gradio.data_classes import FileData
from gradio.processing_utils import hash_bytes, save_base64_to_cache
from gradio.utils import get_upload_folder
from gradio_client.utils import is_http_url_like, synchronize_async
from PIL import Image
from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from ecenet.analysis.diagnostics.similarity_maps import common_scale
from ecenet.app.uploads.fetch import fetch
from ecenet.common.errors import UserError, room_for
from ecenet.common.files import replaced
from ecenet.inference.overlay import similarity_overlay

NOT_UPLOADED = "Expected a file that was uploaded here, got the path of another file; upload the file first."


def _most(info: ValidationInfo) -> int:
    """Return the size limit in bytes from the context of the validation."""
    return int((info.context or {})["max_bytes"])


def _fetched(value: object, info: ValidationInfo) -> object:
    """Convert URLs to files. MCP clients send those, and Gradio converts only some of them."""
    if not isinstance(value, str):
        return value
    if value.startswith(("http://", "https://")):
        return {"path": synchronize_async(fetch, value, limit=_most(info))}
    try:
        if value.startswith("data:"):
            return {"path": save_base64_to_cache(value, get_upload_folder())}
    except Exception as error:  # any decoding error
        raise UserError(
            "download-failed",
            f"Expected the URL of a file, but {value[:80]!r} cannot be downloaded; upload the file instead.",
        ) from error
    raise UserError("not-uploaded", f"Expected an uploaded file, got the text {value[:80]!r}; upload the file first.")


def check_uploads(data: object) -> None:
    """Check all files in the data of a request. Gradio checks only files with its metadata but also opens others, so a
    client could pass any path.

    Args:
        data: decoded JSON. Every dictionary with a `path` is a file; URLs are left to `fetch_all`.
    Raises:
        UserError: a file was not uploaded here.
    """
    if isinstance(data, dict):
        path = data.get("path")
        if isinstance(path, str) and not is_http_url_like(path):
            _uploaded(path)
        for value in data.values():
            check_uploads(value)
    elif isinstance(data, list):
        for value in data:
            check_uploads(value)


def _uploaded(name: str) -> Path:
    path = Path(name).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise UserError("not-uploaded", NOT_UPLOADED)
    return path


def _checked(file: FileData, info: ValidationInfo) -> FileData:
    """Check the size of a file. Gradio limits only uploads; `max_bytes` of the context applies to all files."""
    path = _uploaded(file.path)
    size, most = path.stat().st_size, _most(info)
    if size > most:
        raise UserError(
            "file-too-large",
            f"Expected files of at most {most >> 20} MB, but {path.name} has {size >> 20} MB; reduce its size first.",
            limit=most,
        )
    return file


Upload = Annotated[FileData, BeforeValidator(_fetched), AfterValidator(_checked)]
"""A file that a client has uploaded. Other files on the server are rejected."""


def new_file(content: bytes, name: str) -> FileData:
    """Store a file for the client under this name.

    Raises:
        UserError: the disk is full.
    """
    folder = Path(get_upload_folder()) / hash_bytes(content)
    with room_for("the results"):
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(folder / name) as partial:
            partial.write_bytes(content)
    return FileData(path=str(folder / name), orig_name=name)


def picture(image: Image.Image, name: str) -> FileData:
    """Store an image as PNG or JPEG, according to the suffix of the name."""
    buffer = io.BytesIO()
    # With Pillow's default compression, encoding a heat map takes longer than the prediction.
    if name.endswith(".png"):
        image.save(buffer, format="PNG", compress_level=1)
    else:
        image.save(buffer, format="JPEG", quality=90)
    return new_file(buffer.getvalue(), name)


class DrawnMaps(NamedTuple):
    low: float
    high: float
    """Ends of the colour scale that all pictures share."""
    pictures: dict[str, Image.Image]
    """By stage."""

    def files(self) -> dict[str, FileData]:
        return {name: picture(image, f"similarity-{name}.png") for name, image in self.pictures.items()}


def draw_maps(image: Image.Image, maps: Mapping[str, np.ndarray]) -> DrawnMaps:
    """Draw similarity maps, (h, w) each, by stage, over their photo."""
    low, high = common_scale(list(maps.values()))
    drawn = {name: similarity_overlay(image, one, low=low, high=high) for name, one in maps.items()}
    return DrawnMaps(low, high, drawn)


def arrays(values: Mapping[str, np.ndarray], name: str) -> FileData:
    """Store arrays as an .npz file, uncompressed: compressing float arrays takes long and saves little."""
    buffer = io.BytesIO()
    np.savez(buffer, **values)  # type: ignore[arg-type]  # none is its option
    return new_file(buffer.getvalue(), name)
