"""Valid files, and what is left of them after a few accidents: the same for the same number."""

import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # it registers itself
import pyarrow.parquet as pq
import tifffile
from PIL import Image
from safetensors.numpy import save

from ecenet.analysis.interventions.painted_class import PaintedClass, save_class
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, add_photo, new_session
from ecenet.inference.weights import WEIGHTS_DIR
from tests.support.color_profiles import DISPLAY_P3, PROPHOTO, cmyk_profile
from tests.support.helpers import encode, noise_image
from tests.support.hostile.damages import damaged, with_checksums
from tests.support.hostile.entry_points import FILE_KINDS, IMAGE_FORMATS

pillow_heif.register_heif_opener()

OTHER_FILES = ("truth", "bank", "class")
"""What other files are spliced with."""
ODD_VALUES: tuple[Any, ...] = (
    None,
    -1,
    0,
    2**70,
    1e308,
    "",
    "x" * 300,
    "../../etc/passwd",
    [],
    {},
    [[1]],
    True,
    float("nan"),
)
"""In place of a value of JSON."""


@lru_cache
def image_seeds() -> dict[str, list[bytes]]:
    """Of each format several kinds."""
    photo = noise_image(97, 61)
    grey = photo.convert("L")
    palette, alpha = photo.quantize(16), photo.convert("RGBA")
    alpha.putalpha(grey)
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    animation: dict[str, Any] = {"save_all": True, "append_images": [noise_image(97, 61, seed=1)], "duration": 50}
    return {
        "PNG": [
            encode(photo, "PNG", exif=turned),
            encode(alpha, "PNG"),
            encode(palette, "PNG", transparency=3),
            encode(wide, "PNG"),
            encode(photo, "PNG", **animation),
            encode(photo, "PNG", icc_profile=PROPHOTO.profile()),
        ],
        "JPEG": [
            encode(photo, "JPEG", exif=turned),
            encode(photo, "JPEG", progressive=True),
            encode(grey, "JPEG", restart_marker_rows=1),
            encode(photo.convert("CMYK"), "JPEG", icc_profile=cmyk_profile({"c": (60, 40, 50)})),
            encode(photo, "JPEG", icc_profile=DISPLAY_P3.profile()),
        ],
        "WEBP": [
            encode(photo, "WEBP", exif=turned),
            encode(alpha, "WEBP", lossless=True),
            encode(photo, "WEBP", **animation),
        ],
        "GIF": [encode(palette, "GIF", comment=b"a comment"), encode(photo, "GIF", **animation)],
        "TIFF": [
            encode(photo, "TIFF", exif=turned),
            encode(grey, "TIFF", compression="tiff_lzw"),
            encode(photo, "TIFF", compression="tiff_adobe_deflate"),
            encode(photo, "TIFF", compression="jpeg"),
            encode(grey.convert("1"), "TIFF", compression="group4"),
            encode(Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF"),
            encode(wide, "TIFF", compression="packbits"),
            *_unusual_tiffs(photo),
        ],
        "HEIF": [
            encode(photo, "HEIF", exif=turned.tobytes(), icc_profile=DISPLAY_P3.profile()),
            encode(alpha, "HEIF"),
            encode(photo.resize((256, 192)), "HEIF", tile_size=64),
        ],
        "JXL": [
            encode(photo, "JXL", effort=1, exif=turned.tobytes(), use_container=True),
            encode(alpha, "JXL", effort=1, lossless=True),
            encode(wide, "JXL", effort=1, lossless=True),
        ],
        "BMP": [encode(photo, "BMP"), encode(palette, "BMP"), _run_length_bmp()],
    }


def _unusual_tiffs(photo: Image.Image) -> list[bytes]:
    """Those that are not read by Pillow."""
    wide = np.asarray(photo).astype(np.uint16) * 257
    arrays: list[tuple[np.ndarray, dict[str, Any]]] = [
        (np.ascontiguousarray(np.moveaxis(wide, -1, 0)), {"photometric": "rgb", "planarconfig": "separate"}),
        (wide, {"photometric": "rgb", "byteorder": ">", "tile": (32, 32)}),
        (wide[..., 0], {"photometric": "miniswhite", "byteorder": ">"}),
        (wide.astype(np.float32) / 65535, {"photometric": "rgb"}),
    ]
    files = []
    for array, options in arrays:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **options)
        files.append(buffer.getvalue())
    return files


def _run_length_bmp() -> bytes:
    from tests.support.hostile.bombs import bmp

    row = b"\x30\5\0\4\1\2\3\4\x0d\x09\0\0"  # a run of 48, four single pixels, a run of 13, end of row
    return bmp(65, 40, packing=1, data=row * 40 + b"\0\1")


