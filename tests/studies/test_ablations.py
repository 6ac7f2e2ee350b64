"""Ablations: what each row trains, that work is kept, and what the table says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ecenet.studies.ablation_plot import ablation_figure
from ecenet.studies.ablations import VARIANTS, ablate, ablation_table
from ecenet.training.config import TrainConfig
from ecenet.training.settings import options
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
    ours = {name: variant for name, variant in VARIANTS.items() if variant.against == "whole"}
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
    results = ablate(config, variants=["segvit", "segvit-updater"], seeds=[0])
    gain = 100 * (results["segvit-updater"]["0"]["final"] - results["segvit"]["0"]["final"])
    first, second = ablation_table(results).splitlines()[2:]
    assert first.startswith(f"| {VARIANTS['segvit'].summary} |  | "), "it draws no coarse mask"
    assert second.endswith(f"| {gain:+.1f} | 1 |"), "against plain SegViT"
    with refused("changed-settings", "ablation.json", "--out"):
        ablate(replace(config, segvit=replace(small, num_layers=2)), variants=["segvit"], seeds=[0])


def test_what_is_done_is_kept_and_the_rest_goes_on(config: TrainConfig) -> None:
    first = ablate(config, variants=["whole"], seeds=[0])
    stages = first["whole"]["0"]
    assert list(stages) == ["ece", "stage4", "stage3", "stage2", "stage1", "final"]

    path = config.out / "ablation.json"
    kept = json.loads(path.read_text())
    kept["results"]["whole"]["0"]["final"] = 0.123
    path.write_text(json.dumps(kept))
    both = ablate(config, variants=["whole", "mean"], seeds=[0])
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
        ablate(replace(config, out=tmp_path / name), variants=["whole"], seeds=[1])["whole"] for name in ("a", "b")
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
