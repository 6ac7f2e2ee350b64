"""Edits of one pass of the head: what each changes, and that it leaves alone what comes before."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ecenet.model.ecenet import ECENet
from ecenet.model.edits import HeadEdits, StageEdits
from ecenet.model.outputs import ECENetOutput
from tests.support.edited import STAGES, added, at, differing, random_vectors, run

SAU = STAGES[1:-1]
MakeModel = Callable[..., ECENet]


def assert_same_masks(one: ECENetOutput, other: ECENetOutput) -> None:
    """The same probabilities and embeddings: a mask's logits are told by it but for one number in each cell."""
    for name, stage in one.stages.items():
        theirs = other.stages[name]
        torch.testing.assert_close(theirs.mask_logits.softmax(dim=1), stage.mask_logits.softmax(dim=1), msg=name)
        torch.testing.assert_close(theirs.embeddings_after, stage.embeddings_after, rtol=1e-5, atol=1e-5, msg=name)


def test_no_edits_change_no_bit(tiny_model: ECENet, kept: list[Tensor]) -> None:
    plain = run(tiny_model, kept)
    assert differing(plain, run(tiny_model, kept, HeadEdits())) == []
    assert differing(plain, run(tiny_model, kept, HeadEdits(stages={name: StageEdits() for name in STAGES}))) == []


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_giving_a_stage_its_own_mask_changes_nothing(tiny_model: ECENet, kept: list[Tensor], stage: str) -> None:
    plain = run(tiny_model, kept)
    own = plain.stages[stage].mask_logits.softmax(dim=1)
    assert_same_masks(plain, run(tiny_model, kept, at(stage, mask=own)))


def test_giving_every_stage_its_own_mask_changes_nothing(tiny_model: ECENet, kept: list[Tensor]) -> None:
    plain = run(tiny_model, kept)
    own = {name: StageEdits(mask=plain.stages[name].mask_logits.softmax(dim=1)) for name in STAGES[:-1]}
    assert_same_masks(plain, run(tiny_model, kept, HeadEdits(stages=own)))


def test_e0_is_pooled_under_a_given_coarse_mask(tiny_model: ECENet, kept: list[Tensor]) -> None:
    plain = run(tiny_model, kept).stages["ece"]
    mask = random_vectors(2, 4, 4, 6).softmax(dim=1)
    given = run(tiny_model, kept, at("ece", mask=mask)).stages["ece"]
    with torch.no_grad():
        expected = tiny_model.extract.embed(plain.features, mask)
    assert torch.equal(given.embeddings_after, expected)
    assert torch.equal(given.features, plain.features)
    torch.testing.assert_close(given.mask_logits.softmax(dim=1), mask)
    assert given.similarity is given.mask_logits


def test_a_given_sau_mask_feeds_the_updater_and_stands_as_the_stages_mask(
    tiny_model: ECENet, kept: list[Tensor]
) -> None:
    plain = run(tiny_model, kept)
    mask = random_vectors(2, 4, 4, 6).softmax(dim=1)
    output = run(tiny_model, kept, at("stage3", mask=mask))
    given, free = output.stages["stage3"], plain.stages["stage3"]
    assert torch.equal(given.similarity, free.similarity), "what the attention saw is told all the same"
    assert torch.equal(given.features, free.features)
    torch.testing.assert_close(given.mask_logits.softmax(dim=1), mask)
    with torch.no_grad():
        embeddings, _ = tiny_model.update[2](given.embeddings_before, given.features, mask.log())
    torch.testing.assert_close(given.embeddings_after, embeddings)
    changed = differing(plain, output)
    assert changed[:3] == ["stage3.mask_logits", "stage3.embeddings_after", "stage3.gate"], "nothing before it"
    assert "final.mask_logits" in changed


def test_a_class_that_a_mask_denies_still_has_finite_logits(tiny_model: ECENet, kept: list[Tensor]) -> None:
    mask = torch.zeros(2, 4, 4, 6)
    mask[:, 1] = 1
    for stage in ("ece", "stage4"):
        output = run(tiny_model, kept, at(stage, mask=mask))
        assert all(one.mask_logits.isfinite().all() for one in output.stages.values())
        assert (output.stages[stage].mask_logits.argmax(dim=1) == 1).all()


