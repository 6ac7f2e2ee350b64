"""What lies beside a model's weights: a bank of reference photos' embeddings, and when to warn of a wrong mask."""

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
    """Points of a model's bank; None where it has none.

    The same answer is the same object, so that a map can tell whether it shows it.
    """
    bank = find_bank(registry, key)
    return None if bank is None else _reference(bank, min_area)


def find_bank(registry: ModelRegistry, key: str) -> EmbeddingBank | None:
    """The bank of a model in the registry; None where it has none, or one that other weights made."""
    found = _weights_file(registry, key, BANK)
    return None if found is None else _bank(*found, registry.open(key).weights_hash)


def find_warning(registry: ModelRegistry, key: str) -> ConfidenceWarning | None:
    """When to warn of a model's masks; None where nobody has measured it, or with other weights."""
    found = _weights_file(registry, key, WARNING)
    return None if found is None else _warning(*found, registry.open(key).weights_hash)


def _weights_file(registry: ModelRegistry, key: str, name: str) -> tuple[Path, int] | None:
    """A file in the folder of a model's weights, and when it was written; None where there is none."""
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
    """The page works without what cannot be read; whoever runs the app is told."""
    try:
        return read()
    except UserError as error:
        log_event(_logger, "unusable file", level="warning", problem=str(error))
        return None


@lru_cache(maxsize=16)
def _reference(bank: EmbeddingBank, min_area: float) -> Reference:
    return Reference(reference_points(bank, min_area=min_area), tuple(bank.images))
