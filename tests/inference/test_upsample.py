"""From a stage's grid to the pixels of a photo."""

import pytest
import torch
import torch.nn.functional as F

from ecenet.inference import upsample as detail
from ecenet.inference.upsample import MIN_BAND, classify_pixels, enlarged_logits
from ecenet.model.outputs import StageOutput


@pytest.mark.parametrize("size", [(1, 1), (6, 9), (MIN_BAND, 40), (4 * MIN_BAND + 3, 50), (3, 5)], ids=str)
def test_bands_are_what_the_whole_is(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detail, "BAND_VALUES", 1)  # bands as low as there are
    logits = torch.randn(5, 6, 9, generator=torch.Generator().manual_seed(0)) * 4
    labels, confidence = classify_pixels(logits, size)
    whole = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False).softmax(dim=1)[0]
    top, expected = whole.max(dim=0)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), expected)
    torch.testing.assert_close(confidence, top, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spread", [0.1, 4, 300], ids=lambda spread: f"spread {spread}")
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_many_classes_of_which_few_come_near_are_what_all_are(spread: float, temperature: float) -> None:
    """Also where the highest of neighbouring cells differ by so much that any class may win between them."""
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(45, 7, 9, generator=generator)
    logits[::4] += 3 * spread
    labels, confidence = classify_pixels(logits, (61, 83), temperature=temperature)
    whole = F.interpolate(logits[None], size=(61, 83), mode="bilinear", align_corners=False)[0] / temperature
    top, expected = whole.softmax(dim=0).max(dim=0)
    assert torch.equal(labels.long(), expected)
    torch.testing.assert_close(confidence, top, rtol=1e-4, atol=1e-5)


def test_a_class_that_wins_only_between_cells_is_found() -> None:
    # Half way between the cells 0 and 1 have −50, and 2, which is −11 in both, is the highest.
    logits = torch.tensor([[[0.0, -100.0]], [[-100.0, 0.0]], [[-11.0, -11.0]], [[-20.0, -20.0]]])
    labels, confidence = classify_pixels(logits, (1, 5))
    assert labels.tolist() == [[0, 0, 2, 1, 1]]
    assert confidence[0, 2] == pytest.approx(1 / (1 + torch.tensor(-9.0).exp().item()))


def test_a_pixel_between_two_cells_has_what_lies_between() -> None:
    # One column of two cells on four pixels: 0, 1/4, 3/4 and 1 of the way from the first to the second.
    logits = torch.tensor([[[0.0], [8.0]], [[3.0], [3.0]]])
    labels, confidence = classify_pixels(logits, (4, 1))
    assert labels.flatten().tolist() == [1, 1, 0, 0]
    expected = torch.tensor([3.0, 1.0, 3.0, 5.0]).sigmoid()
    torch.testing.assert_close(confidence.flatten(), expected)


def test_the_logits_stay_what_they_are() -> None:
    logits = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    kept = logits.clone()
    classify_pixels(logits, (4, 4))
    assert torch.equal(logits, kept)


def test_masks_are_enlarged_before_they_are_combined() -> None:
    generator = torch.Generator().manual_seed(0)
    masks, shares = 4 * torch.randn(1, 4, 5, 6, generator=generator), torch.rand(1, 4, 3, generator=generator)
    size = (41, 50)
    enlarged = F.interpolate(masks, size=size, mode="bilinear", align_corners=False)
    expected = torch.einsum("bqk,bqhw->bkhw", shares, enlarged.sigmoid())
    labels, confidence = classify_pixels(masks[0], size, class_shares=shares[0])
    assert torch.equal(labels.long(), expected[0].argmax(dim=0))
    torch.testing.assert_close(confidence, (expected / expected.sum(dim=1, keepdim=True))[0].amax(dim=0))
    nothing = torch.zeros(1)
    stage = StageOutput(nothing, nothing, nothing, nothing, nothing, None, masks=masks, class_shares=shares)
    torch.testing.assert_close(enlarged_logits(stage, size).exp(), expected)
