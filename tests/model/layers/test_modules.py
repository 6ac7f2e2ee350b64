"""Each module's arithmetic against numbers worked out by other means."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecenet.model.layers.class_extraction import ClassExtraction, masked_mean, pyramid_cells
from ecenet.model.layers.reconstruction import FeatureReconstruction, JoinedReconstruction, diversity_loss
from ecenet.model.layers.semantics import EmbeddingUpdater, SemanticsAttention

FEATURES = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
MASKS = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]]])[None]


def test_masked_mean_weighs_cells_and_gives_zeros_without_weight() -> None:
    features = torch.tensor([[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]])
    weights = torch.tensor([[[1.0, 1.0, 0.0], [0.0, 0.5, 1.5], [0.0, 0.0, 0.0]]])
    expected = torch.tensor([[[1.5, 15.0], [2.75, 27.5], [0.0, 0.0]]])
    torch.testing.assert_close(masked_mean(features, weights), expected)


def test_masked_mean_takes_maps_as_well_as_cells() -> None:
    features, weights = torch.rand(2, 5, 3, 4), torch.rand(2, 6, 3, 4)
    torch.testing.assert_close(masked_mean(features, weights), masked_mean(features.flatten(2), weights.flatten(2)))


def test_pyramid_cells_are_the_full_grid_and_then_its_averages() -> None:
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    full, halves, whole = pyramid_cells(maps, grids=(2, 1)).split([16, 4, 1], dim=2)
    assert full.flatten().tolist() == list(range(16))
    assert halves.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert whole.item() == 7.5


@pytest.mark.parametrize(
    ("pool_grids", "expected"),
    [
        ((), [1.0, 0.0, (2 + 3 + 4) / 3]),
        # One more cell, worth 2.5, which each class weighs by its share of the image.
        ((1,), [(1 + 0.25 * 2.5) / 1.25, 0.0, (2 + 3 + 4 + 0.75 * 2.5) / 3.75]),
    ],
)
def test_embed_pools_under_each_mask_over_all_cells_jointly(pool_grids: tuple[int, ...], expected: list[float]) -> None:
    extract = ClassExtraction(
        width=1, embed_dim=1, num_classes=3, pool_grids=pool_grids, masks_only=False, stand_ins=False
    )
    identity: Any = nn.Identity()
    extract.project = extract.norm = identity
    nn.init.zeros_(extract.presence.weight)
    torch.testing.assert_close(extract.embed(FEATURES, MASKS).flatten(), torch.tensor(expected))


def test_embed_tells_a_class_that_is_there_from_one_that_is_nowhere_by_its_mask_s_peak() -> None:
    extract = ClassExtraction(width=1, embed_dim=1, num_classes=2, pool_grids=(), masks_only=False, stand_ins=False)
    identity: Any = nn.Identity()
    extract.project = extract.norm = identity
    nn.init.constant_(extract.presence.weight, 10.0)
    features = torch.full((1, 1, 2, 2), 3.0)
    masks = torch.tensor([[0.1, 0.9, 0.2, 0.3], [0.0, 0.0, 0.1, 0.0]]).view(1, 2, 2, 2)
    assert extract.embed(features, masks).flatten().tolist() == pytest.approx([3 + 9, 3 + 1])


def test_embed_projects_and_normalises_what_it_pooled() -> None:
    extract = ClassExtraction(width=4, embed_dim=4, num_classes=3, pool_grids=(), masks_only=False, stand_ins=False)
    features, masks = torch.randn(2, 4, 3, 5), torch.rand(2, 3, 3, 5)
    pooled = (masks[:, :, None] * features[:, None]).sum(dim=(3, 4)) / masks.sum(dim=(2, 3))[..., None]
    torch.testing.assert_close(
        extract.embed(features, masks),
        extract.norm(extract.project(pooled) + extract.presence(masks.amax(dim=(2, 3))[..., None])),
    )


def updater_inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings, features = torch.randn(2, 3, 8, generator=generator), torch.randn(2, 8, 4, 5, generator=generator)
    return embeddings, features, torch.randn(2, 3, 4, 5, generator=generator)


def test_gate_of_one_keeps_the_embedding_and_gate_of_zero_takes_the_candidate() -> None:
    update = EmbeddingUpdater(width=8, embed_dim=8, mode="gated")
    embeddings, features, similarity = updater_inputs()
    candidate = update.candidate(masked_mean(features, similarity.softmax(dim=1)))
    for gate, expected in ((1.0, embeddings), (0.0, candidate)):
        updated, used = update(embeddings, features, similarity, gate=torch.tensor(gate))
        torch.testing.assert_close(updated, update.norm(expected))
        assert used.shape == embeddings.shape
        assert (used == gate).all()


def test_forcing_the_gate_to_its_own_value_changes_nothing() -> None:
    update = EmbeddingUpdater(width=8, embed_dim=8, mode="gated")
    inputs = updater_inputs()
    free, gate = update(*inputs)
    forced, _ = update(*inputs, gate=gate)
    other, _ = update(*inputs, gate=1 - gate)
    torch.testing.assert_close(free, forced, rtol=0, atol=0)
    assert not torch.allclose(free, other)


def test_added_updater_adds_the_candidate() -> None:
    update = EmbeddingUpdater(width=8, embed_dim=8, mode="added")
    embeddings, features, similarity = updater_inputs()
    candidate = update.candidate(masked_mean(features, similarity.softmax(dim=1)))
    updated, gate = update(embeddings, features, similarity)
    torch.testing.assert_close(updated, update.norm(embeddings + candidate))
    assert gate is None


def test_folded_attention_is_attention_with_four_projections() -> None:
    attend = SemanticsAttention(width=8, embed_dim=8, ffn_ratio=2.0)
    features, embeddings = torch.randn(2, 8, 4, 5), torch.randn(2, 3, 8)
    query, key, value, out = (torch.randn(8, 8) / 8**0.5 for _ in range(4))
    with torch.no_grad():
        attend.key.weight.copy_(query.T @ key)
        attend.value.weight.copy_(out @ value)
        attend.value.bias.zero_()
    cells = attend.query_norm(features).flatten(2).transpose(1, 2)
    q, k, v = cells @ query.T, embeddings @ key.T, embeddings @ value.T
    read = F.scaled_dot_product_attention(q, k, v) @ out.T
    expected = attend.norm(features + read.transpose(1, 2).reshape(features.shape))

    enhanced, similarity = attend(features, embeddings)
    torch.testing.assert_close(similarity.flatten(2).transpose(1, 2), q @ k.transpose(1, 2) / 8**0.5)
    torch.testing.assert_close(enhanced, expected + attend.ffn(expected), rtol=1e-4, atol=1e-5)


def test_attention_with_its_own_weights_is_softmax_of_scaled_products() -> None:
    attend = SemanticsAttention(width=8, embed_dim=8, ffn_ratio=1.0)
    features, embeddings = torch.randn(1, 8, 2, 3), torch.randn(1, 4, 8)
    enhanced, similarity = attend(features, embeddings)
    queries, keys = attend.query_norm(features)[0], embeddings[0] @ attend.key.weight.T
    values = embeddings[0] @ attend.value.weight.T + attend.value.bias
    for row, column in ((0, 0), (1, 2)):
        scores = keys @ queries[:, row, column] / 8**0.5
        torch.testing.assert_close(similarity[0, :, row, column], scores)
        read = sum(share * value for share, value in zip(scores.exp() / scores.exp().sum(), values, strict=True))
        cell = (features[0, :, row, column] + read).view(1, 8, 1, 1)
        normed = attend.norm(cell).flatten()
        before_ffn = enhanced - attend.ffn(attend.norm(features + read_everywhere(similarity, values)))
        torch.testing.assert_close(before_ffn[0, :, row, column], normed, rtol=1e-4, atol=1e-5)


def test_a_mask_is_added_to_the_scores_before_embeddings_are_read() -> None:
    attend = SemanticsAttention(width=8, embed_dim=8, ffn_ratio=1.0)
    features, embeddings, mask = torch.randn(1, 8, 2, 3), torch.randn(1, 4, 8), torch.randn(1, 4, 2, 3)
    _, scores = attend(features, embeddings)
    enhanced, similarity = attend(features, embeddings, mask=mask)
    torch.testing.assert_close(similarity, scores + mask)
    read = read_everywhere(similarity, attend.value(embeddings)[0])
    normed = attend.norm(features + read)
    torch.testing.assert_close(enhanced, normed + attend.ffn(normed))


def read_everywhere(similarity: Tensor, values: Tensor) -> Tensor:
    return torch.einsum("bkhw,kd->bdhw", similarity.softmax(dim=1), values)


def uncorrelated(channels: int) -> Tensor:
    """(1, channels, 8, 8): zero-mean maps at right angles to each other."""
    maps = torch.randn(64, channels, generator=torch.Generator().manual_seed(0))
    orthogonal, _ = torch.linalg.qr(maps - maps.mean(dim=0))
    return orthogonal.T.reshape(1, channels, 8, 8)


def test_diversity_loss_is_zero_for_uncorrelated_channels() -> None:
    intrinsic, diverse = uncorrelated(8).split(4, dim=1)
    assert diversity_loss(intrinsic, diverse).item() == pytest.approx(0, abs=1e-6)


def test_diversity_loss_counts_scale_shift_and_sign_as_redundant() -> None:
    one = uncorrelated(1)
    intrinsic = one.repeat(1, 4, 1, 1)
    diverse = torch.cat([one, 3 * one, one + 7, -one], dim=1)
    assert diversity_loss(intrinsic, diverse).item() == pytest.approx(2, abs=1e-4)


def test_diversity_loss_counts_copies_of_the_intrinsic_branch() -> None:
    maps = uncorrelated(4)
    assert diversity_loss(maps, maps).item() == pytest.approx(1 / 4, abs=1e-5), "4 of 16 pairs are copies"


def test_diversity_loss_stays_in_range_and_has_finite_gradients_on_flat_maps() -> None:
    intrinsic, diverse = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert 0 < diversity_loss(intrinsic, diverse).item() < 2
    flat = torch.ones(1, 4, 8, 8, requires_grad=True)
    loss = diversity_loss(intrinsic[:1], flat)
    loss.backward()
    assert loss.item() == 0
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_feature_reconstruction_adds_the_diverse_branch_to_the_intrinsic_one() -> None:
    reconstruct = FeatureReconstruction(in_channels=5, width=8)
    features = torch.randn(2, 5, 4, 6)
    combined, intrinsic, diverse = reconstruct(features)
    assert combined.shape == intrinsic.shape == diverse.shape == (2, 8, 4, 6)
    added = torch.einsum("oc,bchw->bohw", reconstruct.combine.weight[:, :, 0, 0], diverse)
    bias = reconstruct.get_parameter("combine.bias").view(1, 8, 1, 1)
    torch.testing.assert_close(combined, intrinsic + added + bias, rtol=1e-4, atol=1e-5)
    without, same, zeros = reconstruct(features, diversify=False)
    torch.testing.assert_close(without, intrinsic + bias)
    assert torch.equal(same, intrinsic)
    assert not zeros.any()


def test_joined_reconstruction_combines_both_halves() -> None:
    reconstruct = JoinedReconstruction(in_channels=5, width=8)
    combined, intrinsic, diverse = reconstruct(torch.randn(2, 5, 4, 6))
    assert (combined.shape, intrinsic.shape, diverse.shape) == ((2, 8, 4, 6), (2, 4, 4, 6), (2, 4, 4, 6))
    weight = reconstruct.combine.weight[:, :, 0, 0]
    expected = torch.einsum("oc,bchw->bohw", weight, torch.cat([intrinsic, diverse], dim=1))
    torch.testing.assert_close(
        combined, expected + reconstruct.get_parameter("combine.bias").view(1, 8, 1, 1), rtol=1e-4, atol=1e-5
    )
