"""Checkpoints of SegViT's authors: what they compute is computed here, every tensor has its place, others are refused.

None of the published files could be had; the checkpoints here have their names and, but for sizes, their shapes.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ecenet.__main__ import main
from ecenet.common.error_codes import ErrorCode
from ecenet.data.layouts.pairing import published_labels
from ecenet.inference.convert import segvit as convert
from ecenet.inference.convert.class_labels import find_labels
from ecenet.inference.convert.mmseg_file import Published, parse_config, read_published
from ecenet.inference.convert.segvit import convert_segvit
from ecenet.inference.convert.segvit_tensors import UNUSED, architecture, translate
from ecenet.inference.weights import load_model
from ecenet.model import segvit
from ecenet.model.segvit import SegViT
from tests.support.refusals import assert_names, refused
from tests.support.segvit_reference import SIDE, ReferenceSegViT, published_tensors, write_checkpoint

CLASSES = 59


@pytest.fixture(scope="module")
def reference() -> ReferenceSegViT:
    return ReferenceSegViT(classes=CLASSES).eval()


@pytest.fixture(scope="module")
def converted(reference: ReferenceSegViT, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segvit")
    convert_segvit(write_checkpoint(folder / "theirs.pth", reference), folder / "ours")
    return folder / "ours"


def test_a_converted_checkpoint_computes_what_the_papers_formulae_do(
    reference: ReferenceSegViT, converted: Path
) -> None:
    model, images = load_model(converted), torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    assert isinstance(model, SegViT)
    with torch.no_grad():
        output = model(images)
    expected = dict(zip(["stage3", "stage2", "stage1"], reference(images), strict=True))
    for name, (scores, _, embeddings, shares) in expected.items():
        stage = output.stages[name]
        torch.testing.assert_close(stage.similarity, scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stage.embeddings_after, embeddings, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stage.mask_logits.exp(), shares, rtol=1e-4, atol=1e-6)
    _, masks, _, shares = expected["stage1"]
    torch.testing.assert_close(output.stages["final"].similarity, masks, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.logits.exp(), shares, rtol=1e-4, atol=1e-6)


def test_a_converted_checkpoint_says_what_it_is(converted: Path) -> None:
    config = json.loads((converted / "config.json").read_text())
    assert (config["architecture"], config["backbone"]) == ("segvit", "vit_tiny_patch16_384")
    assert (config["out_indices"], config["num_heads"], config["num_layers"]) == ([5, 7, 11], 2, 2)
    assert (config["position_side"], config["image_mean"], config["image_std"]) == (SIDE, [0.5] * 3, [0.5] * 3)
    assert config["class_names"] == sorted(published_labels("pascal_context").class_names)
    assert config["class_names"][:5] == ["aeroplane", "bag", "bed", "bedclothes", "bench"]
    card = (converted / "README.md").read_text()
    assert config["position_antialias"] is False
    for part in ("2210.05844", "academic use", f"--window {SIDE}", "stride", "overlap by half", "averaged"):
        assert part in card


@pytest.mark.parametrize(
    ("width", "depth", "side", "classes", "miou", "gigaflops"),
    [
        (768, 12, 512, 150, "51.3", 120.9),
        (1024, 24, 640, 150, "54.6", 637.9),
        (1024, 24, 480, 59, "64.1", 321.6),
        (1024, 24, 512, 171, "49.9", 383.9),
    ],
)
def test_every_name_and_shape_of_the_published_sizes_has_its_place_and_costs_what_they_state(
    width: int,
    depth: int,
    side: int,
    classes: int,
    miou: str,
    gigaflops: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the meta device, where large tensors cost nothing."""
    published = Published("ade.pth", published_tensors(width, depth, side, classes), {}, [])
    config = architecture(published)
    size = "base" if width == 768 else "large"
    heads = {768: 12, 1024: 16}[width]
    assert (config.backbone, config.num_heads, config.num_layers) == (f"vit_{size}_patch16_384", heads, 3)
    assert (config.out_indices[-1], config.position_side) == (depth - 1, side)
    labels = find_labels(published, count=classes, classes=None)
    with torch.device("meta"):
        model = SegViT(
            config,
            class_names=labels.class_names,
            class_colors=labels.class_colors,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        )
    found, unused = translate(published, config, wanted=model.state_dict())
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }
    assert sorted(unused) == sorted(UNUSED)
    assert f"not measured here: {labels.name.split()[0][:4]}" in convert.model_card(model, labels, file="ade.pth")
    assert miou in convert.model_card(model, labels, file="ade.pth")

    # They count a multiplication and its addition as one, and combine classes and masks at the image's size.
    monkeypatch.setattr(segvit, "semantic_logits", lambda class_logits, masks: masks)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.empty(1, 3, side, side, device="meta"))
    counted = counter.get_total_flops() / 2 + classes**2 * side**2
    assert counted / 1e9 == pytest.approx(gigaflops, rel=0.005)