@pytest.mark.parametrize("stage", STAGES)
def test_a_replaced_embedding_enters_its_stage_and_nothing_before_it_changes(
    tiny_model: ECENet, kept: list[Tensor], stage: str
) -> None:
    plain, vector = run(tiny_model, kept), random_vectors(16)
    output = run(tiny_model, kept, at(stage, embeddings={2: vector}))
    before, free = output.stages[stage].embeddings_before, plain.stages[stage].embeddings_before
    assert torch.equal(before[:, 2], vector.expand(2, -1))
    assert torch.equal(before[:, [0, 1, 3]], free[:, [0, 1, 3]])
    earlier = STAGES[: STAGES.index(stage)]
    assert not [name for name in differing(plain, output) if name.split(".")[0] in earlier]
    assert "final.mask_logits" in differing(plain, output)


@pytest.mark.parametrize("stage", STAGES)
def test_replacing_an_embedding_by_itself_changes_no_bit(tiny_model: ECENet, kept: list[Tensor], stage: str) -> None:
    one = [feature[:1] for feature in kept]
    plain = run(tiny_model, one)
    own = {k: plain.stages[stage].embeddings_before[0, k] for k in range(4)}
    assert differing(plain, run(tiny_model, one, at(stage, embeddings=own))) == []


@pytest.mark.parametrize("stage", SAU)
def test_forcing_the_gate_to_its_own_value_changes_no_bit(tiny_model: ECENet, kept: list[Tensor], stage: str) -> None:
    plain = run(tiny_model, kept)
    assert differing(plain, run(tiny_model, kept, at(stage, gate=plain.stages[stage].gate))) == []


def test_a_forced_gate_is_the_stages_gate_and_a_stages_own_goes_before_that_of_all(
    tiny_model: ECENet, kept: list[Tensor]
) -> None:
    plain = run(tiny_model, kept)
    edits = HeadEdits(gate=0.25, stages={"stage2": StageEdits(gate=1.0)})
    output = run(tiny_model, kept, edits)
    for name in SAU:
        gate = output.stages[name].gate
        assert gate is not None
        assert (gate == (1.0 if name == "stage2" else 0.25)).all()
    kept_ones = output.stages["stage2"]
    norm = tiny_model.get_submodule("update.1.norm")
    expected = norm(kept_ones.embeddings_before).detach()
    torch.testing.assert_close(kept_ones.embeddings_after, expected, msg="a gate of 1 takes nothing of the mask")
    assert differing(plain, output)[0] == "stage4.embeddings_after", "nothing before the first gate"


@pytest.mark.parametrize("stage", SAU)
def test_without_attention_the_similarity_is_computed_but_nothing_is_read(
    tiny_model: ECENet, kept: list[Tensor], stage: str
) -> None:
    plain = run(tiny_model, kept)
    output = run(tiny_model, kept, at(stage, attention=False))
    assert differing(plain, output)[0] == f"{stage}.features"
    assert torch.equal(output.stages[stage].similarity, plain.stages[stage].similarity)
    other = run(tiny_model, kept, at(stage, attention=False, embeddings={k: random_vectors(16) for k in range(4)}))
    assert torch.equal(other.stages[stage].features, output.stages[stage].features), "whatever the embeddings hold"


@pytest.mark.parametrize("stage", SAU)
def test_without_its_updater_a_stage_passes_embeddings_on(tiny_model: ECENet, kept: list[Tensor], stage: str) -> None:
    plain = run(tiny_model, kept)
    output = run(tiny_model, kept, at(stage, updater=False))
    assert differing(plain, output)[:2] == [f"{stage}.embeddings_after", f"{stage}.gate"]
    assert output.stages[stage].embeddings_after is output.stages[stage].embeddings_before
    assert output.stages[stage].gate is None


def test_without_the_diverse_branch_features_are_what_the_intrinsic_one_alone_makes(
    tiny_model: ECENet, kept: list[Tensor]
) -> None:
    output = run(tiny_model, kept, HeadEdits(diverse=False))
    reconstruct = tiny_model.reconstruct[-1]
    with torch.no_grad():
        intrinsic = reconstruct.get_submodule("intrinsic")(kept[-1])
        expected = intrinsic + reconstruct.get_parameter("combine.bias").view(1, -1, 1, 1)
    torch.testing.assert_close(output.stages["ece"].features, expected)
    assert differing(run(tiny_model, kept), output)[0] == "ece.features"


def test_edits_move_to_a_device_with_all_their_tensors() -> None:
    edits = HeadEdits(
        stages={"stage4": StageEdits(mask=torch.ones(1), embeddings={1: torch.ones(2)}, gate=torch.ones(1))},
        added=added(2),
        gate=0.5,
    )
    moved = edits.to(torch.device("meta"))
    stage = moved.at("stage4")
    tensors = [stage.mask, stage.embeddings[1], stage.gate, moved.added[0].embeddings]
    assert all(isinstance(tensor, Tensor) and tensor.is_meta for tensor in tensors)
    assert moved.gate == 0.5
