"""Checkpoints of ECENet's release: every tensor has its place whatever the file's format, others are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file
from torch import Tensor

from ecenet.__main__ import main
from ecenet.common.error_codes import ErrorCode
from ecenet.inference.convert.release import convert_release
from ecenet.inference.convert.release_tensors import MINDSPORE, backbone_sources, head_sources
from ecenet.inference.weights import load_model
from ecenet.model.release import ECENetRelease
from tests.support.helpers import small_release
from tests.support.refusals import assert_names, refused
from tests.support.release_fixture import FIXTURE, fixture_part

SMALL: dict[str, Any] = {"backbone": "mobilenetv2_035", "out_indices": (1, 2, 3, 4)}
NAMES = ["sky", "grass", "cat"]


def released(model: ECENetRelease, *, prefix: str = "decode_head.") -> dict[str, Tensor]:
    """The model's tensors under the release's names, as a file of its authors would hold them."""
    head = model.head.state_dict()
    found = {prefix + theirs: head[ours] for ours, theirs in head_sources(head).items()}
    found |= {f"backbone.{name}": tensor for name, tensor in model.backbone.network.state_dict().items()}
    return {name: tensor.clone() for name, tensor in found.items()}


@pytest.fixture(scope="module")
def model() -> ECENetRelease:
    """Its norms have statistics of their own."""
    model = small_release()
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor += 0.1 * torch.rand(tensor.shape, generator=torch.Generator().manual_seed(len(name)))
    return model


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    path = tmp_path / "classes.json"
    path.write_text(json.dumps({"classes": [{"name": name} for name in NAMES]}))
    return path


@pytest.mark.parametrize("kind", ["safetensors", "pytorch", "no prefix", "from mindspore"])
def test_a_converted_checkpoint_computes_the_same(
    kind: str, model: ECENetRelease, classes: Path, tmp_path: Path, images: Tensor
) -> None:
    tensors = released(model, prefix="" if kind == "no prefix" else "decode_head.")
    path = tmp_path / "theirs.safetensors"
    if kind == "pytorch":
        path = tmp_path / "theirs.pth"
        torch.save({"state_dict": tensors, "meta": {"CLASSES": NAMES}}, path)
    elif kind == "from mindspore":
        torchs = {theirs: ours for ours, theirs in reversed(MINDSPORE.items())}
        arrays: dict[str, np.ndarray] = {}
        for name, tensor in tensors.items():
            stem, _, last = name.rpartition(".")
            norm = f"{stem}.running_mean" in tensors or "norm" in stem.rpartition(".")[2]
            if not last.startswith("num_batches"):
                word = {"weight": "gamma", "bias": "beta"}.get(last, torchs.get(last, last))
                arrays[f"{stem}.{word if norm else last}"] = tensor.numpy()
        assert any(name.endswith("moving_variance") for name in arrays)
        save_numpy(arrays, path)
    else:
        save_file(tensors, path)
    chosen = None if kind == "pytorch" else classes
    convert_release(path, tmp_path / "ours", classes=chosen, **SMALL)
    loaded = load_model(tmp_path / "ours")
    assert isinstance(loaded, ECENetRelease)
    assert loaded.class_names == NAMES
    with torch.no_grad():
        for name, stage in model(images).stages.items():
            torch.testing.assert_close(loaded(images).stages[name].mask_logits, stage.mask_logits)
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert (config["architecture"], config["embed_dim"], config["num_heads"]) == ("ecenet-release", 16, 2)
    assert (config["image_mean"], config["image_size"]) == ([0.485, 0.456, 0.406], 853)
    card = (tmp_path / "ours" / "README.md").read_text()
    for part in ("2308.12894", "authors' release", "--window 640", "stride of 608", "overlap by half"):
        assert part in card


def test_microsofts_swin_names_have_their_places() -> None:
    """A stage of theirs ends with the merging of patches, of timm's it begins with it."""
    with torch.device("meta"):
        model = small_release(backbone="swin_tiny_patch4_window7_224", out_indices=(0, 1, 2, 3), feature_norms=True)
    wanted = [name.removeprefix("backbone.") for name in model.state_dict() if not name.startswith("head.")]
    sources = backbone_sources(wanted, ())
    assert sources["network.patch_embed.proj.weight"] == "backbone.patch_embed.proj.weight"
    assert sources["network.layers_2.blocks.5.attn.qkv.weight"] == "backbone.layers.2.blocks.5.attn.qkv.weight"
    assert sources["network.layers_1.downsample.reduction.weight"] == "backbone.layers.0.downsample.reduction.weight"
    assert sources["feature_norms.3.bias"] == "backbone.norm3.bias"
    assert len(set(sources.values())) == len(wanted)
    timms = {f"backbone.{name.removeprefix('network.')}" for name in wanted}
    assert backbone_sources(wanted, timms)["network.layers_1.downsample.norm.bias"] in timms


