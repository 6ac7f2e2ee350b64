"""Reference banks: embeddings of photos that a model has been shown, which lie beside its weights."""

import sys
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ecenet.bank import EmbeddingBank, read_bank, reference_points
from ecenet.errors import UserError
from ecenet.explore.points import EmbeddingPoints
from ecenet.model.network import Network
from ecenet.ui.shelf import ModelShelf
from ecenet.weights import weights_hash

BANK = "bank.parquet"
_hashes: WeakKeyDictionary[Network, str] = WeakKeyDictionary()


class Reference(NamedTuple):
    points: EmbeddingPoints
    image_names: tuple[str, ...]


def find_reference(shelf: ModelShelf, key: str, *, min_area: float) -> Reference | None:
    """Points of a model's bank; None where it has none.

    The same answer is the same object, so that a map can tell whether it shows it.
    """
    bank = find_bank(shelf, key)
    return None if bank is None else _reference(bank, min_area)


def find_bank(shelf: ModelShelf, key: str) -> EmbeddingBank | None:
    """The bank of a model on the shelf; None where it has none, or one that other weights made."""
    folder = shelf.folder(key)
    if folder is None or not (folder / BANK).is_file():
        return None
    return _bank(folder / BANK, (folder / BANK).stat().st_mtime_ns, hash_of(shelf, key))


def hash_of(shelf: ModelShelf, key: str) -> str:
    """`weights_hash` of a model on the shelf; worked out once for each that is loaded."""
    model = shelf.open(key).model
    if model not in _hashes:
        _hashes[model] = weights_hash(model)
    return _hashes[model]


@lru_cache(maxsize=4)
def _bank(path: Path, modified: int, weights: str) -> EmbeddingBank | None:
    try:
        return read_bank(path, weights=weights)
    except UserError as error:
        # The map works without; whoever runs the app is told.
        print(f"Warning: {error}", file=sys.stderr)
        return None


@lru_cache(maxsize=16)
def _reference(bank: EmbeddingBank, min_area: float) -> Reference:
    return Reference(reference_points(bank, min_area=min_area), tuple(bank.images))