@lru_cache
def file_seed(kind: str) -> bytes:
    """Of one of `FILE_KINDS`, for the shipped weights and an example photo."""
    if kind == "bank":
        return (WEIGHTS_DIR / "everyday" / "bank.parquet").read_bytes()
    session, registry = _example_session()
    prediction = session.photos[0].prediction
    if kind == "truth":
        return encode(Image.fromarray(prediction.label_map), "PNG")
    if kind == "region":
        region = np.zeros(prediction.label_map.shape, dtype=np.uint8)
        region[20:60, 150:300] = 255
        return encode(Image.fromarray(region), "PNG")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.safetensors"
        if kind == "class":
            width = registry.open(registry.initial).model.embed_dim
            vector = np.ones((1, width), np.float32)
            weights_hash = registry.open(registry.initial).weights_hash
            save_class(PaintedClass("mine", (255, 200, 0), "mean", vector, weights_hash), path)
        else:
            from ecenet.app.sidebar.session_file import save_session  # here, since Gradio takes seconds to import
            from tests.support.fitters import ScriptedFitter

            path = save_session(session, Selection(), None, registry=registry, fitter=ScriptedFitter())
        return path.read_bytes()


@lru_cache
def _example_session() -> tuple[Session, ModelRegistry]:
    import skimage.data

    registry = ModelRegistry("everyday")
    path = Path(skimage.data.__file__).parent / "chelsea.png"
    return add_photo(new_session(registry), str(path), predictor=registry.open(registry.initial)), registry


def image_mutant(number: int) -> tuple[str, bytes]:
    """(format, file)."""
    rng = random.Random(number)
    kind = IMAGE_FORMATS[number % len(IMAGE_FORMATS)]
    seeds = image_seeds()
    content = damaged(rng.choice(seeds[kind]), rng, other=rng.choice(seeds[rng.choice(IMAGE_FORMATS)]))
    return kind, with_checksums(content) if kind == "PNG" and rng.random() < 0.7 else content


def file_mutant(number: int) -> tuple[str, bytes]:
    """(kind, file): bytes that are damaged, or a file that is whole and says odd things."""
    rng = random.Random(number)
    kind = FILE_KINDS[number % len(FILE_KINDS)]
    content = file_seed(kind)
    if kind in REWRITTEN and rng.random() < 0.6:
        return kind, REWRITTEN[kind](content, rng)
    content = damaged(content, rng, other=file_seed(rng.choice(OTHER_FILES)))
    return kind, with_checksums(content) if kind in ("truth", "region") else content


def _odd(value: Any, rng: random.Random) -> Any:
    """JSON with one value in it replaced."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(keys)
        changed = value.copy()
        changed[key] = _odd(value[key], rng)
        return changed
    return rng.choice(ODD_VALUES)


def _odd_session(content: bytes, rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        view = _odd(json.loads(old.read("view.json")), rng)
        for name in ("photo.png", "truth.png"):
            for path in old.namelist():
                if path.endswith(name):
                    part = old.read(path)
                    new.writestr(path, damaged(part, rng, other=content) if rng.random() < 0.3 else part)
        new.writestr("view.json", json.dumps(view))
    return buffer.getvalue()


def _odd_bank(content: bytes, rng: random.Random) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    about = _odd(json.loads(table.schema.metadata[b"ecenet"]), rng)
    table = table.slice(0, rng.choice((0, 1, 500))).replace_schema_metadata({"ecenet": json.dumps(about)})
    if rng.random() < 0.5:
        place = rng.randrange(table.num_columns)
        name, odd = table.column_names[place], table.column(rng.randrange(table.num_columns))
        table = table.set_column(place, name, odd)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _odd_class(content: bytes, rng: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    about = json.loads(content[8 : 8 + length])["__metadata__"]
    about[rng.choice(list(about))] = rng.choice(
        ("", "x" * 300, "-1", "[]", "[1, 2]", "NaN", "[1e999, 0, 0]", "backbone")
    )
    shape = rng.choice(((1, 96), (0, 96), (96,), (17, 96), (1, 95), (2, 320), (1, 1, 96)))
    kind = rng.choice((np.float32, np.float32, np.float16, np.int64))
    values = np.full(shape, rng.choice((0, 1, 1, 1e30, float("nan"))), dtype=np.float32).astype(kind)
    return save({rng.choice(("embeddings", "embeddings", "other")): values}, metadata=about)


REWRITTEN: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "session": _odd_session,
    "bank": _odd_bank,
    "class": _odd_class,
}
