"""Learned vectors stand in for embeddings of classes that masks do not show."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ecenet.inference.weights import copy_weights, load_model, save_model
from ecenet.model.ecenet import ECENet
from ecenet.model.layers.class_extraction import ClassExtraction
from ecenet.training.config import ModelConfig
from tests.conftest import CLASS_COLORS, CLASS_NAMES
from tests.support.helpers import small_model


def extraction(*, stand_ins: bool = True) -> ClassExtraction:
    torch.manual_seed(0)
    return ClassExtraction(
        width=3, embed_dim=4, num_classes=3, pool_grids=(), masks_only=False, stand_ins=stand_ins
    ).requires_grad_(False)


def vectors_of(extract: ClassExtraction) -> Tensor:
    assert extract.stand_ins is not None
    return extract.stand_ins


def test_they_are_what_the_peak_lacks() -> None:
    extract, features = extraction(), torch.randn(1, 3, 4, 4)
    masks = torch.zeros(1, 3, 4, 4)
    masks[0, 1, 1, 2], masks[0, 2] = 1, 0.25
    made, vectors = extract.embed(features, masks)[0], vectors_of(extract)
    assert torch.equal(made[0], vectors[0]), "shown nowhere"
    seen = extract.project_pooled(features[:, :, 1, 2][:, None], torch.ones(1, 1, 1))[0, 0]
    torch.testing.assert_close(made[1], seen, msg="shown without a doubt: no trace of the vector")
    faint = extract.project_pooled(features.mean(dim=(2, 3))[:, None], torch.full((1, 1, 1), 0.25))[0, 0]
    torch.testing.assert_close(made[2], 0.25 * faint + 0.75 * vectors[2])


def test_without_them_whatever_resembles_a_class_makes_its_embedding() -> None:
    features, masks = torch.randn(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.25)
    plain, helped = extraction(stand_ins=False), extraction()
    plain.load_state_dict({name: value for name, value in helped.state_dict().items() if name != "stand_ins"})
    mixed = 0.25 * plain.embed(features, masks) + 0.75 * vectors_of(helped)
    torch.testing.assert_close(helped.embed(features, masks), mixed)


def test_learned_embeddings_need_none() -> None:
    assert "extract.stand_ins" in small_model().state_dict()
    learned = small_model(config=ModelConfig(embed_dim=16, embeddings="learned"))
    assert "extract.stand_ins" not in learned.state_dict()


def test_weights_from_before_them_have_none(tmp_path: Path) -> None:
    model = small_model()
    save_model(model, tmp_path / "now")
    assert torch.equal(load_model(tmp_path / "now").state_dict()["extract.stand_ins"], vectors_of(model.extract))
    save_model(small_model(config=ModelConfig(embed_dim=16, stand_ins=False)), tmp_path / "before")
    file = tmp_path / "before" / "config.json"
    config = json.loads(file.read_text())
    del config["stand_ins"]
    file.write_text(json.dumps(config))
    assert "extract.stand_ins" not in load_model(tmp_path / "before").state_dict()


@pytest.mark.parametrize("same", [True, False])
def test_they_are_copied_where_classes_are_the_same(same: bool) -> None:
    source = small_model(config=ModelConfig(embed_dim=16, taper=False), seed=1)
    names, colors = (source.class_names, source.class_colors) if same else (CLASS_NAMES, CLASS_COLORS)
    mean = [0.5] * 3
    model = ECENet(
        ModelConfig(embed_dim=16, taper=False),
        class_names=names, class_colors=colors, image_mean=mean, image_std=mean,
    )  # fmt: skip
    before = vectors_of(model.extract).clone()
    copy_weights(source, model)
    assert torch.equal(vectors_of(model.extract), vectors_of(source.extract) if same else before)