def refusal(code: ErrorCode, path: Path, **options: Any) -> str:
    with refused(code) as caught:
        convert_segvit(path, path.parent / "out", **options)
    assert not (path.parent / "out").exists(), "nothing is written"
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message
    return message


def changed(tensors: dict[str, Tensor], change: Callable[[dict[str, Tensor]], object], path: Path) -> Path:
    """A checkpoint that is none of SegViT's any more."""
    tensors = dict(tensors)
    change(tensors)
    torch.save({"state_dict": tensors}, path)
    return path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.pop("decode_head.class_embed.bias"), ("1 missing", "decode_head.class_embed.bias")),
        (lambda t: t.update({"backbone.ln1.weight": torch.zeros(1)}), ("1 unexpected", "backbone.ln1.weight")),
        (
            lambda t: t.update({"decode_head.decoder_2.layers.0.linear1.bias": torch.zeros(3)}),
            ("1 of another shape", "decode_head.decoder_2.layers.0.linear1.bias"),
        ),
        (
            lambda t: t.update({"decode_head.decoder_1.layers.0.self_attn.in_proj_bias": torch.zeros(4)}),
            ("1 of another shape", "decode_head.decoder_1.layers.0.self_attn.in_proj_bias"),
        ),
        (lambda t: t.pop("decode_head.q.weight"), ("decode_head.q.weight", "2 axes")),
        (lambda t: t.update({"decode_head.atm.q.weight": torch.zeros(1)}), ("decode_head.atm.*",)),
        (
            lambda t: t.update({"backbone.pos_embed": torch.zeros(1, 16, 192)}),
            ("192×12, 16 and 16",),
        ),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("backbone.layers.11.")],
            ("192×12", "192×11"),
        ),
        (
            lambda t: [t.pop(name) for name in list(t) if "decoder_3." in name],
            ("2 blocks of 0 … 11", "--out-indices", "5, 7, 11"),
        ),
        (lambda t: [t.clear(), t.update(layer=torch.zeros(2))], ("layer",)),
    ],
)
def test_what_is_no_plain_segvit_is_named(
    reference: ReferenceSegViT,
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], object],
    named: tuple[str, ...],
) -> None:
    path = changed(dict(reference.state_dict()), change, tmp_path / "theirs.pth")
    code: ErrorCode = "out-of-range" if "--out-indices" in named else "wrong-file"
    assert_names(refusal(code, path), "theirs.pth", *named)


def test_blocks_that_the_backbone_has_not_are_refused(reference: ReferenceSegViT, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "theirs.pth", reference)
    assert_names(refusal("out-of-range", path, out_indices=(7, 15, 23)), "0 … 11", "--out-indices", "7, 15, 23")
    assert_names(refusal("invalid-config", path, num_heads=5), "embed_dim", "num_heads", "64 and 5")


class Runs:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


