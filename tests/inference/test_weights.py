"""Saving and loading: what survives the round trip, and what people are told about broken checkpoints."""

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch import Tensor

from ecenet.common.error_codes import ErrorCode
from ecenet.inference import weights
from ecenet.inference.weights import load_model, save_model, shipped_weights
from ecenet.model.config import ModelConfig, SegViTConfig
from ecenet.model.ecenet import ECENet
from ecenet.model.network import Network
from ecenet.model.segvit import SegViT
from ecenet.training.checkpoint import save_weights
from tests.support.helpers import SWITCHES, small_model, small_segvit
from tests.support.refusals import assert_names, refused

MakeModel = Callable[..., ECENet]


@pytest.fixture
def checkpoint(tiny_model: ECENet, tmp_path: Path) -> Path:
    save_model(tiny_model, tmp_path / "tiny")
    return tmp_path / "tiny"


def edit_config(checkpoint: Path, **changes: Any) -> None:
    """Overwrite settings; None removes one."""
    path = checkpoint / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def refusal(code: ErrorCode, weights: str | Path) -> str:
    with refused(code) as caught:
        load_model(weights)
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message, "what to do comes after a semicolon"
    return message


def test_round_trip_keeps_every_output_bit_for_bit(tiny_model: ECENet, checkpoint: Path, images: Tensor) -> None:
    loaded = load_model(checkpoint)
    assert not loaded.training
    with torch.no_grad():
        before, after = tiny_model(images), loaded(images)
    for name, stage in before.stages.items():
        for a, b in zip(stage, after.stages[name], strict=True):
            assert (a is None and b is None) or torch.equal(a, b), name


def test_half_checkpoint_is_half_the_size_and_close(
    tiny_model: ECENet, checkpoint: Path, tmp_path: Path, images: Tensor
) -> None:
    save_model(tiny_model, tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (tmp_path / "half", checkpoint)]
    assert sizes[0] < 0.6 * sizes[1]
    loaded = load_model(tmp_path / "half")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).logits, tiny_model(images).logits, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("half", [False, True])
def test_saving_leaves_the_model_as_it_was(tiny_model: ECENet, tmp_path: Path, half: bool) -> None:
    before = {key: value.clone() for key, value in tiny_model.state_dict().items()}
    save_model(tiny_model.train(), tmp_path / "saved", half=half)
    assert tiny_model.training
    for key, value in tiny_model.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key]), key


def test_config_holds_what_a_reader_needs_and_not_how_it_was_initialised(tiny_model: ECENet, checkpoint: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    assert config["class_names"] == ["sky", "grass", "road", "car"]
    assert config["class_colors"][2] == [128, 64, 128]
    assert (config["image_mean"], config["image_std"]) == ([0.5] * 3, [0.25] * 3)
    assert (config["image_size"], config["embed_dim"], config["out_indices"]) == (96, 16, [1, 2, 3, 4])
    assert config["recipe"] == {"data": "none", "steps": 0}
    assert "pretrained" not in config
    loaded = load_model(checkpoint)
    for name in ("class_names", "class_colors", "image_mean", "image_std", "image_size", "recipe"):
        assert getattr(loaded, name) == getattr(tiny_model, name)


def test_recipe_is_saved_as_it_stands_when_saving(tiny_model: ECENet, tmp_path: Path) -> None:
    tiny_model.recipe = {"miou": 0.5}
    save_model(tiny_model, tmp_path / "a")
    once = load_model(tmp_path / "a")
    save_model(once, tmp_path / "b", half=True)
    assert load_model(tmp_path / "b").recipe == {"miou": 0.5}


@pytest.mark.parametrize(
    "overrides",
    [{"embeddings": "learned"}, {"reconstruction": "off"}, {"extraction": "mean"}, {"updater": "off"}, *SWITCHES],
)
def test_ablations_survive_the_round_trip(
    make_model: MakeModel, overrides: dict[str, Any], tmp_path: Path, images: Tensor
) -> None:
    model = make_model(**overrides)
    save_model(model, tmp_path / "ablation")
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "ablation")(images).logits, model(images).logits)


LEGACY: dict[str, Any] = {"taper": False, "summed_masks": False, "stand_ins": False, "dropout": 0.0}
LEGACY |= {"attention": "plain", "gate_bias": 0.0, "candidate": "own"}


@pytest.mark.parametrize("load", [load_model, ECENet.from_pretrained])
def test_a_config_that_lacks_later_settings_is_of_a_network_that_was_built_before_them(
    make_model: MakeModel, tmp_path: Path, images: Tensor, load: Callable[[Path], ECENet]
) -> None:
    model = make_model(**LEGACY)
    save_model(model, tmp_path)
    edit_config(tmp_path, **dict.fromkeys([*LEGACY, "architecture", "image_size", "recipe"]))
    loaded = load(tmp_path)
    assert loaded.settings == replace(ModelConfig(embed_dim=16), **LEGACY)
    assert (loaded.image_size, loaded.recipe) == (None, {})
    with torch.no_grad():
        assert torch.equal(loaded(images).logits, model(images).logits)


def test_a_segvit_config_that_lacks_later_settings_has_no_stand_ins(tmp_path: Path) -> None:
    save_model(small_segvit(embeddings="explicit", stand_ins=False, dropout=0.1), tmp_path)
    edit_config(tmp_path, stand_ins=None, dropout=None)
    settings = load_model(tmp_path).settings
    assert isinstance(settings, SegViTConfig)
    assert (settings.stand_ins, settings.dropout) == (False, 0.1)


