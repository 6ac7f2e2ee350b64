"""Edits that weights or features cannot follow, each refused in one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.common.errors import UserError
from ecenet.model.ecenet import ECENet
from ecenet.model.edits import AddedClass, HeadEdits
from tests.support.edited import at, run

MakeModel = Callable[..., ECENet]
UNIFORM = torch.full((2, 4, 4, 6), 0.25)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (at("stage5"), "Expected a stage among ece, stage4, .*final, got 'stage5'; choose"),
        (at("ece", gate=0.5), "Expected attention, updater and gate .* got ece"),
        (at("final", attention=False), "Expected attention, updater and gate .* got final"),
        (at("final", mask=UNIFORM), "Expected a mask for ece or a SAU stage, got one for final"),
        (at("stage4", mask=UNIFORM[:, :, :3]), "Expected a mask of 2×4×4×6 .* for stage4, got 2×4×3×6; make"),
        (at("stage2", mask=UNIFORM), "Expected a mask of 2×4×8×12 .* for stage2, got 2×4×4×6; make"),
        (at("ece", mask=2 * UNIFORM), "probabilities that add up to 1 .* sums of 2 … 2; give"),
        (at("ece", mask=UNIFORM - 1), "probabilities that add up to 1 in every cell, got values of -0.75"),
        (at("ece", mask=UNIFORM * float("nan")), "probabilities that add up to 1"),
        (at("stage4", embeddings={4: torch.zeros(16)}), "Expected a class of 0 … 3, got 4"),
        (at("stage4", embeddings={0: torch.zeros(8)}), "Expected 16 finite numbers .* class 0 at stage4, got 8"),
        (at("stage4", embeddings={0: torch.full((16,), float("inf"))}), "got 16 that are not all finite"),
        (at("stage4", gate=1.5), "Expected a gate of 0 … 1 .* got 1.5 … 1.5"),
        (at("stage4", gate=torch.ones(2, 5, 16)), "broadcasts to 2×4×16"),
        (HeadEdits(gate=-0.1), "Expected a gate of 0 … 1"),
        (HeadEdits(gate=float("nan")), "Expected a gate of 0 … 1"),
        (HeadEdits(without=(4,)), "Expected a class of 0 … 3, got 4"),
        (HeadEdits(without=(0, 1, 2, 3)), "Expected a class that takes part, got none"),
        (HeadEdits(added=(AddedClass("a", (0, 0, 0), torch.zeros(1, 8)),)), "Expected 1×16 .* class 'a', got 1×8"),
        (HeadEdits(added=(AddedClass("a", (0, 0, 0), torch.zeros(0, 16)),)), "Expected 1×16 .* got 0×16"),
    ],
)
def test_edits_that_a_head_cannot_follow_are_refused_in_one_sentence(
    tiny_model: ECENet, kept: list[Tensor], edits: HeadEdits, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        run(tiny_model, kept, edits)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "edits", "message"),
    [
        ({"updater": "added"}, HeadEdits(gate=0.5), "gated updater, got one of the mode added"),
        ({"updater": "off"}, at("stage4", gate=0.5), "gated updater, got one of the mode off"),
        ({"reconstruction": "off"}, HeadEdits(diverse=False), "Expected weights with Feature Reconstruction"),
        ({"embeddings": "learned"}, at("ece", mask=UNIFORM), "Expected a model with explicit embeddings"),
    ],
)
def test_weights_without_the_part_refuse_to_change_it(
    make_model: MakeModel, images: Tensor, overrides: dict[str, Any], edits: HeadEdits, message: str
) -> None:
    model = make_model(**overrides)
    with torch.no_grad(), pytest.raises(UserError, match=message):
        model.forward_head(model.backbone(images), edits)
