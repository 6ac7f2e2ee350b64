"""Passes of a tiny model's head with edits, and what came out otherwise."""

from typing import Any

import torch
from torch import Tensor

from ecenet.model.edits import AddedClass, HeadEdits, StageEdits
from ecenet.model.network import Network
from ecenet.model.outputs import ECENetOutput, StageOutput

STAGES = ["ece", "stage4", "stage3", "stage2", "stage1", "final"]


def run(model: Network, kept: list[Tensor], edits: HeadEdits | None = None) -> ECENetOutput:
    with torch.no_grad():
        return model.forward_head(kept, edits)


def at(stage: str, **changes: Any) -> HeadEdits:
    return HeadEdits(stages={stage: StageEdits(**changes)})


def differing(one: ECENetOutput, other: ECENetOutput) -> list[str]:
    """`stage.field` of every tensor that is not the same bit by bit."""
    different = []
    for name in one.stages:
        for field, a, b in zip(StageOutput._fields, one.stages[name], other.stages[name], strict=True):
            if (a is None) != (b is None) or (a is not None and b is not None and not torch.equal(a, b)):
                different.append(f"{name}.{field}")
    return different


def random_vectors(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def added(*counts: int) -> tuple[AddedClass, ...]:
    vectors = random_vectors(sum(counts), 16).split(list(counts))
    return tuple(AddedClass(f"new {i}", (i, 0, 0), one) for i, one in enumerate(vectors))
