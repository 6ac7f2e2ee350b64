"""Image sizes and configs that no model can have are refused."""

from typing import Any

import pytest
import torch

from ecenet.model.ecenet import ECENet
from ecenet.training.config import ModelConfig
from tests.support.refusals import refused


@pytest.mark.parametrize(("size", "advice"), [((64, 90), "64×96"), ((65, 96), "80×96"), ((1, 1), "16×16")])
def test_image_sizes_that_the_backbone_cannot_divide_are_refused(
    tiny_model: ECENet, size: tuple[int, int], advice: str
) -> None:
    with refused("invalid-value", 16, f"{size[0]}×{size[1]}", advice):
        tiny_model(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"embed_dim": 15}, ("embed_dim", "even", 2, 15)),
        ({"embed_dim": "16"}, ("embed_dim", "even", 2, "'16'")),
        ({"updater": "gate"}, ("updater", "off, added, gated", "'gate'")),
        ({"embeddings": "both"}, ("embeddings", "explicit, learned", "'both'")),
        ({"extraction": None}, ("extraction", "pyramid, mean", "None")),
        ({"out_indices": (2, 1)}, ("out_indices", "increasing", "(2, 1)")),
        ({"out_indices": ()}, ("out_indices", "increasing", "()")),
        ({"out_indices": (-1, 2)}, ("out_indices", "increasing", "(-1, 2)")),
        ({"out_indices": 3}, ("out_indices", "list", 3)),
        ({"output_stride": 12}, ("output_stride", "8, 16, 32 or null", 12)),
        ({"ffn_ratio": 0}, ("ffn_ratio × embed_dim", 1, "0 × 192")),
        ({"pool_grids": [0]}, ("pool_grids", 1, "(0,)")),
        ({"pool_grids": ["1"]}, ("pool_grids", "list", "['1']")),
        ({"reconstruction": True}, ("reconstruction", "off, joined, added, release", "True")),
        ({"attention": "softmax"}, ("attention", "plain, negated", "'softmax'")),
        ({"candidate": 4}, ("candidate", "own, deepest", "4")),
        ({"gate_bias": "2"}, ("gate_bias", "finite", "'2'")),
        ({"gate_bias": float("nan")}, ("gate_bias", "finite", "nan")),
    ],
)
def test_bad_configs_are_refused_in_one_sentence(overrides: dict[str, Any], named: tuple[object, ...]) -> None:
    with refused("invalid-config", *named) as caught:
        ModelConfig(**overrides)
    assert "\n" not in str(caught.value)


def test_json_lists_become_tuples() -> None:
    config = ModelConfig(out_indices=[1, 2], pool_grids=[1])  # type: ignore[arg-type]
    assert (config.out_indices, config.pool_grids) == ((1, 2), (1,))
