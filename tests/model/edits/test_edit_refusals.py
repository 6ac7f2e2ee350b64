"""Edits that weights or features cannot follow, each refused in one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.model.ecenet import ECENet
from ecenet.model.edits import AddedClass, HeadEdits
from tests.support.edited import STAGES, at, run
from tests.support.refusals import refused

MakeModel = Callable[..., ECENet]
UNIFORM = torch.full((2, 4, 4, 6), 0.25)


@pytest.mark.parametrize(
    ("edits", "refusal"),
    [
        (at("stage5"), ("unknown-choice", ", ".join(STAGES), "'stage5'")),
        (at("ece", gate=0.5), ("unknown-choice", "attention", "updater", "gate", "ece")),
        (at("final", attention=False), ("unknown-choice", "attention", "updater", "gate", "final")),
        (at("final", mask=UNIFORM), ("unknown-choice", "mask", "final")),
        (at("stage4", mask=UNIFORM[:, :, :3]), ("size-mismatch", "2×4×4×6", "stage4", "2×4×3×6")),
        (at("stage2", mask=UNIFORM), ("size-mismatch", "2×4×8×12", "stage2", "2×4×4×6")),
        (at("ece", mask=2 * UNIFORM), ("invalid-value", "ece", 1, "2 … 2")),
        (at("ece", mask=UNIFORM - 1), ("invalid-value", "ece", 1, "-0.75 … -0.75")),
        (at("ece", mask=UNIFORM * float("nan")), ("invalid-value", "ece", 1, "nan … nan")),
        (at("stage4", embeddings={4: torch.zeros(16)}), ("unknown-choice", "0 … 3", 4)),
        (at("stage4", embeddings={0: torch.zeros(8)}), ("wrong-weights", 16, "class 0 at stage4", 8)),
        (at("stage4", embeddings={0: torch.full((16,), float("inf"))}), ("wrong-weights", "stage4", "not all finite")),
        (at("stage4", gate=1.5), ("out-of-range", "gate", "0 … 1", "1.5 … 1.5")),
        (at("stage4", gate=torch.ones(2, 5, 16)), ("out-of-range", "gate", "2×4×16", "2×5×16")),
        (HeadEdits(gate=-0.1), ("out-of-range", "gate", "0 … 1", "-0.1 … -0.1")),
        (HeadEdits(gate=float("nan")), ("out-of-range", "gate", "0 … 1", "nan … nan")),
        (HeadEdits(without=(4,)), ("unknown-choice", "0 … 3", 4)),
        (HeadEdits(without=(0, 1, 2, 3)), ("conflicting-options", "class")),
        (
            HeadEdits(added=(AddedClass("a", (0, 0, 0), torch.zeros(1, 8)),)),
            ("wrong-weights", "1×16", "class 'a'", "1×8"),
        ),
        (
            HeadEdits(added=(AddedClass("a", (0, 0, 0), torch.zeros(0, 16)),)),
            ("wrong-weights", "1×16", "class 'a'", "0×16"),
        ),
    ],
)
def test_edits_that_a_head_cannot_follow_are_refused_in_one_sentence(
    tiny_model: ECENet, kept: list[Tensor], edits: HeadEdits, refusal: tuple[Any, ...]
) -> None:
    with refused(*refusal) as caught:
        run(tiny_model, kept, edits)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "edits", "named"),
    [
        ({"updater": "added"}, HeadEdits(gate=0.5), ("gated updater", "added")),
        ({"updater": "off"}, at("stage4", gate=0.5), ("gated updater", "off")),
        ({"reconstruction": "off"}, HeadEdits(diverse=False), ("Feature Reconstruction",)),
        ({"embeddings": "learned"}, at("ece", mask=UNIFORM), ("embeddings: explicit",)),
    ],
)
def test_weights_without_the_part_refuse_to_change_it(
    make_model: MakeModel, images: Tensor, overrides: dict[str, Any], edits: HeadEdits, named: tuple[str, ...]
) -> None:
    model = make_model(**overrides)
    with torch.no_grad(), refused("unsupported-by-weights", *named):
        model.forward_head(model.backbone(images), edits)
