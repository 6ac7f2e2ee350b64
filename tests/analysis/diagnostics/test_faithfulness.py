"""Deletion and insertion curves, and maps of random heads, by scores made by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ecenet.analysis.diagnostics.faithfulness import (
    Curve,
    deletion_curve,
    insertion_curve,
    judge_map,
    random_head_correlations,
    rank_correlation,
    region_score,
    with_random_head,
)
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.training.config import ModelConfig
from tests.support.helpers import noise_image, small_model
from tests.support.refusals import refused


def four_patches() -> Image.Image:
    """8×4: the left upper quarter is white, the rest black; the mean colour is 64."""
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:2, :4] = 255
    return Image.fromarray(pixels)


def whites(image: Image.Image) -> float:
    """Share of the white patch's pixels that are white."""
    return float((np.asarray(image)[:2, :4] == 255).all(axis=2).mean())


def test_covering_the_seen_patch_first_costs_the_score_at_once() -> None:
    first = deletion_curve(four_patches(), np.array([0, 1, 2, 3]), grid=(2, 2), score=whites, steps=4)
    assert first.shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert first.scores.tolist() == [1, 0, 0, 0, 0]
    assert first.area == 1 / 8
    last = deletion_curve(four_patches(), np.array([3, 2, 1, 0]), grid=(2, 2), score=whites, steps=4)
    assert last.scores.tolist() == [1, 1, 1, 1, 0]
    assert last.area == 7 / 8


def test_revealing_the_seen_patch_first_gains_the_score_at_once() -> None:
    first = insertion_curve(four_patches(), np.array([0, 1, 2, 3]), grid=(2, 2), score=whites, steps=4)
    assert first.scores[1:].tolist() == [1, 1, 1, 1]
    assert first.scores[0] < 1, "blurred"
    last = insertion_curve(four_patches(), np.array([3, 2, 1, 0]), grid=(2, 2), score=whites, steps=4)
    assert last.scores[-1] == 1
    assert (last.scores[:-1] < 1).all()


def test_curves_run_from_the_photo_to_its_mean_colour_and_from_its_blur_to_the_photo() -> None:
    seen: list[np.ndarray] = []

    def note(image: Image.Image) -> float:
        seen.append(np.asarray(image))
        return 0.0

    order = np.array([2, 0, 3, 1])
    deletion_curve(four_patches(), order, grid=(2, 2), score=note, steps=2)
    assert len(seen) == 3
    assert np.array_equal(seen[0], np.asarray(four_patches()))
    assert (seen[1][:, :4] == 64).all(), "the left cells are the first two"
    assert (seen[1][:, 4:] == 0).all()
    assert (seen[2] == 64).all()

    seen.clear()
    insertion_curve(four_patches(), order, grid=(2, 2), score=note, steps=2)
    assert 0 < seen[0][1, 4].mean() < 255
    assert np.array_equal(seen[1][:, :4], np.asarray(four_patches())[:, :4])
    assert np.array_equal(seen[1][:, 4:], seen[0][:, 4:])
    assert np.array_equal(seen[2], np.asarray(four_patches()))


def test_there_are_no_more_steps_than_cells() -> None:
    curve = deletion_curve(four_patches(), np.array([0, 1]), grid=(1, 2), score=whites, steps=16)
    assert curve.shares.tolist() == [0, 0.5, 1]


def test_the_area_is_that_under_the_curve() -> None:
    assert Curve(np.array([0, 0.5, 1]), np.array([1.0, 0.5, 0.0])).area == 0.5
    assert Curve(np.array([0, 0.25, 1]), np.array([1.0, 0.0, 0.0])).area == 0.125


def test_the_score_of_the_photo_itself_is_the_masks_mean_probability(
    predictor: Predictor, prediction: Prediction
) -> None:
    k = prediction.final.present()[0]
    score = region_score(predictor, prediction, class_index=k)(prediction.image)
    assert score == pytest.approx(prediction.final.mean_confidence[k], abs=0.02)
    other = region_score(predictor, prediction, class_index=k)(noise_image(97, 61, seed=2))
    assert 0 < other < 1
    assert other != score


