"""Steps from our design to the authors' release, and gates and candidates of ours: edits, batches, permuted classes and
compilers do with each what they do with the defaults. What each computes is in `test_switches.py`."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ecenet.model.ecenet import ECENet
from ecenet.model.edits import AddedClass, HeadEdits, StageEdits
from ecenet.training.config import LossConfig
from ecenet.training.losses.segmentation import segmentation_losses
from tests.support.edited import STAGES, at, differing, run
from tests.support.helpers import SWITCHES

SAU = STAGES[1:-1]
MakeModel = Callable[..., ECENet]
each_switch = pytest.mark.parametrize("overrides", SWITCHES, ids=lambda o: "-".join(map(str, o.values())))


@each_switch
def test_an_image_does_not_depend_on_its_batch(
    make_model: MakeModel, overrides: dict[str, Any], images: Tensor
) -> None:
    model = make_model(**overrides)
    with torch.no_grad():
        both, alone = model(images), model(images[1:])
    for name, stage in both.stages.items():
        torch.testing.assert_close(alone.stages[name].mask_logits[0], stage.mask_logits[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            alone.stages[name].embeddings_after[0], stage.embeddings_after[1], rtol=1e-4, atol=1e-5
        )


@each_switch
def test_edits_do_what_they_say(make_model: MakeModel, overrides: dict[str, Any], images: Tensor) -> None:
    model = make_model(**overrides)
    with torch.no_grad():
        kept = model.backbone(images)
    plain = run(model, kept)
    assert differing(plain, run(model, kept, HeadEdits())) == []

    own = {name: StageEdits(mask=plain.stages[name].mask_logits.softmax(dim=1)) for name in STAGES[:-1]}
    same = run(model, kept, HeadEdits(stages=own))
    for name, stage in plain.stages.items():
        torch.testing.assert_close(same.stages[name].embeddings_after, stage.embeddings_after, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(same.logits.softmax(dim=1), plain.logits.softmax(dim=1), rtol=1e-3, atol=1e-4)
    for name in STAGES[:-1]:
        other = run(model, kept, at(name, mask=own[name].mask[:, [1, 0, 2, 3]]))  # type: ignore[index]
        assert not torch.equal(other.stages[name].embeddings_after, plain.stages[name].embeddings_after)
        assert torch.equal(other.stages[name].features, plain.stages[name].features)

    for name in SAU:
        stage = plain.stages[name]
        assert differing(plain, run(model, kept, at(name, gate=stage.gate))) == []
        off = run(model, kept, at(name, updater=False)).stages[name]
        assert off.embeddings_after is off.embeddings_before
        assert off.gate is None
        unread = run(model, kept, at(name, attention=False))
        assert differing(plain, unread)[0] == f"{name}.features"
        assert torch.equal(unread.stages[name].similarity, stage.similarity)
    keeps = 0.0 if model.parts.gate_adds else 1.0
    one, two = (
        run(model, kept, at("stage4", gate=keeps, mask=mask)).stages["stage4"] for mask in (None, own["ece"].mask)
    )
    assert torch.equal(one.embeddings_after, two.embeddings_after), "nothing of the mask's evidence"

    silent = run(model, kept, HeadEdits(without=(0, 3)))
    assert torch.equal(silent.stages["ece"].embeddings_after, plain.stages["ece"].embeddings_after)
    assert all(set(stage.mask_logits.argmax(dim=1).unique().tolist()) <= {1, 2} for stage in silent.stages.values())
    assert differing(plain, run(model, kept, HeadEdits(diverse=False)))[0] == "ece.features"
    if model.parts.new_classes:
        copied = AddedClass("copy", (0, 0, 0), plain.stages["ece"].embeddings_after[:1, 2])
        with_copy = run(model, [feature[:1] for feature in kept], HeadEdits(added=(copied,)))
        logits = with_copy.stages["stage1"].mask_logits
        torch.testing.assert_close(logits[:, 4], logits[:, 2])


@each_switch
@torch.inference_mode()
def test_permuting_the_coarse_masks_permutes_everything_after_them(
    make_model: MakeModel, overrides: dict[str, Any], images: Tensor
) -> None:
    model, order = make_model(**overrides), torch.tensor([2, 0, 3, 1])
    permuted = copy.deepcopy(model)
    last = permuted.extract.mask[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    stand_ins = [] if permuted.extract.stand_ins is None else [permuted.extract.stand_ins]
    for rows in (last.weight, last.bias, *stand_ins):
        rows.data = rows.data[order]
    plain, swapped = model(images), permuted(images)
    for name, stage in plain.stages.items():
        torch.testing.assert_close(swapped.stages[name].mask_logits, stage.mask_logits[:, order], rtol=1e-4, atol=1e-4)


@each_switch
def test_the_coarse_mask_learns_from_its_own_supervision_alone(
    make_model: MakeModel, overrides: dict[str, Any], images: Tensor
) -> None:
    model = make_model(**overrides)
    model(images).logits.square().sum().backward()
    assert all(parameter.grad is None for parameter in model.extract.mask.parameters())


def test_with_all_of_them_it_is_compiled_in_one_graph_and_exported(make_model: MakeModel, images: Tensor) -> None:
    model = make_model(**SWITCHES[-1])
    expected = run(model, model.backbone(images))
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(model, backend="eager", fullgraph=True)(images)
        exported = torch.export.export(model, (images,)).module()(images)
    for output in (compiled, exported):
        for name, stage in expected.stages.items():
            torch.testing.assert_close(output.stages[name].mask_logits, stage.mask_logits, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(
                output.stages[name].embeddings_after, stage.embeddings_after, rtol=1e-4, atol=1e-4
            )


def test_with_all_of_them_it_learns(make_model: MakeModel) -> None:
    model = make_model(**SWITCHES[-1]).train()
    labels = torch.zeros(2, 64, 64, dtype=torch.long)
    labels[:, :32, 48:], labels[:, 32:] = 1, 2
    batch = torch.eye(3)[labels].permute(0, 3, 1, 2) * 2 - 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        losses.append(segmentation_losses(model(batch), labels, LossConfig()).total)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]
