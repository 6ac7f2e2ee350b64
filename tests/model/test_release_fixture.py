"""ECENet's release, number by number: what an independent transcription computes is computed here."""

import pytest
import torch
from torch import Tensor

from ecenet.model.layers.release_parts import diversity_map
from ecenet.training.losses.published import deep_masks
from tests.support.release_fixture import fixture_head, fixture_part

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def computed() -> dict[str, Tensor]:
    """Everything that our head computes of the fixture's inputs, under the fixture's names."""
    head, inputs = fixture_head(), fixture_part("input")
    features = [inputs[str(level)] for level in range(len(inputs))]
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        output = head(features)
        for level, (module, feature) in enumerate(zip(head.reconstruct, features, strict=True)):
            found[f"reconstructed.{level}"], found[f"diverse.{level}"] = module(feature)
            found[f"diversity_map.{level}"] = diversity_map(found[f"diverse.{level}"])
        found["class_probability"] = head.class_probability(output.stages["final"].embeddings_after)
    coarse, final = output.stages["ece"], output.stages["final"]
    found |= {
        "coarse_mask": coarse.mask_logits,
        "embeddings.coarse": coarse.embeddings_after,
        "fused": final.features,
        "summed_masks": final.similarity,
        "logits": output.logits,
    }
    for level in range(len(features) - 2, -1, -1):
        stage = output.stages[f"stage{level + 1}"]
        assert stage.gate is not None
        assert torch.equal(stage.similarity, stage.mask_logits)
        found |= {
            f"mask.{level}": stage.mask_logits,
            f"enhanced.{level}": stage.features,
            f"embeddings.{level}": stage.embeddings_after,
            f"gate.{level}": stage.gate,
        }
    found["deep_masks"] = deep_masks(output)
    return found


@pytest.mark.parametrize("name", fixture_part("output"))
def test_the_release_computes_every_output_of_the_fixture(name: str, computed: dict[str, Tensor]) -> None:
    torch.testing.assert_close(computed[name], fixture_part("output")[name], rtol=0, atol=TOLERANCE)


def test_nothing_of_the_release_is_left_out_of_the_fixture(computed: dict[str, Tensor]) -> None:
    assert computed.keys() == fixture_part("output").keys()
