"""Edits of a forward pass of the release's design."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.common.error_codes import ErrorCode
from ecenet.model.edits import AddedClass, HeadEdits
from ecenet.model.outputs import ECENetOutput
from ecenet.model.release import ECENetRelease
from tests.support.edited import at, differing, run
from tests.support.helpers import small_release
from tests.support.refusals import refused

K, D = 3, 16


@pytest.fixture(scope="module")
def model() -> ECENetRelease:
    return small_release()


@pytest.fixture
def features(model: ECENetRelease, images: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return model.backbone(images)


def own_mask(output: ECENetOutput, stage: str) -> Tensor:
    return output.stages[stage].mask_logits.softmax(dim=1)


@pytest.mark.parametrize("stage", ["ece", "stage3", "stage2", "stage1"])
def test_a_given_mask_is_pooled_and_the_predicted_one_changes_nothing(
    stage: str, model: Any, features: list[Tensor]
) -> None:
    plain = run(model, features)
    same = run(model, features, at(stage, mask=own_mask(plain, stage)))
    for name, one in plain.stages.items():
        torch.testing.assert_close(same.stages[name].mask_logits, one.mask_logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(same.stages[name].embeddings_after, one.embeddings_after, rtol=1e-3, atol=1e-4)
    swapped = run(model, features, at(stage, mask=own_mask(plain, stage)[:, [1, 0, 2]]))
    if stage == "ece":
        before, after = plain.stages["ece"].embeddings_after, swapped.stages["ece"].embeddings_after
        torch.testing.assert_close(after, before[:, [1, 0, 2]], rtol=1e-4, atol=1e-5)
    else:
        assert not torch.equal(swapped.stages[stage].embeddings_after, plain.stages[stage].embeddings_after)
        assert torch.equal(swapped.stages[stage].similarity, plain.stages[stage].similarity)
    assert not torch.equal(swapped.logits, plain.logits)


def test_nothing_given_is_surer_than_what_was_predicted(model: Any, features: list[Tensor]) -> None:
    plain = run(model, features)
    grid = plain.stages["ece"].mask_logits.shape[2:]
    sure = torch.zeros(2, K, *grid)
    sure[:, 1] = 1
    given = run(model, features, at("ece", mask=sure)).stages["ece"].mask_logits
    predicted = plain.stages["ece"].mask_logits
    for image in range(2):
        assert (given[image, 1] == predicted[image].max()).all()
        assert (given[image, [0, 2]] == predicted[image].min()).all()


def test_what_a_stage_edit_reaches(model: Any, features: list[Tensor]) -> None:
    plain = run(model, features)
    off = run(model, features, at("stage1", updater=False))
    assert off.stages["stage1"].gate is None
    assert differing(plain, off) == [
        *("stage1.embeddings_after", "stage1.gate"),
        *("final.mask_logits", "final.embeddings_before", "final.embeddings_after"),
    ]
    unread = differing(plain, run(model, features, at("stage2", attention=False)))
    assert {"stage2.features", "final.features"} <= set(unread)
    assert not {"stage2.similarity", "stage2.mask_logits", "stage1.similarity"} & set(unread)
    forced = run(model, features, HeadEdits(gate=0.25)).stages["stage3"].gate
    assert forced is not None
    assert torch.equal(forced, torch.full_like(forced, 0.25))
    silent = run(model, features, HeadEdits(without=(1,)))
    assert all((stage.mask_logits.argmax(dim=1) != 1).all() for stage in silent.stages.values())
    moved = differing(plain, run(model, features, at("stage2", embeddings={0: torch.zeros(D)})))
    assert "stage3.mask_logits" not in moved
    assert {"stage2.similarity", "stage1.similarity", "final.mask_logits"} <= set(moved)
    flat = differing(plain, run(model, features, HeadEdits(diverse=False)))
    assert {"ece.features", "ece.mask_logits", "stage1.features", "final.mask_logits"} <= set(flat)


@pytest.mark.parametrize(
    ("edits", "code", "named"),
    [
        (
            HeadEdits(added=(AddedClass("a", (0, 0, 0), torch.zeros(1, D)),)),
            "unsupported-by-weights",
            ["'a'", "release", "trans"],
        ),
        (at("stage4", attention=False), "unknown-choice", ["ece, stage3, stage2, stage1, final", "'stage4'"]),
        (at("ece", mask=torch.full((2, K, 4, 6), 1 / K)), "size-mismatch", ["2×3×2×3", "ece", "2×3×4×6"]),
        (HeadEdits(gate=2.0), "out-of-range", ["0 … 1"]),
        (at("final", gate=0.5), "unknown-choice", ["final"]),
    ],
)
def test_edits_that_it_cannot_follow_are_refused(
    edits: HeadEdits, code: ErrorCode, named: list[object], model: Any, features: list[Tensor]
) -> None:
    with refused(code, *named) as caught:
        run(model, features, edits)
    assert "\n" not in str(caught.value)
