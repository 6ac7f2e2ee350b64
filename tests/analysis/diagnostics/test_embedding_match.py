"""Finding a class embedding of one photo in others."""

from collections.abc import Callable

import numpy as np
import pytest

from ecenet.analysis.diagnostics.embedding_match import embedding_levels, find_embedding
from ecenet.inference.predictor import Predictor
from ecenet.training.config import ModelConfig
from tests.support.helpers import noise_image, small_model, small_release, small_segvit
from tests.support.refusals import refused

MODELS: dict[str, Callable[[], Predictor]] = {
    "summed masks": lambda: Predictor(small_model(), device="cpu", half=False),
    "masks of their own": lambda: Predictor(
        small_model(config=ModelConfig(embed_dim=16, summed_masks=False)), device="cpu", half=False
    ),
    "learned": lambda: Predictor(
        small_model(config=ModelConfig(embed_dim=16, embeddings="learned")), device="cpu", half=False
    ),
    "release": lambda: Predictor(small_release(), device="cpu", half=False),
    "segvit": lambda: Predictor(small_segvit(), device="cpu", half=False),
}


@pytest.mark.parametrize("kind", MODELS)
def test_in_its_own_photo_an_embedding_draws_the_predicted_mask(kind: str) -> None:
    predictor = MODELS[kind]()
    prediction = predictor.predict(noise_image(97, 61))
    for stage in embedding_levels(list(prediction.stages)):
        (own,) = find_embedding(predictor, [prediction], 1, stage=stage)
        np.testing.assert_allclose(own.similarity, prediction.stages[stage].mask_logits[1], atol=1e-4)
        row, column = np.unravel_index(own.similarity.argmax(), own.similarity.shape)
        height, width = own.similarity.shape
        assert (own.best.x * width // 97, own.best.y * height // 61) == (column, row)
        assert own.best.value == own.similarity.max()


def test_in_another_photo_it_takes_the_place_of_that_photo_s_own(predictor: Predictor) -> None:
    first, second = (predictor.predict(noise_image(97, 61, seed=seed)) for seed in (0, 3))
    deepest, finest = embedding_levels(list(first.stages))[0], "stage1"
    # Its own map changes, and the better the more stages have the other embedding.
    for stage in (deepest, finest):
        found = find_embedding(predictor, [first, second], 2, stage=stage)[1]
        assert found.similarity.shape == second.stages[stage].mask_logits[2].shape
        assert not np.allclose(found.similarity, second.stages[stage].mask_logits[2], atol=1e-3)
    # The same photo twice is the same photo, whichever copy gives the embedding.
    one, other = find_embedding(predictor, [first, first], 2, stage=finest)
    np.testing.assert_array_equal(one.similarity, other.similarity)


def test_what_cannot_be_found_is_refused(predictor: Predictor) -> None:
    prediction = predictor.predict(noise_image(97, 61))
    for stage in ("ece", "stage9", "backbone"):
        with refused("unknown-choice", stage, "stage1"):
            find_embedding(predictor, [prediction], 0, stage=stage)
    with refused("unknown-choice", "0 … 2", 3):
        find_embedding(predictor, [prediction], 3, stage="stage1")
