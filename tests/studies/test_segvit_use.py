"""SegViT in use: its backbones, its checkpoints, its training, and what looks at its predictions."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ecenet.__main__ import main
from ecenet.analysis.diagnostics.faithfulness import random_head_correlations
from ecenet.analysis.interventions.painting import paint_class
from ecenet.analysis.interventions.transplant import transplant
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import copy_weights, load_model, save_model
from ecenet.model.backbone import build_plain_vit
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
        with refused("unsupported-by-weights", "stage2", "learned embeddings"):
            transplant(one, other, class_index=1, stage="stage2")
    region = one.label_map == one.label_map[0, 0]
    with refused("unsupported-by-weights", "ECENet", "SegViT"):
        paint_class(predictor, [(one.features, region)], name="mine", color=(0, 0, 0))
