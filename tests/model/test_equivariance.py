"""Behind the coarse mask only the stand-ins know which class is which: embeddings are all that layers see. Ours."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ecenet.model.ecenet import ECENet


@torch.inference_mode()
def test_permuting_the_coarse_masks_permutes_everything_after_them(tiny_model: ECENet, images: Tensor) -> None:
    order = torch.tensor([2, 0, 3, 1])
    permuted = copy.deepcopy(tiny_model)
    last = permuted.extract.mask[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    assert permuted.extract.stand_ins is not None
    for rows in (last.weight, last.bias, permuted.extract.stand_ins):
        rows.data = rows.data[order]

    plain, swapped = tiny_model(images), permuted(images)
    for name, stage in plain.stages.items():
        torch.testing.assert_close(swapped.stages[name].mask_logits, stage.mask_logits[:, order])
        torch.testing.assert_close(swapped.stages[name].embeddings_after, stage.embeddings_after[:, order])


def test_the_coarse_mask_learns_from_its_own_supervision_alone(tiny_model: ECENet, images: Tensor) -> None:
    output = tiny_model(images)
    output.logits.square().sum().backward()
    mask = tiny_model.extract.mask
    assert all(parameter.grad is None for parameter in mask.parameters())
    output = tiny_model(images)
    output.stages["ece"].mask_logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in mask.parameters())


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_embeddings_do_not_depend_on_how_strong_a_mask_is_but_for_its_peak(
    make_model: Callable[..., ECENet], factor: float
) -> None:
    tiny_model = make_model(stand_ins=False)
    generator = torch.Generator().manual_seed(0)
    features, masks = torch.randn(1, 16, 4, 6, generator=generator), torch.rand(1, 4, 4, 6, generator=generator)
    nn.init.zeros_(tiny_model.extract.presence.weight)
    torch.testing.assert_close(
        tiny_model.extract.embed(features, masks * factor),
        tiny_model.extract.embed(features, masks),
        rtol=1e-3,
        atol=1e-3,
    )
