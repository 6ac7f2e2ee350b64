"""Read and write an embedding bank as one Parquet file. Visitors can open such files, so the size is checked in the
footer before any column is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced
from ecenet.evaluation.bank import FORMAT, EmbeddingBank

BANK = "bank.parquet"
"""Name of the file next to the weights."""
COLUMNS = ("image", "stage", "class", "area", "confidence", "truth", "iou", "embedding")
NAMES = ("image", "stage", "class")
"""Text columns. They are read dictionary-encoded: a small file can repeat a name a million times."""
MAX_BYTES = 256_000_000
"""Maximum size of the columns in memory; a bank of 20,000 photos and 150 classes is smaller."""
MAX_FOOTER_BYTES = 8_000_000
"""Maximum size of the footer, which contains the names of all images."""
MAX_STAGE_NAME = 40
"""Maximum number of characters; NumPy allocates as many for every row."""
DAMAGE: tuple[type[Exception], ...] = (OSError, pa.ArrowException, RecursionError)
DAMAGE += (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""Exceptions that a damaged, inconsistent or too deeply nested file can raise while it is read."""


def write_bank(bank: EmbeddingBank, path: Path, *, half: bool = False) -> None:
    """Write plain columns that pandas, DuckDB and Embedding Atlas can read; embeddings as float16 with `half`.

    Raises:
        UserError: the file cannot be written.
    """
    names = bank.about["class_names"]
    element = pa.float16() if half else pa.float32()
    flat = bank.embedding.astype(np.float16 if half else np.float32).ravel()
    columns = {
        "image": pa.array([bank.images[index] for index in bank.image], pa.string()),
        "stage": pa.array(bank.stage.tolist(), pa.string()),
        "class": pa.array([names[k] for k in bank.class_index], pa.string()),
        "area": pa.array(bank.area, pa.float64()),
        "confidence": pa.array(bank.confidence, pa.float64(), from_pandas=True),
        "truth": pa.FixedSizeListArray.from_arrays(pa.array(bank.truth.ravel(), pa.int32()), bank.truth.shape[1]),
        "iou": pa.array(bank.iou, pa.float64(), from_pandas=True),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(flat, element), bank.embedding.shape[1]),
    }
    about = json.dumps({**bank.about, "images": bank.images})
    table = pa.table(columns).replace_schema_metadata({"ecenet": about})
    with disk_errors(path), replaced(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_bank(path: Path, *, weights: str | None = None, own_classes: bool = False) -> EmbeddingBank:
    """Read a bank that `write_bank` wrote.

    Args:
        weights: hash of the weights that the bank must have been made with; any weights by default.
        own_classes: reject a bank made with a class map, because its classes are not those of the weights.
    Raises:
        UserError: the file is not a bank, is damaged or too large, or was made with other weights.
    """
    try:
        file = pq.ParquetFile(path)
        if file.metadata.serialized_size > MAX_FOOTER_BYTES:
            raise _foreign(path)
        schema = file.schema_arrow
        about = json.loads((schema.metadata or {}).get(b"ecenet", b"{}"))
        if about.get("format") != FORMAT or any(schema.names.count(name) != 1 for name in COLUMNS):
            raise _foreign(path)
        if weights is not None and about["weights_hash"] != weights:
            raise UserError(
                "wrong-weights",
                f"Expected embeddings of the chosen weights ({weights}), but {path.name} was made with other weights "
                f"({str(about['weights_hash'])[:40]}); embed the data again or choose those weights.",
                expected=weights,
                got=about["weights_hash"],
            )
        if own_classes and "class_map" in about:
            raise UserError(
                "wrong-classes",
                f"Expected embeddings of the weights' own classes, but {path.name} was made with a class map and can "
                "only be opened in the Evaluate tab; run `embed` without --map on data with the weights' classes.",
            )
        if _memory(file) > MAX_BYTES:
            raise UserError(
                "file-too-large",
                f"Expected a bank of at most {MAX_BYTES / 1e6:g} MB in memory, but {path.name} takes more; "
                "embed fewer images with --limit.",
                limit=MAX_BYTES,
            )
        return _bank(pq.ParquetFile(path, read_dictionary=list(NAMES)).read(columns=list(COLUMNS)), about)
    except DAMAGE as error:
        raise UserError(
            "file-damaged",
            f"Expected a Parquet file written by `python -m ecenet embed`, but {path.name} cannot be read; "
            "write it again.",
        ) from error


def _foreign(path: Path) -> UserError:
    return UserError(
        "wrong-file",
        f"Expected a Parquet file written by `python -m ecenet embed`, but {path.name} is not one; "
        "choose a file that this version wrote.",
    )


def _memory(file: pq.ParquetFile) -> int:
    """Size of the columns in bytes: from the schema and number of rows, or as the footer states, if that is larger."""
    schema, rows, groups = file.schema_arrow, file.metadata.num_rows, file.metadata.num_row_groups
    widths = [schema.field(name).type.list_size for name in ("truth", "embedding")]
    claimed = sum(file.metadata.row_group(number).total_byte_size for number in range(groups))
    return max(claimed, rows * 8 * (len(COLUMNS) + sum(widths)))


def _bank(table: pa.Table, about: dict[str, Any]) -> EmbeddingBank:
    """Build the bank; raises one of `DAMAGE` if table and description contradict each other."""
    _check_description(about)
    images, names = about.pop("images"), about["class_names"]
    number = {name: index for index, name in enumerate(images)}
    index_of = {name: k for k, name in enumerate(names)}
    truth = _matrix(table["truth"]).astype(np.int64)
    stages = _looked_up(table["stage"], lambda name: str(name)[:MAX_STAGE_NAME], dtype=np.str_)
    if truth.shape[1] != len(names) or len(about["class_colors"]) != len(names) or not len(stages):
        raise ValueError("number of classes does not match the columns")
    bank = EmbeddingBank(
        image=_looked_up(table["image"], number.__getitem__, dtype=np.int64),
        stage=stages,
        class_index=_looked_up(table["class"], index_of.__getitem__, dtype=np.int64),
        area=_numbers(table["area"]),
        confidence=_numbers(table["confidence"]),
        truth=truth,
        iou=_numbers(table["iou"]),
        embedding=_matrix(table["embedding"]).astype(np.float32),
        images=images,
        about=about,
    )
    if not np.isfinite(bank.embedding).all() or (truth < 0).any():
        raise ValueError("numbers out of range")
    return bank


def _check_description(about: dict[str, Any]) -> None:
    """Check that names are strings and colours are colours, because the app displays them."""
    texts = [about["data"], about["split"], about["weights_hash"], *about["images"], *about["class_names"]]
    colors = [value for red, green, blue in about["class_colors"] for value in (red, green, blue)]
    if not all(type(text) is str for text in texts):
        raise ValueError("invalid names")
    if not all(type(value) is int and 0 <= value <= 255 for value in colors):
        raise ValueError("invalid colours")
    if "class_map" in about:
        classes, rest = about["class_map"]["classes"], about["class_map"]["rest"]
        texts = [*classes.keys(), *classes.values()]
        if not all(type(text) is str for text in texts) or not (rest is None or rest in about["class_names"]):
            raise ValueError("invalid class map")


def _looked_up(column: pa.ChunkedArray, look_up: Callable[[str], Any], *, dtype: type) -> np.ndarray:
    """(N,) values of the rows' names; each distinct name is looked up once."""
    parts = [
        np.array([look_up(name) for name in chunk.dictionary.to_pylist()], dtype=dtype)[chunk.indices.to_numpy()]
        for chunk in column.chunks
    ]
    return np.concatenate(parts)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """(N, W) values of a fixed-size list column."""
    width = column.type.list_size
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(len(column), width)
