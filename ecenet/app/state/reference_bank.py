"""Files beside a model's weights: the bank of reference embeddings, and the thresholds for warnings of wrong masks."""

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from ecenet.analysis.diagnostics.mask_warnings import ConfidenceWarning, read_warning
from ecenet.analysis.embeddings.points import EmbeddingPoints, reference_points
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.common.errors import UserError
from ecenet.common.logs import log_event
from ecenet.evaluation.bank import EmbeddingBank
from ecenet.evaluation.bank_parquet import BANK, read_bank

_logger = logging.getLogger(__name__)
WARNING = "warning.json"
T = TypeVar("T")


class Reference(NamedTuple):
    points: EmbeddingPoints
    image_names: tuple[str, ...]


def find_reference(registry: ModelRegistry, key: str, *, min_area: float) -> Reference | None:
    """Return the points of a model's bank, or None if it has no bank.

    The result is cached, so that a map can compare it by identity.
    """
    bank = find_bank(registry, key)
    return None if bank is None else _reference(bank, min_area)


def find_bank(registry: ModelRegistry, key: str) -> EmbeddingBank | None:
    """Return the bank of a model, or None if there is none or it was made with other weights."""
    found = _weights_file(registry, key, BANK)
    return None if found is None else _bank(*found, registry.open(key).weights_hash)


def find_warning(registry: ModelRegistry, key: str) -> ConfidenceWarning | None:
    """Return the warning thresholds of a model, or None if there are none or they were measured with other weights."""
    found = _weights_file(registry, key, WARNING)
    return None if found is None else _warning(*found, registry.open(key).weights_hash)


def _weights_file(registry: ModelRegistry, key: str, name: str) -> tuple[Path, int] | None:
    """Return the path and modification time of a file in the folder of a model's weights, or None."""
    folder = registry.folder(key)
    if folder is None:
        return None
    try:
        return folder / name, (folder / name).stat().st_mtime_ns
    except OSError:
        return None


@lru_cache(maxsize=4)
def _bank(path: Path, modified: int, weights: str) -> EmbeddingBank | None:
    return _or_tell(partial(read_bank, path, weights=weights, own_classes=True))


@lru_cache(maxsize=4)
def _warning(path: Path, modified: int, weights: str) -> ConfidenceWarning | None:
    return _or_tell(partial(read_warning, path, weights=weights))


def _or_tell(read: Callable[[], T]) -> T | None:
    """Read an optional file. If it cannot be used, log a warning and return None."""
    try:
        return read()
    except UserError as error:
        log_event(_logger, "unusable file", level="warning", problem=str(error))
        return None


@lru_cache(maxsize=16)
def _reference(bank: EmbeddingBank, min_area: float) -> Reference:
    return Reference(reference_points(bank, min_area=min_area), tuple(bank.images))