def test_a_map_is_judged_against_random_orders(predictor: Predictor, prediction: Prediction) -> None:
    k = prediction.final.present()[0]
    judged = judge_map(predictor, prediction, stage="stage4", class_index=k, steps=3, random_orders=2)
    whole = region_score(predictor, prediction, class_index=k)(prediction.image)
    for curve in (judged.deletion, judged.insertion, judged.random_deletion, judged.random_insertion):
        assert curve.shares.tolist() == [0, 4 / 12, 8 / 12, 1]
        assert ((curve.scores > 0) & (curve.scores < 1)).all()
    for curve in (judged.deletion, judged.random_deletion):
        assert curve.scores[0] == pytest.approx(whole)
    for curve in (judged.insertion, judged.random_insertion):
        assert curve.scores[-1] == pytest.approx(whole)
    assert judged.deletion.scores[-1] == pytest.approx(judged.random_deletion.scores[-1]), "all covered either way"
    again = judge_map(predictor, prediction, stage="stage4", class_index=k, steps=3, random_orders=2)
    assert np.array_equal(judged.random_insertion.scores, again.random_insertion.scores)


def test_rank_correlation_knows_order_only() -> None:
    one = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert rank_correlation(one, np.exp(one)) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)
    # Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 · 4 / (4 · 15).
    assert rank_correlation(one, np.array([[1.0, 0.0], [3.0, 2.0]])) == pytest.approx(0.6)
    assert np.isnan(rank_correlation(one, np.ones((2, 2))))


@pytest.mark.parametrize("embeddings", ["explicit", "learned"])
def test_a_random_head_shares_the_backbone_and_nothing_else(embeddings: str) -> None:
    model = small_model(config=ModelConfig(embed_dim=16, embeddings=embeddings))  # type: ignore[arg-type]
    for parameter in model.parameters():  # as if trained
        parameter.data.add_(0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changed, again, other = (with_random_head(model, seed=seed).state_dict() for seed in (0, 0, 1))
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value), "the model itself stays"
        assert torch.equal(changed[name], value) == name.startswith("backbone."), name
        assert torch.equal(changed[name], again[name]), "the same seed, the same head"
    assert not torch.equal(changed["classify.weight"], other["classify.weight"])


def test_random_heads_draw_other_maps(predictor: Predictor, prediction: Prediction) -> None:
    found = random_head_correlations(predictor, prediction, stage="stage3", class_index=0, seeds=range(4))
    assert found.shape == (4,)
    assert (np.abs(found) <= 1).all()
    assert len(set(found.tolist())) == 4
    # The tests' model is itself nothing but a random head: with its own seed it is found again.
    model = small_model(seed=5)
    own = Predictor(with_random_head(model, seed=3), device="cpu", half=False)
    correlation = random_head_correlations(own, own.predict(noise_image(97, 61)), stage="ece", class_index=1, seeds=[3])
    assert correlation == pytest.approx(1)


def test_what_cannot_be_judged_is_refused(predictor: Predictor, prediction: Prediction) -> None:
    with refused("unknown-choice", "ece", "'stage9'"):
        judge_map(predictor, prediction, stage="stage9", class_index=0)
    with refused("unknown-choice", "class", "0 … 2", 3):
        random_head_correlations(predictor, prediction, stage="ece", class_index=3)
    with refused("out-of-range", 1, "0 and 3"):
        judge_map(predictor, prediction, stage="ece", class_index=0, steps=0)
    # Grass everywhere: the others have no region to be judged by.
    grass = replace(prediction.final, label_map=np.ones_like(prediction.label_map))
    prediction = replace(prediction, stages=prediction.stages | {"final": grass})
    with refused("not-enough-data", "sky"):
        region_score(predictor, prediction, class_index=0)
