"""Steps from our design to the authors' release, and gates and candidates of ours: what each computes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecenet.model.config import ModelConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.edits import AddedClass, HeadEdits
from ecenet.model.layers.class_extraction import LogitsExtraction, masked_mean
from ecenet.model.layers.reconstruction import NarrowedReconstruction
from ecenet.model.layers.release_parts import GatedAddition, position_diversity_loss
from ecenet.model.layers.semantics import EmbeddingUpdater, SemanticsAttention
from ecenet.model.network import as_ecenet
from tests.support.edited import at, differing, random_vectors, run
from tests.support.helpers import small_model, small_segvit
from tests.support.refusals import refused

MakeModel = Callable[..., ECENet]


def test_embeddings_of_logits_are_the_releases_pyramid_of_the_coarse_mask_alone(
    make_model: MakeModel, images: Tensor
) -> None:
    model = make_model(extraction="logits")
    extract = model.extract
    assert isinstance(extract, LogitsExtraction)
    assert extract.stand_ins is None
    with torch.no_grad():
        coarse = model(images).stages["ece"]
        grids = (1, 2, 3, 6, 3)  # the last for four classes
        pooled = [F.adaptive_avg_pool2d(coarse.mask_logits, side).flatten(2) for side in grids]
        expected = extract.norm(extract.pyramid.project(torch.cat(pooled, dim=2)))
        other = extract.first_embeddings(torch.randn_like(coarse.features), coarse.mask_logits)
    torch.testing.assert_close(coarse.embeddings_after, expected)
    assert torch.equal(other, coarse.embeddings_after), "no feature enters"


def test_a_mask_of_logits_is_given_within_the_predicted_ones_range(make_model: MakeModel, images: Tensor) -> None:
    model = make_model(extraction="logits")
    with torch.no_grad():
        kept = model.backbone(images)
    plain = run(model, kept).stages["ece"]
    sure = torch.zeros(2, 4, 4, 6)
    sure[:, 1] = 1
    given = run(model, kept, at("ece", mask=sure)).stages["ece"]
    predicted = plain.mask_logits
    rows = torch.stack([torch.full((4, 6), float(predicted[1].min())), torch.full((4, 6), float(predicted[1].max()))])
    with torch.no_grad():
        expected = model.extract.first_embeddings(plain.features[1:], rows[[0, 1, 0, 0]][None])
    torch.testing.assert_close(given.embeddings_after[1:], expected, rtol=1e-4, atol=1e-5)
    swapped = run(model, kept, at("ece", mask=predicted.softmax(dim=1)[:, [1, 0, 2, 3]])).stages["ece"]
    torch.testing.assert_close(swapped.embeddings_after, plain.embeddings_after[:, [1, 0, 2, 3]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("explicit", [True, False])
def test_no_class_can_be_painted_where_embeddings_hold_no_feature(
    make_model: MakeModel, images: Tensor, explicit: bool
) -> None:
    model = make_model(extraction="logits", embeddings="explicit" if explicit else "learned")
    with torch.no_grad():
        kept = model.backbone(images)
    edits = HeadEdits(added=(AddedClass("mine", (0, 0, 0), random_vectors(1, 16)),))
    if not explicit:  # learned embeddings, whatever they would be extracted of
        assert as_ecenet(model) is model
        assert run(model, kept, edits).logits.shape[1] == 5
        return
    for refuses in (lambda: run(model, kept, edits), lambda: as_ecenet(model)):
        with refused("unsupported-by-weights", "ECENet", "mask logits", "extraction: logits") as caught:
            refuses()
        assert "\n" not in str(caught.value)
    with refused("unsupported-by-weights", "features", "extraction: pyramid"):
        model.extract.project_pooled(torch.zeros(1, 1, 16), torch.ones(1, 1, 1))


def test_negated_attention_reads_most_where_the_score_is_lowest() -> None:
    attend = SemanticsAttention(width=8, embed_dim=8, ffn_ratio=1.0, kind="negated")
    features, embeddings, mask = torch.randn(1, 8, 2, 3), torch.randn(1, 4, 8), torch.randn(1, 4, 2, 3)
    enhanced, similarity = attend(features, embeddings, mask=mask)
    plain = SemanticsAttention(width=8, embed_dim=8, ffn_ratio=1.0)
    plain.load_state_dict(attend.state_dict())
    assert torch.equal(similarity, plain(features, embeddings, mask=mask)[1]), "the mask is the same"
    shares = (similarity.amax(dim=1, keepdim=True) - similarity).softmax(dim=1)
    assert torch.equal(shares.argmax(dim=1), similarity.argmin(dim=1))
    normed = attend.norm(features + torch.einsum("bkhw,bkd->bdhw", shares, attend.value(embeddings)))
    torch.testing.assert_close(enhanced, normed + attend.ffn(normed), rtol=1e-4, atol=1e-5)
    silent, _ = attend(features, embeddings, mask=mask, without=(0, 1, 3))
    normed = attend.norm(features + attend.value(embeddings)[0, 2].view(1, 8, 1, 1))
    torch.testing.assert_close(silent, normed + attend.ffn(normed), rtol=1e-4, atol=1e-5)


def test_gated_addition_adds_what_lies_under_the_mask() -> None:
    update = EmbeddingUpdater(width=6, embed_dim=8, mode="gated_addition")
    embeddings, features, similarity = torch.randn(2, 3, 8), torch.randn(2, 6, 4, 5), torch.randn(2, 3, 4, 5)
    updated, gate = update(embeddings, features, similarity)
    evidence = update.candidate(masked_mean(features, similarity.softmax(dim=1)))
    expected, own = update.addition(embeddings, evidence)
    assert torch.equal(updated, expected)
    assert gate is not None
    assert torch.equal(gate, own)
    shut = update(embeddings, features, similarity, gate=0.0)[0]
    assert torch.equal(shut, update(embeddings, features + 1, similarity, gate=0.0)[0]), "nothing of the evidence"


def test_reconstruction_as_released_is_narrowed_and_has_its_own_diversity_loss(
    make_model: MakeModel, images: Tensor
) -> None:
    model = make_model(reconstruction="release").train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        kept = model.backbone(images)
        output = model.forward_head(kept)
        losses = []
        for module, feature in zip(model.reconstruct, kept, strict=True):
            assert isinstance(module, NarrowedReconstruction)
            reconstructed, diverse = module.reconstruct(feature)
            assert reconstructed.shape == feature.shape
            losses.append(position_diversity_loss(diverse))
            narrowed = module.lateral(reconstructed)
    assert torch.equal(output.stages["ece"].features, narrowed), "the deepest comes last"
    torch.testing.assert_close(output.diversity, torch.stack(losses).mean())


def test_backbones_that_cannot_be_halved_twice_are_refused() -> None:
    config = ModelConfig(backbone="efficientnet_b1_pruned", reconstruction="release", embed_dim=16)
    with refused("unsuitable-backbone", "multiples of 4", "efficientnet_b1_pruned", "12, 35, 67, 320"):
        small_model(config=config)


@pytest.mark.parametrize("mode", ["gated", "gated_addition"])
def test_a_gate_bias_keeps_most_of_the_old_embedding_at_first(mode: Any) -> None:
    def gates(bias: float) -> Tensor:
        torch.manual_seed(0)
        update = EmbeddingUpdater(width=8, embed_dim=8, mode=mode, gate_bias=bias)
        gate = update(torch.randn(2, 3, 8), torch.randn(2, 8, 4, 5), torch.randn(2, 3, 4, 5))[1]
        assert gate is not None
        return gate.logit()

    shift = (gates(3.0) - gates(0.0)) * (1 if mode == "gated" else -1)
    torch.testing.assert_close(shift, torch.full_like(shift, 3.0), rtol=1e-3, atol=1e-3)


def test_without_a_gate_its_bias_changes_nothing(make_model: MakeModel, images: Tensor) -> None:
    models = [make_model(updater="added", gate_bias=bias) for bias in (0.0, 3.0)]
    first, second = (run(model, model.backbone(images)) for model in models)
    assert differing(first, second) == []


def test_the_deepest_candidate_is_pooled_where_the_finer_mask_covers_its_cells(
    make_model: MakeModel, images: Tensor
) -> None:
    model = make_model(candidate="deepest", gate_bias=1.0)
    with torch.no_grad():
        output = run(model, model.backbone(images))
        deepest = output.stages["stage4"].features
        for level, name in ((3, "stage4"), (1, "stage2"), (0, "stage1")):
            stage = output.stages[name]
            shares = stage.mask_logits.softmax(dim=1)
            side = shares.shape[-1] // deepest.shape[-1]
            covered = deepest.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
            pooled = masked_mean(covered, shares)
            update = model.update[level]
            assert isinstance(update, EmbeddingUpdater)
            gate = torch.sigmoid(update.gate(torch.cat([stage.embeddings_before, pooled], dim=-1)))
            mixed = update.norm(gate * stage.embeddings_before + (1 - gate) * update.candidate(pooled))
            torch.testing.assert_close(stage.embeddings_after, mixed, rtol=1e-4, atol=1e-5)


def test_segvit_takes_logits_and_the_gated_addition(images: Tensor) -> None:
    model = small_segvit(embeddings="explicit", extraction="logits", updater="gated_addition")
    with torch.no_grad():
        kept = model.backbone(images)
    assert model.parts.gate_adds
    plain = run(model, kept)
    own = plain.stages["ece"].mask_logits.softmax(dim=1)
    swapped = run(model, kept, at("ece", mask=own[:, [1, 0, 2]])).stages["ece"].embeddings_after
    torch.testing.assert_close(swapped, plain.stages["ece"].embeddings_after[:, [1, 0, 2]], rtol=1e-4, atol=1e-5)
    update = model.update[0]
    assert isinstance(update, EmbeddingUpdater)
    assert isinstance(update.addition, GatedAddition)
    gate = run(model, kept, HeadEdits(gate=0.25)).stages["stage2"].gate
    assert gate is not None
    assert gate.eq(0.25).all()
