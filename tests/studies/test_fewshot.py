"""Classes that the weights never saw: how they are found and counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecenet.__main__ import main
from ecenet.analysis.interventions.painting import paint_class
from ecenet.analysis.interventions.prototypes import cosine_maps, mean_prototype
from ecenet.data.images import RGBImage
from ecenet.data.labels import read_labels
from ecenet.data.layouts.folder import read_folder
from ecenet.inference.prediction import ImageFeatures
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from ecenet.model.config import ModelConfig
from ecenet.model.edits import HeadEdits
from ecenet.studies.fewshot import (
    FewShotOptions,
    FewShotResult,
    FewShotRow,
    deviation,
    few_shot,
    few_shot_table,
)
from ecenet.studies.finders import (
    Example,
    Finder,
    Variant,
    backbone_features,
    make_finders,
    painted_finder,
    prototype_finder,
)
from tests.support.helpers import CLASS_NAMES, noise_image, small_model, write_classes, write_folder
from tests.support.refusals import assert_names, refused

NEW_NAMES = ["sky", "rock", "sea"]
"""Of the tests' data; the tests' model knows the first."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos a split: the upper part is sky, the lower one in turn rock and sea."""
    root = write_folder(tmp_path_factory.mktemp("data"))
    write_classes(root, names=NEW_NAMES)
    return root


