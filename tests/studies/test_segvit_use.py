"""SegViT in use: its backbones, its checkpoints, its training, and what looks at its predictions."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ecenet.__main__ import main
from ecenet.analysis.diagnostics.faithfulness import random_head_correlations
from ecenet.analysis.diagnostics.pixel_probe import probe_pixel
from ecenet.analysis.interventions.painting import paint_class
from ecenet.analysis.interventions.transplant import transplant
from ecenet.evaluation.tta import averaged_probabilities
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import copy_weights, load_model, save_model
from ecenet.model.backbone import UnsmoothedViT, build_plain_vit
from ecenet.model.segvit import SegViT
from ecenet.studies.knockouts import knock_outs_of
from ecenet.training.run_folder import list_runs
from tests.support.helpers import (
    CLASS_NAMES,
    EXPLICIT,
    SMALL_SEGVIT,
    noise_image,
    small_model,
    small_segvit,
    tiny_training,
    write_folder,
)
from tests.support.refusals import refused

each_variant = pytest.mark.parametrize("overrides", [{}, EXPLICIT], ids=["plain", "explicit"])


@pytest.mark.parametrize(
    ("name", "out_indices", "side", "refusal"),
    [
        ("resnet18", (1, 2), 64, ("unsuitable-backbone", "plain ViT", "resnet18")),
        (
            "swin_tiny_patch4_window7_224",
            (1, 2),
            64,
            ("unsuitable-backbone", "plain ViT", "swin_tiny_patch4_window7_224"),
        ),
        ("vit_tiny_patch16_224", (1, 12), 64, ("unsuitable-backbone", "out_indices", "0 … 11", "(1, 12)")),
        ("vit_tiny_patch16_224", (1, 2), 70, ("invalid-config", "position_side", "vit_tiny_patch16_224", 16, 70, 80)),
        (
            "vit_tinny_patch16_224",
            (1, 2),
            64,
            ("unsuitable-backbone", "'vit_tinny_patch16_224'", "vit_tiny_patch16_224"),
        ),
    ],
)
def test_backbones_that_are_no_plain_vit_are_refused(
    name: str, out_indices: tuple[int, ...], side: int, refusal: tuple[Any, ...]
) -> None:
    with refused(*refusal):
        build_plain_vit(name=name, out_indices=out_indices, position_side=side, pretrained=False)


@each_variant
def test_checkpoints_say_which_model_they_hold(overrides: dict[str, Any], tmp_path: Path, images: Tensor) -> None:
    model = small_segvit(**overrides)
    save_model(model, tmp_path / "a")
    loaded = load_model(tmp_path / "a")
    assert isinstance(loaded, SegViT)
    with torch.no_grad():
        assert torch.equal(loaded(images).logits, model(images).logits)
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    config["embeddings"] = "explicit" if not overrides else "learned"
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    with refused("tensor-mismatch", tmp_path / "a" / "model.safetensors") as caught:
        load_model(tmp_path / "a")
    assert re.search(r"learned_embeddings|extract\.", str(caught.value)), "the first that does not fit"


def test_training_with_other_classes_begins_from_all_but_the_class_tensors() -> None:
    source, model = small_segvit(), small_segvit(seed=1)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    source.class_names = ["a", "b", "c"]
    copy_weights(source, model)
    kept_names = [name for name, tensor in model.state_dict().items() if torch.equal(tensor, own[name])]
    assert {"learned_embeddings", "classify.weight", "classify.bias"} <= set(kept_names)
    name = "decode.0.layers.0.ffn.0.weight"
    assert torch.equal(model.get_parameter(name), source.get_parameter(name))
    with refused("tensor-mismatch"):
        copy_weights(small_model(), model)


def test_the_same_loop_trains_it_and_goes_on(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", images=2)
    config = tiny_training(data, tmp_path / "run", architecture="segvit", segvit=replace(SMALL_SEGVIT, **EXPLICIT))
    words = ["--data", str(data), "--out", str(config.out), "--architecture", "segvit", "--no-pretrained"]
    words += ["--segvit.backbone", SMALL_SEGVIT.backbone, *["--segvit.out-indices", "0", "1"]]
    words += ["--segvit.position-side", "64", "--segvit.embed-dim", "16", "--segvit.num-heads", "2"]
    words += ["--segvit.num-layers", "2", "--segvit.dropout", "0"]
    words += ["--segvit.embeddings", "explicit", "--segvit.updater", "gated", "--stage-loss", "dice_focal"]
    words += ["--image-size", "64", "--crop-size", "32", "--batch-size", "2", "--workers", "0", "--steps", "2"]
    assert main(["train", *words]) == 0
    model = load_model(config.out / "best")
    assert isinstance(model, SegViT)
    assert model.stage_names == ["ece", "stage2", "stage1", "final"]
    assert [run.status for run in list_runs(tmp_path)] == ["finished"]
    other = [word if word != "explicit" else "learned" for word in words]
    assert main(["train", *other]) == 2, "a run goes on with the settings that it began with"
    assert main(["compare", "--data", str(data), "--out", str(tmp_path / "c"), "--architecture", "segvit"]) == 2


def test_position_embeddings_are_resized_as_the_weights_were_trained() -> None:
    """mmsegmentation's way has no antialiasing, timm's has; at the size that they are for both leave them alone."""
    smoothed, theirs = small_segvit(), small_segvit(position_antialias=False)
    theirs.load_state_dict(smoothed.state_dict())
    vit = theirs.backbone.network.get_submodule("model")
    assert isinstance(vit, UnsmoothedViT)
    patches = torch.zeros(1, 2, 3, vit.embed_dim)
    with torch.no_grad():
        assert vit.pos_embed is not None
        positions = vit.pos_embed.view(1, 4, 4, -1).permute(0, 3, 1, 2)
        expected = F.interpolate(positions, size=(2, 3), mode="bicubic", align_corners=False).flatten(2).mT
        torch.testing.assert_close(vit._pos_embed(patches), expected)
        own, small = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 32, 48)
        torch.testing.assert_close(theirs(own).logits, smoothed(own).logits)
        assert not torch.allclose(theirs(small).logits, smoothed(small).logits, atol=1e-4)


@each_variant
def test_labels_come_from_masks_that_are_enlarged_first(overrides: dict[str, Any]) -> None:
    """As SegViT's authors have it: each mask to the photo's size, sigmoid, then the sum over embeddings."""
    predictor = Predictor(small_segvit(**overrides), device="cpu", half=False)
    prediction = predictor.predict(noise_image(90, 60))
    with torch.no_grad():
        output = predictor.model.forward_head(prediction.features.tensors)
    for name, stage in output.stages.items():
        kept = prediction.stages[name]
        if name == "ece":
            assert kept.masks is kept.class_shares is None
            continue
        assert stage.masks is not None
        assert stage.class_shares is not None
        masks = F.interpolate(stage.masks, size=(60, 90), mode="bilinear", align_corners=False).sigmoid()
        shares = torch.einsum("bqk,bqhw->bkhw", stage.class_shares, masks)[0]
        label_map = torch.from_numpy(kept.label_map).long()
        chosen = shares.gather(0, label_map[None])[0]
        torch.testing.assert_close(chosen, shares.amax(dim=0), rtol=1e-5, atol=1e-6)
        probe = probe_pixel(prediction, 33, 21)
        row = probe.probabilities[list(prediction.stages).index(name)]
        expected = shares[:, 21, 33] / shares[:, 21, 33].sum()
        np.testing.assert_allclose(row, expected.numpy(), rtol=1e-4)
    averaged = averaged_probabilities(predictor, noise_image(90, 60))["final"].argmax(dim=0)
    assert (averaged.numpy() == prediction.label_map).mean() > 0.999


@each_variant
def test_every_view_takes_its_predictions(overrides: dict[str, Any], tmp_path: Path) -> None:
    predictor = Predictor(small_segvit(**overrides), device="cpu", half=False)
    one, other = (predictor.predict(noise_image(90, 60, seed=seed)) for seed in (0, 1))
    assert one.class_names == CLASS_NAMES
    assert one.label_map.shape == (60, 90)
    assert random_head_correlations(predictor, one, stage="stage1", class_index=0, seeds=(0,)).shape == (1,)
    parts = knock_outs_of(predictor.model)
    assert "attention at stage2" in parts
    assert ("gate at 0.5" in parts) == bool(overrides)
    assert "diverse branch" not in parts
    if overrides:
        assert list(transplant(one, other, class_index=1).embeddings) == [1]
    else:
        with refused("unsupported-by-weights", "stage2", "the same in every photo"):
            transplant(one, other, class_index=1, stage="stage2")
    region = one.label_map == one.label_map[0, 0]
    with refused("unsupported-by-weights", "ECENet", "SegViT"):
        paint_class(predictor, [(one.features, region)], name="mine", color=(0, 0, 0))
