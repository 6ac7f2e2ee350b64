"""The bank that the Evaluate tab shows."""

from typing import NamedTuple

from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank
from ecenet.app.state.session import Session
from ecenet.evaluation.bank import EmbeddingBank


class Source(NamedTuple):
    bank: EmbeddingBank
    own: bool
    """Whether the visitor opened it, rather than the one beside the weights."""


def source_of(session: Session, opened: EmbeddingBank | None, *, registry: ModelRegistry) -> Source | None:
    """Return the opened bank if it was made with the selected model, else the one beside the weights, or None."""
    if opened is not None and opened.about["weights_hash"] == registry.open(session.model).weights_hash:
        return Source(opened, own=True)
    bank = find_bank(registry, session.model)
    return None if bank is None else Source(bank, own=False)
