"""Classes that join the weights' own, and classes that take no part."""

import torch
from torch import Tensor

from ecenet.model.ecenet import ECENet
from ecenet.model.edits import AddedClass, HeadEdits, StageEdits, join_prototypes
from ecenet.model.outputs import ECENetOutput, StageOutput
from tests.support.edited import STAGES, added, random_vectors, run


def test_added_classes_join_behind_the_coarse_mask_and_leave_e0_of_the_others_alone(
    tiny_model: ECENet, kept: list[Tensor]
) -> None:
    plain = run(tiny_model, kept)
    extra = added(1, 2)
    output = run(tiny_model, kept, HeadEdits(added=extra))
    for name, stage in output.stages.items():
        assert stage.mask_logits.shape[1] == stage.embeddings_after.shape[1] == 4 + 3, name
        assert stage.gate is None or stage.gate.shape[1] == 7
    coarse, free = output.stages["ece"], plain.stages["ece"]
    assert torch.equal(coarse.embeddings_after[:, :4], free.embeddings_after)
    for row, vector in zip((4, 5, 6), torch.cat([one.embeddings for one in extra]), strict=True):
        assert torch.equal(coarse.embeddings_after[:, row], vector.expand(2, -1))
    assert torch.equal(coarse.mask_logits[:, :4], free.mask_logits)
    # Far below every class of the cell, so that they do not win between cells either.
    assert (coarse.mask_logits[:, 4:] <= free.mask_logits.amin(dim=1, keepdim=True) - 10).all()
    assert not torch.equal(output.stages["stage4"].features, plain.stages["stage4"].features)


def test_an_added_class_is_a_class_as_good_as_any(tiny_model: ECENet, kept: list[Tensor]) -> None:
    """A copy of a class's embedding behaves as that class does; without the class it takes its place."""
    one = [feature[:1] for feature in kept]
    plain = run(tiny_model, one)
    copy = AddedClass("copy", (0, 0, 0), plain.stages["ece"].embeddings_after[0, 2:3])
    both = run(tiny_model, one, HeadEdits(added=(copy,)))
    instead = run(tiny_model, one, HeadEdits(added=(copy,), without=(2,)))
    for name in STAGES[1:]:
        logits = both.stages[name].mask_logits
        torch.testing.assert_close(logits[:, 4], logits[:, 2])
        ours, theirs = plain.stages[name], instead.stages[name]
        torch.testing.assert_close(theirs.mask_logits[:, [0, 1, 4, 3]], ours.mask_logits, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(theirs.features, ours.features, rtol=1e-4, atol=1e-5)


def test_classes_without_a_part_win_nowhere_but_keep_their_similarity(tiny_model: ECENet, kept: list[Tensor]) -> None:
    plain = run(tiny_model, kept)
    output = run(tiny_model, kept, HeadEdits(without=(0, 3)))
    assert torch.equal(output.stages["ece"].embeddings_after, plain.stages["ece"].embeddings_after)
    assert torch.equal(output.stages["stage4"].similarity, plain.stages["stage4"].similarity)
    for name, stage in output.stages.items():
        assert set(stage.mask_logits.argmax(dim=1).unique().tolist()) <= {1, 2}, name
        others = stage.mask_logits[:, [1, 2]].amin(dim=1, keepdim=True)
        assert (stage.mask_logits[:, [0, 3]] < others - 10).all()


def test_a_given_mask_may_leave_added_classes_out_or_hold_them(tiny_model: ECENet, kept: list[Tensor]) -> None:
    extra = added(1, 2)
    without = random_vectors(2, 4, 4, 6).softmax(dim=1)
    holding = random_vectors(2, 6, 4, 6).softmax(dim=1)
    for stage in ("ece", "stage4"):
        edits = HeadEdits(added=extra, stages={stage: StageEdits(mask=without)})
        logits = run(tiny_model, kept, edits).stages[stage].mask_logits
        torch.testing.assert_close(logits.softmax(dim=1)[:, :4], without)
        assert (logits[:, 4:] < logits[:, :4].amin(dim=1, keepdim=True) - 10).all()

        edits = HeadEdits(added=extra, stages={stage: StageEdits(mask=holding)})
        output = join_prototypes(run(tiny_model, kept, edits), edits.row_classes(4))
        torch.testing.assert_close(output.stages[stage].mask_logits.softmax(dim=1), holding, msg="prototypes or not")


def test_prototypes_act_as_one_class() -> None:
    logits = torch.tensor([1.0, 5.0, 2.0, 7.0]).view(1, 4, 1, 1)
    embeddings = torch.tensor([[0.0, 0.0], [1.0, 3.0], [3.0, 5.0], [9.0, 9.0]])[None]
    stage = StageOutput(torch.zeros(1, 2, 1, 1), logits, logits, embeddings, embeddings, embeddings / 10)
    rows = HeadEdits(added=(AddedClass("a", (0, 0, 0), embeddings[0, 1:3]), *added(1))).row_classes(1)
    assert rows == [0, 1, 1, 2]
    joined = join_prototypes(ECENetOutput(logits, {"final": stage}, torch.zeros(())), rows)
    one = joined.stages["final"]
    assert one.mask_logits.flatten().tolist() == [1, 5, 7], "the highest of their logits"
    assert one.similarity is one.mask_logits
    assert one.embeddings_after.tolist() == [[[0, 0], [2, 4], [9, 9]]], "the mean of their embeddings"
    assert one.gate is not None
    torch.testing.assert_close(one.gate, one.embeddings_after / 10)
    assert joined.logits is one.mask_logits
