"""Ablations: what each row trains, that work is kept, and what the table says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from ecenet.__main__ import main
from ecenet.evaluation import embedding_quality
from ecenet.model.config import ReleaseConfig
from ecenet.studies.ablation_plot import ablation_figure, ablation_page, embeddings_figure
from ecenet.studies.ablation_tables import MEASURES, ablation_table, embeddings_table
from ecenet.studies.ablation_variants import VARIANTS
from ecenet.studies.ablations import Embeddings, Findings, Results, ablate
from ecenet.training.config import TrainConfig
from ecenet.training.settings import options
from ecenet.training.setup import new_model, read_splits
from tests.support.helpers import SMALL_SEGVIT, changed, tiny_training, write_folder
from tests.support.refusals import refused


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    data = write_folder(tmp_path / "data", images=2)
    return tiny_training(data, tmp_path / "out", crop_size=64, steps=1, warmup_steps=0)


def test_each_variant_differs_from_the_whole_in_one_setting(config: TrainConfig) -> None:
    whole = VARIANTS["whole"].applied(config, seed=config.seed)
    assert whole == config
    settings = []
    ours = {name: variant for name, variant in VARIANTS.items() if variant.architecture == "ecenet"}
    for name, variant in ours.items():
        if name == "whole":
            continue
        varied = variant.applied(config, seed=config.seed)
        different = options(varied).items() - options(config).items()
        assert len(different) == 1, name
        settings.append(tuple(different))
    assert len(set(settings)) == len(ours) - 1, "no row twice"


def test_segvit_is_trained_plain_and_with_what_ecenet_puts_into_it(config: TrainConfig) -> None:
    small = replace(SMALL_SEGVIT, num_layers=1)
    config = changed(config, backbone_weights=Path("mobilenet.safetensors"), segvit=small)
    names = ["segvit", "segvit-explicit", "segvit-updater"]
    plain, explicit, updated = (VARIANTS[name].applied(config, seed=3) for name in names)
    assert plain.network == small
    assert explicit.network == replace(small, embeddings="explicit")
    assert updated.network == replace(small, embeddings="explicit", updater="gated")
    assert all(one.start.backbone_weights is None and one.seed == 3 for one in (plain, explicit, updated))

    config = changed(config, backbone_weights=None)
    results = ablate(config, variants=["segvit", "segvit-updater"], seeds=[0]).miou
    gain = 100 * (results["segvit-updater"]["0"]["final"] - results["segvit"]["0"]["final"])
    first, second = ablation_table(results).splitlines()[2:]
    assert first.startswith(f"| {VARIANTS['segvit'].summary} |  | "), "it draws no coarse mask"
    assert second.endswith(f"| {gain:+.1f} | 1 |"), "against plain SegViT"
    with refused("changed-settings", "ablation.json", "--out"):
        ablate(replace(config, segvit=replace(small, num_layers=2)), variants=["segvit"], seeds=[0])


def test_what_is_done_is_kept_and_the_rest_goes_on(config: TrainConfig) -> None:
    first = ablate(config, variants=["whole"], seeds=[0]).miou
    stages = first["whole"]["0"]
    assert list(stages) == ["ece", "stage4", "stage3", "stage2", "stage1", "final"]

    path = config.out / "ablation.json"
    kept = json.loads(path.read_text())
    kept["results"]["whole"]["0"]["final"] = 0.123
    path.write_text(json.dumps(kept))
    both = ablate(config, variants=["whole", "mean"], seeds=[0]).miou
    assert both["whole"]["0"]["final"] == 0.123, "not trained again"
    assert list(both) == ["whole", "mean"]
    dots = next(trace for trace in ablation_figure(both).data if trace.name == "final mask")
    assert list(dots.x) == [pytest.approx(12.3), pytest.approx(100 * both["mean"]["0"]["final"])]
    added_later = ablation_figure({"mean": both["mean"], "whole": both["whole"]})
    summaries = [VARIANTS[name].summary for name in ("whole", "mean")]
    assert list(added_later.layout.yaxis.categoryarray) == summaries, "the whole on top"

    with refused("changed-settings", path, "--out"):
        ablate(changed(config, lr=0.5), variants=["whole"], seeds=[0])


def test_the_seed_decides_everything(config: TrainConfig, tmp_path: Path) -> None:
    first, again = (
        ablate(replace(config, out=tmp_path / name), variants=["whole"], seeds=[1]).miou["whole"] for name in ("a", "b")
    )
    assert first == again


def test_an_unknown_variant_is_named(config: TrainConfig) -> None:
    with refused("unknown-choice", "whole, learned", "'gate'"):
        ablate(config, variants=["gate"], seeds=[0])


def test_settings_that_a_later_row_cannot_have_are_told_before_the_first_is_trained(config: TrainConfig) -> None:
    frozen = changed(config, frozen_stages=4, segvit=SMALL_SEGVIT)  # which has two
    with refused("out-of-range", "frozen_stages", "4"):
        ablate(frozen, variants=["whole", "segvit"], seeds=[0])
    assert not config.out.exists()


def test_there_is_nothing_to_leave_out_of_another_architecture(config: TrainConfig) -> None:
    with refused("conflicting-options", "ECENet", "segvit", "--architecture"):
        ablate(replace(config, architecture="segvit"), variants=["whole"], seeds=[0])


def test_the_table_compares_seeds_that_both_have() -> None:
    def row(*finals: float) -> dict[str, dict[str, float]]:
        return {str(seed): {"ece": final - 0.1, "final": final} for seed, final in enumerate(finals)}

    table = ablation_table({"whole": row(0.5, 0.6), "mean": row(0.4)}).splitlines()
    assert table[2].endswith("| 45.0 ± 7.1 | 55.0 ± 7.1 |  | 2 |")
    assert table[3].endswith("| 30.0 | 40.0 | -10.0 | 1 |"), "against seed 0 alone"


def test_the_release_is_trained_on_our_backbone_with_its_own_loss(config: TrainConfig) -> None:
    head = ReleaseConfig(embed_dim=16, num_heads=2)
    varied = VARIANTS["release"].applied(replace(config, release=head), seed=3)
    model = config.model
    assert varied.network == replace(
        head, backbone=model.backbone, out_indices=model.out_indices, same_padding=model.same_padding, drop_path=0.0
    )
    assert (varied.architecture, varied.seed, varied.start) == ("ecenet-release", 3, config.start)
    assert varied.loss == replace(config.loss, terms="release", diversity_weight=0.2)
    assert VARIANTS["release"].against == "whole"
    with refused("conflicting-options", "--release.drop-path", 0.2):
        ablate(replace(config, release=replace(head, drop_path=0.2)), variants=["whole", "release"], seeds=[0])
    three = replace(config, model=replace(model, out_indices=(1, 2, 3)))
    with refused("invalid-config", "ecenet-release", "(1, 2, 3)"):
        ablate(three, variants=["whole", "release"], seeds=[0])
    assert not config.out.exists()

    findings = ablate(replace(config, release=head), variants=["release"], seeds=[0])
    assert list(findings.miou["release"]["0"]) == ["ece", "stage3", "stage2", "stage1", "final"]
    with refused("changed-settings", "ablation.json"):
        ablate(replace(config, release=replace(head, embed_dim=32)), variants=["release"], seeds=[0])


def test_a_network_that_cannot_be_built_is_told_before_the_first_row_is_trained(config: TrainConfig) -> None:
    odd = replace(config, model=replace(config.model, backbone="efficientnet_b1_pruned"))
    with refused("unsuitable-backbone", "multiples of 4"):
        ablate(odd, variants=["whole", "release-fr"], seeds=[0])
    assert not config.out.exists()


@pytest.mark.parametrize("class_token", [True, False])
def test_segvits_rows_start_from_a_plain_vits_own_file(config: TrainConfig, tmp_path: Path, class_token: bool) -> None:
    pool: dict[str, Any] = {} if class_token else {"class_token": False, "global_pool": "avg"}
    vit = timm.create_model("vit_tiny_patch16_224", **pool).eval()
    file = tmp_path / "vit.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in vit.state_dict().items()}, file)
    small = replace(SMALL_SEGVIT, num_layers=1)
    ours = Path("mobilenet.safetensors")
    config = changed(config, segvit=small, backbone_weights=ours, image_mean=(0.1, 0.2, 0.3))
    varied = VARIANTS["segvit"].applied(config, seed=0, segvit_backbone_weights=file)
    assert (varied.start.backbone_weights, varied.start.image_mean) == (file, (0.5, 0.5, 0.5)), "as this ViT expects"
    assert VARIANTS["mean"].applied(config, seed=0, segvit_backbone_weights=file).start == config.start

    model = new_model(varied, read_splits(config.data).train)
    loaded = model.backbone.network.get_submodule("model")
    assert torch.equal(loaded.get_parameter("blocks.1.mlp.fc1.weight"), vit.get_parameter("blocks.1.mlp.fc1.weight"))
    # Positions of the patches alone, brought from 14×14 to the 4×4 of 64 pixels.
    patches = vit.get_parameter("pos_embed")[:, int(class_token) :].unflatten(1, (14, 14)).permute(0, 3, 1, 2)
    expected = F.interpolate(patches, size=(4, 4), mode="bicubic", antialias=True).flatten(2).mT
    torch.testing.assert_close(loaded.get_parameter("pos_embed"), expected)

    config = changed(config, backbone_weights=None)
    ablate(config, variants=["segvit"], seeds=[0], segvit_backbone_weights=file)
    with refused("changed-settings", "ablation.json"):
        ablate(config, variants=["segvit"], seeds=[0])
    with refused("file-damaged", "nowhere.safetensors"):
        ablate(
            replace(config, out=tmp_path / "other"),
            variants=["whole", "segvit"],
            seeds=[0],
            segvit_backbone_weights=tmp_path / "nowhere.safetensors",
        )
    assert not (tmp_path / "other").exists()


def test_what_embeddings_know_is_kept_beside_the_scores(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_quality, "MIN_IOU", 0.0)  # one step makes no mask that is half right
    findings = ablate(config, variants=["whole"], seeds=[0])
    stages = findings.embeddings["whole"]["0"]
    assert list(stages) == ["ece", "stage4", "stage3", "stage2", "stage1"]
    assert {*MEASURES, "rows", "classes", "class_area", "class_position"} == set(stages["stage1"])
    again = ablate(config, variants=["whole"], seeds=[0])
    assert again == findings, "from the file"


def test_files_that_are_older_than_these_measures_go_on(config: TrainConfig) -> None:
    ablate(config, variants=["whole"], seeds=[0])
    path = config.out / "ablation.json"
    kept = json.loads(path.read_text())
    kept["results"]["whole"]["0"]["final"] = 0.123
    kept.pop("embeddings", None)
    for name in ("release", "segvit_backbone_weights", "attention", "gate_bias", "candidate"):
        del kept["settings"][name]
    path.write_text(json.dumps(kept))
    old = ablate(config, variants=["whole"], seeds=[0])
    assert old.miou["whole"]["0"]["final"] == 0.123, "not trained again"
    assert old.embeddings == {}
    with refused("changed-settings", path):
        ablate(replace(config, model=replace(config.model, attention="negated")), variants=["whole"], seeds=[0])
    both = ablate(config, variants=["whole", "negated"], seeds=[0])
    assert list(both.miou) == ["whole", "negated"]
    assert list(both.embeddings) == ["negated"]


def figures(value: float, **others: float | None) -> dict[str, float | None]:
    return {**dict.fromkeys(MEASURES, value), "class_area": 0.1, "class_position": 0.2, **others}


def test_the_tables_and_plots_of_embeddings_show_both_ends_of_the_head() -> None:
    embeddings: Embeddings = {
        "whole": {
            "0": {"ece": figures(0.5), "stage2": figures(0.9), "stage1": figures(0.6)},
            "1": {"ece": figures(0.7), "stage1": figures(0.6, area=None)},
        },
        "segvit": {"0": {"stage1": figures(0.25)}},
    }
    lines = embeddings_table(embeddings).splitlines()
    assert lines[0].startswith("| | neighbour purity: ece / stage 1 | silhouette: ece / stage 1 |")
    assert lines[2] == f"| {VARIANTS['whole'].summary} " + "| 0.60 / 0.60 " * 5 + "| 2 |"
    assert lines[3] == f"| {VARIANTS['segvit'].summary} " + "| – / 0.25 " * 5 + "| 1 |"
    assert lines[4] == "| largest ± over seeds " + "| 0.14 " * 5 + "| |", "of 0.5 and 0.7"
    assert lines[5].endswith("|  |  |  | 0.10 / 0.10 | 0.20 / 0.20 | |")
    alone = embeddings_table({"segvit": embeddings["segvit"]}).splitlines()
    assert len(alone) == 3, "a single seed has no spread"

    figure = embeddings_figure(embeddings)
    assert len(figure.data) == 2 * len(MEASURES)
    assert [list(trace.x) for trace in figure.data[:2]] == [[0.5, 0.7], [0.6, 0.6, 0.25]]
    assert [trace.showlegend for trace in figure.data] == [True, True] + [False] * 8
    area = figure.data[2 * list(MEASURES).index("area") + 1]
    assert list(area.x) == [0.6, 0.25], "a seed without a figure has no dot"
    miou: Results = {"whole": {"0": {"ece": 0.5, "final": 0.6}}}
    both, one = (ablation_page(Findings(miou, found)) for found in (embeddings, {}))
    assert both.count("Quality of class embeddings") == 1
    assert one.count("Quality of class embeddings") == 0


def test_the_command_prints_both_tables_and_writes_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_quality, "MIN_IOU", 0.0)
    data, page = write_folder(tmp_path / "data", images=2), tmp_path / "page.html"
    words = ["--data", str(data), "--out", str(tmp_path / "out"), "--no-pretrained", "--steps", "1", "--embed-dim", "8"]
    words += ["--image-size", "64", "--crop-size", "64", "--batch-size", "2", "--workers", "0"]
    words += ["--release.embed-dim", "16", "--variants", "whole", "release", "--html", str(page)]
    assert main(["ablate", *words]) == 0
    printed = capsys.readouterr().out
    assert printed.count(VARIANTS["release"].summary) == 2
    assert "Quality of the embeddings across photos:" in printed
    assert page.read_text(encoding="utf-8").count("one dot per training run") == 2