def test_a_pickle_of_more_than_tensors_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Runs()}, tmp_path / "theirs.pth")
    assert re.search(r"\((posix|nt)\.system\)", refusal("file-unsafe", tmp_path / "theirs.pth"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "theirs.pth").write_bytes(content)
    assert_names(refusal("file-damaged", tmp_path / "theirs.pth"), tmp_path / "theirs.pth")
    assert_names(refusal("file-missing", tmp_path / "nothing.pth"), tmp_path / "nothing.pth")
    torch.save({"state_dict": {"a": [1, 2]}}, tmp_path / "theirs.pth")
    assert_names(refusal("wrong-file", tmp_path / "theirs.pth"), tmp_path / "theirs.pth")


def test_scores_that_numpy_wrote_do_not_keep_a_checkpoint_out(tmp_path: Path) -> None:
    meta = {"hook_msgs": {"best_score": np.float64(0.5), "iter": np.int64(3)}, "CLASSES": ("a", "b "), "config": "?"}
    torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": meta}, tmp_path / "theirs.pth")
    published = read_published(tmp_path / "theirs.pth")
    assert (list(published.tensors), published.class_names, published.config) == (["a"], ["a", "b"], {})


def test_configurations_are_read_and_never_run() -> None:
    text = "a = dict(\n    b=[1, dict(c='d')], e=(1.5, None))\nf = __import__('os').system('true')\ndel g"
    assert parse_config(text) == {"a": {"b": [1, {"c": "d"}], "e": [1.5, None]}, "f": None}
    for none in ("a = dict(", "a = " + "[" * 5000 + "]" * 5000, "a = " + "-" * 50_000 + "1", None, 3):
        assert parse_config(none) == {}


def blocks_of(model: SegViT) -> list[nn.Module]:
    return list(model.get_submodule("backbone.network.model.blocks").children())


def test_what_a_checkpoint_says_of_itself_comes_before_what_is_usual(tmp_path: Path) -> None:
    text = """img_norm_cfg = dict(mean=[51, 102.0, 0], std=[255, 25.5, 51], to_rgb=True)
model = dict(backbone=dict(out_indices=[1, 2, 3]), decode_head=dict(num_heads=4))"""
    theirs = ReferenceSegViT(classes=3, layers=1)
    path = write_checkpoint(tmp_path / "theirs.pth", theirs, config=text, CLASSES=["x", "y", "z"])
    model = convert_segvit(path, tmp_path / "a").model
    assert (model.image_mean, model.image_std) == ([0.2, 0.4, 0.0], [1.0, 0.1, 0.2])
    assert model.settings.num_heads == 4
    assert model.class_names == ["x", "y", "z"]
    assert len(blocks_of(model)) == 4, "those behind the last stage are not needed"

    (tmp_path / "classes.json").write_text('{"classes": [{"name": "u"}, {"name": "v"}, {"name": "w"}]}')
    converted = convert_segvit(
        path, tmp_path / "b", classes=tmp_path / "classes.json", out_indices=(5, 7, 11), image_mean=(0.1, 0.2, 0.3)
    )
    assert (converted.model.class_names, converted.model.image_mean) == (["u", "v", "w"], [0.1, 0.2, 0.3])
    assert len(blocks_of(converted.model)) == 12

    (tmp_path / "classes.json").write_text('{"classes": [{"name": "u"}, {"name": "v"}]}')
    listed = tmp_path / "classes.json"
    assert_names(refusal("wrong-classes", path, classes=listed), "3 classes", "theirs.pth", listed, 2)
    assert_names(refusal("missing-value", write_checkpoint(path, theirs)), "59, 60, 150 or 171", 3, "--classes")


def test_the_command_lists_what_it_leaves_out(
    reference: ReferenceSegViT, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_checkpoint(tmp_path / "theirs.pth", reference)
    assert main(["convert", "segvit", str(path), str(tmp_path / "out"), "--half"]) == 0
    text = capsys.readouterr().out
    assert f"Wrote SegViT with {CLASSES} classes (aeroplane, bag, bed, bedclothes, …)" in text
    assert f"Tensors not needed for prediction: {', '.join(UNUSED)}" in text
    assert main(["convert", "segvit", str(tmp_path / "none.pth"), str(tmp_path / "out")]) == 2
    assert load_model(tmp_path / "out").num_classes == CLASSES


def test_weights_of_one_model_are_not_the_others(converted: Path, tmp_path: Path) -> None:
    for architecture_name, named in (
        ("ecenet", ("ECENet",)),
        ("mask2former", ("ecenet-release or segvit", "'mask2former'")),
        (None, ("ecenet-release or segvit", "None")),
    ):
        config = json.loads((converted / "config.json").read_text()) | {"architecture": architecture_name}
        (tmp_path / "config.json").write_text(json.dumps(config))
        (tmp_path / "model.safetensors").write_bytes((converted / "model.safetensors").read_bytes())
        with refused("invalid-config", tmp_path / "config.json", *named):
            load_model(tmp_path)
