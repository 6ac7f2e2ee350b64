"""ECENet as its authors released it in use: its checkpoints, its training, and what looks at its predictions."""

import json
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
from ecenet.model.config import ModelConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.release import ECENetRelease
from ecenet.studies.knockouts import knock_outs_of
from ecenet.training.run_folder import list_runs
from tests.support.helpers import CLASS_NAMES, SMALL_RELEASE, noise_image, small_model, small_release, write_folder
from tests.support.refusals import refused


def test_checkpoints_say_which_model_they_hold(tmp_path: Path, images: Tensor) -> None:
    model = small_release()
    save_model(model, tmp_path / "a")
    loaded = load_model(tmp_path / "a")
    assert isinstance(loaded, ECENetRelease)
    with torch.no_grad():
        assert torch.equal(loaded(images).logits, model(images).logits)
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["architecture"] == "ecenet-release"
    path = tmp_path / "a" / "config.json"
    path.write_text(json.dumps(config | {"class_names": CLASS_NAMES[:2], "class_colors": [[0, 0, 0]] * 2}))
    with refused("tensor-mismatch", tmp_path / "a" / "model.safetensors", "head.coarse.1.weight") as caught:
        load_model(tmp_path / "a")
    assert str(caught.value).count("head.") == 3, "the first three that do not fit"
    path.write_text(json.dumps(config | {"architecture": "ecenet"}))
    with refused("invalid-config"):
        load_model(tmp_path / "a")


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["a", "b", "c", "d"]])
def test_training_with_other_classes_begins_from_all_but_the_class_tensors(classes: list[str]) -> None:
    source = small_release()
    model = ECENetRelease(
        SMALL_RELEASE,
        class_names=classes,
        class_colors=[[0, 0, 0]] * len(classes),
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copy_weights(source, model)
    given = source.state_dict()
    kept = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, given[name])}
    # Of four classes masks are pooled to 3×3, of three to 1×1.
    grids = {f"head.extract.{level}.project.weight" for level in range(4)} if len(classes) == 4 else set()
    assert kept == grids | {
        *("head.coarse.1.weight", "head.classify.weight", "head.classify.bias"),
        *("head.identify.weight", "head.identify.bias"),
    }
    assert all(torch.equal(model.state_dict()[name], own[name]) for name in kept)
    with refused("tensor-mismatch"):
        copy_weights(small_model(), model)


def test_so_does_ours_with_embeddings_of_mask_logits() -> None:
    config = ModelConfig(embed_dim=16, extraction="logits")
    for classes, kept in ((3, set()), (4, {"extract.pyramid.project.weight"})):
        names = [f"class {k}" for k in range(classes)]
        about: dict[str, Any] = {"class_colors": [[0, 0, 0]] * classes, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        source, model = small_model(config=config, seed=1), ECENet(config, class_names=names, **about)
        copy_weights(source, model)
        given = source.state_dict()
        new = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, given[name])}
        assert new == kept | {"extract.mask.3.weight", "extract.mask.3.bias"}


def test_the_same_loop_trains_it_and_goes_on(tmp_path: Path) -> None:
    data, out = write_folder(tmp_path / "data", images=2), tmp_path / "run"
    words = ["--data", str(data), "--out", str(out), "--architecture", "ecenet-release", "--no-pretrained"]
    words += ["--release.backbone", SMALL_RELEASE.backbone, "--release.out-indices", "1", "2", "3", "4"]
    words += ["--release.embed-dim", "16", "--release.num-heads", "2", "--release.drop-path", "0.1"]
    words += ["--loss", "release", "--diversity-weight", "0.2"]
    words += ["--image-size", "64", "--crop-size", "64", "--batch-size", "2", "--workers", "0", "--steps", "2"]
    assert main(["train", *words]) == 0
    model = load_model(out / "best")
    assert isinstance(model, ECENetRelease)
    assert model.settings.drop_path == 0.1
    assert [run.status for run in list_runs(tmp_path)] == ["finished"]
    assert main(["train", *words, "--mask-weight", "1"]) == 2, "a run goes on with the settings that it began with"
    assert main(["compare", "--data", str(data), "--out", str(tmp_path / "c"), "--architecture", "ecenet-release"]) == 2


def test_every_view_takes_its_predictions() -> None:
    predictor = Predictor(small_release(), device="cpu", half=False)
    one, other = (predictor.predict(noise_image(90, 60, seed=seed)) for seed in (0, 1))
    assert one.class_names == CLASS_NAMES
    assert one.label_map.shape == (60, 90)
    assert random_head_correlations(predictor, one, stage="stage1", class_index=0, seeds=(0,)).shape == (1,)
    parts = knock_outs_of(predictor.model)
    assert {"diverse branch", "attention at stage2", "gate at 0.5"} <= parts.keys()
    assert list(transplant(one, other, class_index=1).embeddings) == [1]
    assert list(transplant(one, other, class_index=1, stage="stage2").embeddings) == [1]
    region = one.label_map == one.label_map[0, 0]
    with refused("unsupported-by-weights", "ECENet", "trans"):
        paint_class(predictor, [(one.features, region)], name="mine", color=(0, 0, 0))