def left_half(width: int, height: int) -> np.ndarray:
    region = np.zeros((height, width), dtype=bool)
    region[:, : width // 2] = True
    return region


def hand_made(*columns: list[float], size: int = 8) -> ImageFeatures:
    """Features whose one stage is a row of cells, each of such a vector."""
    cells = torch.tensor(columns, dtype=torch.float32).T[None, :, None, :]
    return ImageFeatures(RGBImage(Image.new("RGB", (size * len(columns), size))), (size, size * len(columns)), [cells])


def test_a_prototype_is_the_mean_of_the_photos_means() -> None:
    one, other = hand_made([2, 0], [4, 0], [0, 9]), hand_made([0, 6], [5, 5])
    examples = [(one.tensors[0], np.arange(24) < 16), (other.tensors[0], np.arange(16) < 8)]
    regions = [(feature, np.broadcast_to(row, (8, len(row)))) for feature, row in examples]
    assert mean_prototype(regions[:1]).tolist() == pytest.approx([3, 0])
    assert mean_prototype(regions).tolist() == pytest.approx([1.5, 3]), "two cells of one count as one of the other"
    with refused("empty-region"):
        mean_prototype([(one.tensors[0], np.zeros((8, 24), dtype=bool))])


def test_cosine_knows_directions_only() -> None:
    maps = cosine_maps(hand_made([2, 0], [0, 9], [-1, 0], [1, 1]).tensors[0], torch.tensor([[5.0, 0.0], [0.0, 0.1]]))
    assert maps.shape == (1, 2, 1, 4)
    assert maps[0, :, 0].tolist() == [
        pytest.approx([1, 0, -1, 0.5**0.5]),
        pytest.approx([0, 1, 0, 0.5**0.5]),
    ]


def test_prototypes_find_what_looks_like_the_thing(predictor: Predictor) -> None:
    support = hand_made([9, 1], [1, 9])
    left = left_half(16, 8)
    find = prototype_finder(predictor, [(support, left)], [(support, ~left)], deepest=backbone_features)
    assert np.array_equal(find(support), left)
    other = hand_made([0, 1], [0, 3], [7, 0], [1, 0])
    assert np.array_equal(find(other), ~left_half(32, 8))


@pytest.mark.parametrize("stage", ["stage1", "final"])
@pytest.mark.parametrize("prototypes", [1, 3])
def test_a_painted_class_is_found_where_its_prediction_has_it(prototypes: int, stage: str) -> None:
    # Random weights of narrow stages would tell nothing apart.
    predictor = Predictor(small_model(config=ModelConfig(embed_dim=16, taper=False)), device="cpu", half=False)
    support, query = (predictor.extract_features(noise_image(97, 61, seed=seed)) for seed in (0, 1))
    left = left_half(97, 61)
    thing, rest = (
        paint_class(
            predictor,
            [(support, region)],
            name=name,
            color=(0, 0, 0),
            method="prototypes",
            prototypes=prototypes,
        ).added
        for name, region in (("thing", left), ("rest", ~left))
    )
    for edits in (
        HeadEdits(added=(thing,)),
        HeadEdits(added=(thing, rest)),
        HeadEdits(added=(thing, rest), without=(0, 1, 2)),
    ):
        found = painted_finder(predictor, edits, stage=stage)(query)
        label_map = predictor.predict_features(query, edits).stages[stage].label_map
        assert np.array_equal(found, label_map == len(CLASS_NAMES))
    if stage == "final":
        assert 0 < found.mean() < 1, "there is something to tell apart"


def test_every_method_meets_every_rival_and_the_bare_features(predictor: Predictor) -> None:
    support = predictor.extract_features(noise_image(97, 61))
    left = left_half(97, 61)
    finders = make_finders(
        predictor,
        [(support, left, ~left)],
        methods=("mean", "prototypes"),
        rivals=("own", "rest", "both"),
        prototypes=2,
    )
    assert list(finders) == [
        *(Variant(method, rivals) for method in ("mean", "prototypes") for rivals in ("own", "rest", "both")),
        Variant("backbone", "rest"),
        Variant("reconstructed", "rest"),
        Variant("everywhere", "none"),
    ]
    for variant, find in finders.items():
        found = find(support)
        assert (found.shape, found.dtype) == ((61, 97), np.bool_), variant
    assert finders[Variant("everywhere", "none")](support).all()
    thing, rest = (
        paint_class(predictor, [(support, region)], name=name, color=(0, 0, 0), method="mean").added
        for name, region in (("thing", left), ("rest", ~left))
    )
    query = predictor.extract_features(noise_image(97, 61, seed=1))
    for rivals, edits in (
        ("own", HeadEdits(added=(thing,))),
        ("rest", HeadEdits(added=(thing, rest), without=(0, 1, 2))),
        ("both", HeadEdits(added=(thing, rest))),
    ):
        label_map = predictor.predict_features(query, edits).label_map
        assert np.array_equal(finders[Variant("mean", rivals)](query), label_map == 3), rivals  # type: ignore[arg-type]
    mask = finders[Variant("backbone", "rest")](support)
    assert mask[left].mean() > mask[~left].mean(), "on the very photo that was painted"
    for stage in ("ece", "stage9"):
        with refused("unknown-choice", "stage4", "final", repr(stage)):
            make_finders(predictor, [], methods=("mean",), rivals=("own",), prototypes=1, stage=stage)


def run(predictor: Predictor, data: Path, **options: object) -> FewShotResult:
    settings = {"shots": (1, 2), "draws": 2, "rivals": ("own",), "methods": ("mean",)} | options
    return few_shot(
        predictor,
        read_folder(data, "train"),
        read_folder(data, "val"),
        FewShotOptions(**settings),  # type: ignore[arg-type]
    )


def test_pixels_of_all_queries_are_counted_together(predictor: Predictor, data: Path) -> None:
    result = run(predictor, data)
    assert result.about["queries"] == {"rock": 3, "sea": 3}
    variants = [("mean", "own"), ("backbone", "rest"), ("reconstructed", "rest"), ("everywhere", "none")]
    assert [(row.class_name, row.shots, *row.variant) for row in result.rows] == [
        (name, shots, *variant) for name in ("rock", "sea") for shots in (1, 2) for variant in variants
    ]
    # Of 64×64 pixels 62×62 are labelled; rock begins in row 16, 24 and 32, sea in row 20, 28 and 36.
    rows = {"rock": 48 + 40 + 32, "sea": 44 + 36 + 28}
    for row in result.rows:
        assert len(row.iou) == 2
        assert all(0 <= value <= 1 for value in row.iou)
        if row.variant.method == "everywhere":
            assert row.iou == pytest.approx([rows[row.class_name] / (3 * 62)] * 2)
    again = run(predictor, data, classes=("sea",), shots=(2,))
    assert [row for row in result.rows if (row.class_name, row.shots) == ("sea", 2)] == again.rows, (
        "others do not matter"
    )


def test_the_painted_photos_and_the_found_pixels_are_what_they_should_be(
    predictor: Predictor, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[list[Example]] = []

    def below_row_30(features: ImageFeatures) -> np.ndarray:
        return np.broadcast_to(np.arange(64)[:, None] >= 30, (64, 64))

    def make(_: Predictor, examples: list[Example], **__: object) -> dict[Variant, Finder]:
        painted.append(examples)
        return {Variant("mean", "own"): below_row_30}

    monkeypatch.setattr("ecenet.studies.fewshot.make_finders", make)
    rows = run(predictor, data, draws=1, classes=("rock",)).rows
    # Of the labelled 62 columns it finds 34, 34 and 32 rows of 48, 40 and 32, and 2 of the last one's sky.
    assert [row.iou for row in rows] == [[pytest.approx(100 / 122)]] * 2
    assert [len(examples) for examples in painted] == [1, 2], "one shot, two shots"
    assert painted[0][0][0] is painted[1][0][0], "the first of the two is the one"
    for _, thing, rest in painted[1]:
        assert thing.sum() / 62 in (48, 40, 32)
        assert thing[-1, 2:].all()
        assert (thing.sum() + rest.sum(), (thing & rest).any()) == (62 * 62, False), "unlabelled pixels are in neither"


def test_colours_tell_rock_from_sky_to_the_bare_backbone(predictor: Predictor, data: Path) -> None:
    """Even a random backbone sees that the photos' two halves differ in colour."""
    found = {(row.class_name, row.variant.method): np.mean(row.iou) for row in run(predictor, data, shots=(2,)).rows}
    for name in ("rock", "sea"):
        assert found[name, "backbone"] > found[name, "everywhere"]


def test_the_table_holds_means_and_spreads() -> None:
    variant = Variant("mean", "own")
    rows = [FewShotRow("rock", 1, variant, [0.1, 0.3]), FewShotRow("sea", 1, variant, [0.5, 0.3])]
    line = few_shot_table(FewShotResult({}, rows)).splitlines()[2]
    assert line == "| 1 | mean | own | 20.0 ± 14.1 | 40.0 ± 14.1 | 30.0 ± 0.0 |", "the draws' means are the same"
    single = [FewShotRow("rock", 1, variant, [0.1]), FewShotRow("sea", 1, variant, [0.5])]
    assert few_shot_table(FewShotResult({}, single)).splitlines()[2] == "| 1 | mean | own | 10.0 | 50.0 | 30.0 |"
    assert deviation([0.4]) == 0
    assert rows[0].to_json() == {
        "class": "rock", "shots": 1, "method": "mean", "rivals": "own", "iou": [0.1, 0.3],
        "mean": pytest.approx(0.2), "deviation": pytest.approx(0.02**0.5),
    }  # fmt: skip


def test_what_cannot_be_measured_is_refused(predictor: Predictor, data: Path, tmp_path: Path) -> None:
    refusals: tuple[tuple[dict[str, Any], tuple[Any, ...]], ...] = (
        ({"shots": ()}, ("out-of-range", "shots", 1, "()")),
        ({"shots": (0, 1)}, ("out-of-range", "shots", 1, "(0, 1)")),
        ({"draws": 0}, ("out-of-range", "draws", 1, 0)),
        ({"limit": 0}, ("out-of-range", "limit", 1, 0)),
        ({"rivals": ("foes",)}, ("unknown-choice", "own, rest, both", "foes")),
        ({"methods": ()}, ("unknown-choice", "mean, pyramid, prototypes", "none")),
        ({"min_share": 0.5}, ("out-of-range", "0 and 0.5", "0.5")),
        ({"shots": (4,)}, ("not-enough-data", 4, "rock", 3)),
        ({"stage": "ece"}, ("unknown-choice", "'ece'")),
    )
    for options, refusal in refusals:
        with refused(*refusal):
            run(predictor, data, **options)
    train = read_folder(data, "train")
    with refused("conflicting-options", "train"):
        few_shot(predictor, train, train)
    other = write_folder(tmp_path)
    assert read_labels(other / "classes.json").class_names != NEW_NAMES
    with refused("wrong-classes"):
        few_shot(predictor, train, read_folder(other, "val"))


def test_the_command_prints_a_table_and_writes_the_figures(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(small_model(), tmp_path / "weights")
    words = ["fewshot", "--weights", str(tmp_path / "weights"), "--data", str(data), "--shots", "1", "2"]
    few = ["--draws", "2", "--limit", "2", "--rivals", "own", "both", "--json", str(tmp_path / "out" / "figures.json")]
    assert main([*words, *few, "--stage", "stage1"]) == 0
    printed = capsys.readouterr().out
    assert "| 2 | pyramid | both |" in printed
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures["about"]["queries"] == {"rock": 2, "sea": 2}
    assert figures["about"]["options"]["stage"] == "stage1"
    assert len(figures["rows"]) == 2 * 2 * (3 * 2 + 3)

    assert main([*words, "--classes", "sky"]) == 2
    assert_names(capsys.readouterr().err, "'sky' (the weights know it")