def refusal(code: ErrorCode, path: Path, **options: Any) -> str:
    with refused(code) as caught:
        convert_release(path, path.parent / "out", **{**SMALL, **options})
    assert not (path.parent / "out").exists(), "nothing is written"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def without(*names: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: [tensors.pop(name) for name in names]


TRANS = "decode_head.trans.weight"


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (without(TRANS), "tensor-mismatch", ["1 missing (trans.weight)"]),
        (
            without(*(f"decode_head.gated_tokens.{level}.fc_norm.bias" for level in (0, 1, 2)), TRANS),
            "tensor-mismatch",
            ["4 missing (gated_tokens.0.fc_norm.bias, gated_tokens.1.fc_norm.bias, gated_tokens.2.fc_norm.bias, …)"],
        ),
        (
            lambda t: t.update({f"decode_head.more.{number}": torch.zeros(1) for number in range(4)}),
            "tensor-mismatch",
            ["4 unexpected (more.0, more.1, more.2, …)"],
        ),
        (lambda t: t.update({TRANS: torch.zeros(5, 16)}), "tensor-mismatch", ["1 of another shape (trans.weight)"]),
        (without("decode_head.conv_seg.weight"), "wrong-file", ["(conv_seg.weight)"]),
        (
            lambda t: [t.clear(), t.update(layer=torch.zeros(2))],
            "wrong-file",
            ["(conv_seg.weight, learner.0.weight, laterals.0.weight)", "layer"],
        ),
        (without("backbone.conv_stem.weight"), "tensor-mismatch", ["1 missing (backbone.conv_stem.weight)"]),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("backbone.")],
            "tensor-mismatch",
            ["(backbone.conv_stem.weight, backbone.bn1.weight, backbone.bn1.bias, …)", "--backbone-weights"],
        ),
    ],
)
def test_what_is_no_such_checkpoint_is_named(
    change: Callable[[dict[str, Tensor]], object],
    code: ErrorCode,
    named: list[str],
    model: ECENetRelease,
    classes: Path,
    tmp_path: Path,
) -> None:
    tensors = released(model)
    change(tensors)
    save_file(tensors, tmp_path / "theirs.safetensors")
    message = refusal(code, tmp_path / "theirs.safetensors", classes=classes)
    assert_names(message, "theirs.safetensors")
    assert [fact for fact in named if fact not in message] == []


def test_another_number_of_classes_and_another_backbone_are_refused(
    model: ECENetRelease, classes: Path, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file(released(model), path)
    assert_names(refusal("missing-value", path), 3, "theirs.safetensors", "--classes")
    classes.write_text(json.dumps({"classes": [{"name": name} for name in "abcd"]}))
    assert_names(refusal("wrong-classes", path, classes=classes), "3 classes", "theirs.safetensors", 4)
    classes.write_text(json.dumps({"classes": [{"name": name} for name in NAMES]}))
    message = refusal("unsuitable-backbone", path, classes=classes, backbone="mobilenetv2_100")
    assert_names(message, "8, 16, 32, 112", "theirs.safetensors", "mobilenetv2_100", "--backbone")
    assert_names(refusal("unsuitable-backbone", path, classes=classes, out_indices=(0, 1, 2, 4)), "2, 4, 8, 32")


def test_a_head_alone_takes_a_trained_backbone_beside_it(
    model: ECENetRelease, classes: Path, tmp_path: Path, images: Tensor
) -> None:
    tensors = released(model, prefix="")
    backbone = {name: tensors.pop(name) for name in list(tensors) if name.startswith("backbone.")}
    save_file(tensors, tmp_path / "head.safetensors")
    save_file({name.removeprefix("backbone."): one for name, one in backbone.items()}, tmp_path / "mnv2.safetensors")
    loaded = convert_release(
        tmp_path / "head.safetensors",
        tmp_path / "ours",
        classes=classes,
        backbone_weights=tmp_path / "mnv2.safetensors",
        **SMALL,
    )
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).logits, model(images).logits)


def test_mindspores_own_format_is_told_how_to_export_it(tmp_path: Path) -> None:
    (tmp_path / "theirs.ckpt").write_bytes(b"\x0a\x10protobuf")
    assert "mindspore.load_checkpoint" in refusal("wrong-file", tmp_path / "theirs.ckpt")
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    assert_names(refusal("file-damaged", tmp_path / "cut.safetensors"), tmp_path / "cut.safetensors")
    assert_names(refusal("file-missing", tmp_path / "none.pth"), tmp_path / "none.pth")


def test_the_command_converts_and_says_what_it_wrote(
    model: ECENetRelease, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(released(model), tmp_path / "theirs.safetensors")
    words = ["convert", "ecenet", str(tmp_path / "theirs.safetensors"), str(tmp_path / "ours"), "--half"]
    words += ["--backbone", SMALL["backbone"], "--out-indices", "1", "2", "3", "4", "--classes", str(classes)]
    assert main(words) == 0
    assert "Wrote ECENet (authors' release) with 3 classes (sky, grass, cat, …)" in capsys.readouterr().out
    assert load_model(tmp_path / "ours").num_classes == 3
    assert main([*words, "--num-heads", "2"]) == 2
    assert "--num-heads" in capsys.readouterr().err


def test_the_fixture_of_the_release_is_a_head_whose_backbone_no_default_has(tmp_path: Path) -> None:
    weights = fixture_part("weight")
    path = tmp_path / FIXTURE.name
    save_file(weights, path)
    classes = tmp_path / "classes.json"
    count = len(weights["conv_seg.bias"])
    classes.write_text(json.dumps({"classes": [{"name": f"class {k}"} for k in range(count)]}))
    channels = ", ".join(str(weights[f"laterals.{stage}.weight"].shape[1]) for stage in range(4))
    assert_names(refusal("unsuitable-backbone", path, classes=classes), channels)
