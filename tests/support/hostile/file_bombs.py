"""As `bombs.py`, of the other files that can be uploaded."""

import io
import json
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecenet.inference.weights import WEIGHTS_DIR
from tests.support.hostile.png_bombs import COLOUR_ALPHA, FULL, png, png_16_bit


def zip_entries() -> bytes:
    """A list of half a million empty files."""
    entry = b"PK\1\2" + bytes(42)
    entry = entry[:28] + struct.pack("<H", 1) + entry[30:] + b"x"
    count = FULL // len(entry)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, 0, 0)
    return entry * count + end


def _session_zip(photo: bytes, *, photos: int, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    listed = [{"name": str(number), "file": "photo.png", "truth": "photo.png"} for number in range(photos)]
    with zipfile.ZipFile(buffer, "w", packing, compresslevel=9) as session:
        session.writestr("view.json", json.dumps({"format": 1, "photos": listed, "model": "weights:everyday"}))
        session.writestr("photo.png", photo)
    return buffer.getvalue()


def zip_bzip2() -> bytes:
    """A photo of two gigabytes, packed ten thousandfold."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as session, session.open("view.json", "w") as view:
        for _ in range(500):
            view.write(bytes(1 << 20))
    return buffer.getvalue()


def zip_deflate() -> bytes:
    """A photo of half a gigabyte."""
    return _session_zip(bytes(500_000_000), photos=1)


def zip_photos() -> bytes:
    """Twenty photos of 64 megapixels each, which is one photo named twenty times."""
    return _session_zip(png_16_bit(), photos=20)


def bank_rows() -> bytes:
    """A table of a hundred million rows, all the same."""
    return _bank({"weights_hash": _default_hash()}, rows=100_000_000)


def bank_names() -> bytes:
    """A stage whose name has a million letters, in a hundred thousand rows."""
    return _bank({"weights_hash": _default_hash()}, rows=100_000, stage="x" * 1_000_000)


def _default_hash() -> str:
    with pq.ParquetFile(WEIGHTS_DIR / "everyday" / "bank.parquet") as file:
        return str(json.loads(file.schema_arrow.metadata[b"ecenet"])["weights_hash"])


def _bank(about: dict[str, object], *, rows: int, stage: str = "ece") -> bytes:
    width = 1
    about = {"format": 1, "class_names": ["a"], "class_colors": [[0, 0, 0]], "images": ["x"], "split": "val", **about}
    about["data"] = "x"
    block = min(rows, 100_000)

    def column(value: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(np.zeros(block, np.int32)), pa.array([value]))

    zeros_of = pa.array(np.zeros(block))
    one = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(block * width, np.int32)), width)
    vector = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(block * width, np.float32)), width)
    names = {"image": column("x"), "stage": column(stage), "class": column("a")}
    columns = {**names, "area": zeros_of, "confidence": zeros_of, "truth": one, "iou": zeros_of, "embedding": vector}
    table = pa.table(columns).replace_schema_metadata({"ecenet": json.dumps(about)})
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, table.schema, compression="zstd") as writer:
        for _ in range(rows // block):
            writer.write_table(table)
    return buffer.getvalue()


def class_header() -> bytes:
    """A header that claims ten gigabytes."""
    return struct.pack("<Q", 10_000_000_000) + b"{}" + bytes(1_000)


def truth_at_limit() -> bytes:
    return png(9_797, 6_517)  # the proportions of the example, 63.8 megapixels


def region_at_limit() -> bytes:
    return png(9_797, 6_517, COLOUR_ALPHA)


FILE_BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zip entries": ("session", zip_entries),
    "zip bzip2": ("session", zip_bzip2),
    "zip deflate": ("session", zip_deflate),
    "zip photos": ("session", zip_photos),
    "bank rows": ("bank", bank_rows),
    "bank names": ("bank", bank_names),
    "class header": ("class", class_header),
    "truth at limit": ("truth", truth_at_limit),
    "region at limit": ("region", region_at_limit),
}
"""By the entry point that they come by."""