@pytest.mark.parametrize("make", [small_model, small_segvit])
def test_the_hubs_methods_write_and_read_the_same_files(make: Callable[[], Network], tmp_path: Path) -> None:
    model = make().eval()
    model.recipe = {"miou": 0.5}
    model.save_pretrained(tmp_path / "hub")
    save_model(model, tmp_path / "ours")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "hub" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes(), name
    images = torch.randn(1, 3, 64, 64)
    for loaded in (load_model(tmp_path / "hub"), type(model).from_pretrained(tmp_path / "hub")):
        assert (loaded.settings, loaded.recipe, loaded.class_names) == (model.settings, model.recipe, model.class_names)
        with torch.no_grad():
            assert torch.equal(loaded(images).logits, model(images).logits)


def test_the_hubs_reader_refuses_what_is_not_the_networks(checkpoint: Path) -> None:
    with refused("invalid-config", checkpoint, "SegViT"):
        SegViT.from_pretrained(checkpoint)
    edit_config(checkpoint, widgets=3)
    with refused("invalid-config", checkpoint / "config.json", "'widgets'"):
        ECENet.from_pretrained(checkpoint)
    (checkpoint / "config.json").unlink()
    with refused("file-missing", "config.json", checkpoint):
        ECENet.from_pretrained(checkpoint)


def test_shipped_weights_go_by_name(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WEIGHTS_DIR", checkpoint.parent)
    assert shipped_weights() == ["tiny"]
    assert load_model("tiny").num_classes == 4
    assert_names(refusal("weights-not-found", "tinny"), "tiny", "'tinny'")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file_is_named(checkpoint: Path, name: str) -> None:
    (checkpoint / name).unlink()
    assert_names(refusal("file-missing", checkpoint), checkpoint, name)


@pytest.mark.parametrize("content", [b"", b'{"backbone": ', b"\xff\xfe\x00"])
def test_config_that_is_no_json(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "config.json").write_bytes(content)
    assert_names(refusal("invalid-config", checkpoint), checkpoint / "config.json")


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"model_type": "segformer"}'])
def test_config_of_something_else(checkpoint: Path, content: str) -> None:
    (checkpoint / "config.json").write_text(content)
    assert_names(refusal("invalid-config", checkpoint), checkpoint / "config.json")


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"widgets": 3}, "invalid-config", "'widgets'"),
        ({"pretrained": True}, "invalid-config", "'pretrained'"),
        ({"embed_dim": None}, "invalid-config", "'embed_dim'"),
        ({"image_std": None}, "invalid-config", "'image_std'"),
        ({"backbone": "mobilenetv2_10"}, "unsuitable-backbone", "mobilenetv2_100"),
        ({"backbone": 7}, "invalid-config", "7"),
        ({"out_indices": [1, 9]}, "unsuitable-backbone", "(1, 9)"),
        ({"embed_dim": "16"}, "invalid-config", "'16'"),
        ({"updater": "gate"}, "invalid-config", "'gate'"),
        ({"class_names": "abcd"}, "invalid-config", "'abcd'"),
        ({"class_names": []}, "invalid-config", "[]"),
        ({"class_colors": [[1, 2, 3]]}, "invalid-config", "4 classes"),
        ({"class_colors": [[1, 2]] * 4}, "invalid-config", "4 classes"),
        ({"image_mean": 0.5}, "invalid-config", "image_mean"),
        ({"image_size": "large"}, "invalid-config", "'large'"),
        # Valid configs, but of other networks than the tensors'.
        ({"embed_dim": 32}, "tensor-mismatch", "another shape"),
        ({"updater": "off"}, "tensor-mismatch", "update.0.candidate.bias"),
        ({"embeddings": "learned"}, "tensor-mismatch", "1 missing"),
        ({"class_names": ["a", "b"], "class_colors": [[0, 0, 0]] * 2}, "tensor-mismatch", "3 of another shape"),
    ],
)
def test_config_that_was_edited_wrongly(checkpoint: Path, changes: dict[str, Any], code: ErrorCode, named: str) -> None:
    edit_config(checkpoint, **changes)
    assert_names(refusal(code, checkpoint), named)


def test_tensors_that_are_cut_off(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    content = path.read_bytes()
    for length in (0, 100, len(content) // 2):
        path.write_bytes(content[:length])
        assert_names(refusal("file-damaged", checkpoint), path)


def test_missing_tensor_is_named(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    tensors = load_file(path)
    del tensors["classify.weight"]
    save_file(tensors, path)
    assert_names(refusal("tensor-mismatch", checkpoint), "1 missing", "classify.weight")


@pytest.mark.parametrize("name", ["", ".", "nothing", "/no/such/folder", "./nothing", "a/b/c"])
def test_weights_that_are_nowhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal("file-missing" if name in ("", ".") else "weights-not-found", name)


@pytest.mark.parametrize("name", ["nobody/nothing", "a b/c", "a--b/c", "owner/"])
def test_hub_id_without_an_answer(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert_names(refusal("weights-not-found", name), repr(name), "Hub")


def test_hub_id_loads_what_was_downloaded_before(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Hub cache as huggingface_hub lays it out, and no network."""
    repository = tmp_path / "hub" / "models--someone--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    checkpoint.rename(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert load_model("someone/tiny").class_names == ["sky", "grass", "road", "car"]
    (snapshot / "model.safetensors").unlink()
    assert_names(refusal("file-missing", "someone/tiny"), "model.safetensors")


def test_weights_that_a_full_disk_refuses_leave_the_old_ones_whole(tmp_path: Path) -> None:
    save_weights(tmp_path / "best", small_model(seed=0))
    before = {path.name: path.read_bytes() for path in (tmp_path / "best").iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))  # stands for the disk: the same calls fail
    try:
        with refused("disk-full", "best"):
            save_weights(tmp_path / "best", small_model(seed=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in (tmp_path / "best").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
