"""An embedding bank as one Parquet file. Visitors may open one, so nothing is read before its footer has told how much
there is."""

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
"""The file beside weights."""
COLUMNS = ("image", "stage", "class", "area", "confidence", "truth", "iou", "embedding")
NAMES = ("image", "stage", "class")
"""Columns of text: read as indices, since a name that is repeated a million times takes no room in the file."""
MAX_BYTES = 256_000_000
"""Of the columns in memory; the bank of a split of 20,000 photos and 150 classes takes less."""
MAX_FOOTER_BYTES = 8_000_000
"""The names of all images are in there."""
MAX_STAGE_NAME = 40
"""Characters; numpy gives as many to every row."""
DAMAGE: tuple[type[Exception], ...] = (OSError, pa.ArrowException, RecursionError)
DAMAGE += (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What reading a file raises that is no such bank, or says of itself what is not so; brackets can nest too deep."""


def write_bank(bank: EmbeddingBank, path: Path, *, half: bool = False) -> None:
    """Plain columns, which pandas, DuckDB and Embedding Atlas read as they are; fp16 embeddings with `half`."""
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
    """Args:
        weights: hash of the weights that it must have been made with; any by default.
        own_classes: refuse one that was made with a class map, whose classes are not the weights'.
    Raises:
        UserError: it is no such file, is damaged, far too large, or was made with other weights.
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
                f"Expected embeddings of the chosen weights ({weights}), but {path.name} was made with others "
                f"({str(about['weights_hash'])[:40]}); embed the data again or choose those weights.",
                expected=weights,
                got=about["weights_hash"],
            )
        if own_classes and "class_map" in about:
            raise UserError(
                "wrong-classes",
                f"Expected embeddings of the weights' own classes, but {path.name} was made with a class map, which "
                "only the Evaluate tab shows; embed data with the weights' classes, without --map.",
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
        f"Expected a Parquet file written by `python -m ecenet embed`, but {path.name} is another one; "
        "give one that this version wrote.",
    )


def _memory(file: pq.ParquetFile) -> int:
    """Bytes that the columns will take: as the schema and the number of rows have it, or as the footer claims."""
    schema, rows, groups = file.schema_arrow, file.metadata.num_rows, file.metadata.num_row_groups
    widths = [schema.field(name).type.list_size for name in ("truth", "embedding")]
    claimed = sum(file.metadata.row_group(number).total_byte_size for number in range(groups))
    return max(claimed, rows * 8 * (len(COLUMNS) + sum(widths)))


def _bank(table: pa.Table, about: dict[str, Any]) -> EmbeddingBank:
    """Raises one of `DAMAGE` where table and description contradict each other."""
    _check_description(about)
    images, names = about.pop("images"), about["class_names"]
    number = {name: index for index, name in enumerate(images)}
    index_of = {name: k for k, name in enumerate(names)}
    truth = _matrix(table["truth"]).astype(np.int64)
    stages = _looked_up(table["stage"], lambda name: str(name)[:MAX_STAGE_NAME], dtype=np.str_)
    if truth.shape[1] != len(names) or len(about["class_colors"]) != len(names) or not len(stages):
        raise ValueError("classes and columns do not fit")
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
        raise ValueError("numbers that are none")
    return bank


def _check_description(about: dict[str, Any]) -> None:
    """What the app shows of it must be texts and colours."""
    texts = [about["data"], about["split"], about["weights_hash"], *about["images"], *about["class_names"]]
    colors = [value for red, green, blue in about["class_colors"] for value in (red, green, blue)]
    if not all(type(text) is str for text in texts):
        raise ValueError("names that are none")
    if not all(type(value) is int and 0 <= value <= 255 for value in colors):
        raise ValueError("colours that are none")
    if "class_map" in about:
        classes, rest = about["class_map"]["classes"], about["class_map"]["rest"]
        texts = [*classes.keys(), *classes.values()]
        if not all(type(text) is str for text in texts) or not (rest is None or rest in about["class_names"]):
            raise ValueError("a class map that is none")


def _looked_up(column: pa.ChunkedArray, look_up: Callable[[str], Any], *, dtype: type) -> np.ndarray:
    """(N,): what each row's name stands for; names are looked up once."""
    parts = [
        np.array([look_up(name) for name in chunk.dictionary.to_pylist()], dtype=dtype)[chunk.indices.to_numpy()]
        for chunk in column.chunks
    ]
    return np.concatenate(parts)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """(N, W) of a fixed-size list column."""
    width = column.type.list_size
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(len(column), width)
