"""The weights that ship find what a person sees in photos that they were not trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from ecenet.analysis.diagnostics.mask_warnings import read_warning
from ecenet.analysis.interventions.painted_class import PAINTED_COLORS
from ecenet.data.class_kinds import is_scene
from ecenet.data.colors import seen_by_all
from ecenet.data.images import ImageSource
from ecenet.evaluation.bank_parquet import read_bank
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import SHARD_BYTES, WEIGHTS_DIR, load_model, shipped_weights, weights_hash
from tests.support.helpers import least_distance

PHOTOS = Path(skimage.data.__file__).parent
EVERYDAY = ["everyday", "everyday-vit"]
"""Weights that know the same classes of everyday photos."""


@pytest.fixture(scope="module", params=EVERYDAY)
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return Predictor.from_weights(request.param)


def test_its_colours_keep_apart_for_everybody_and_none_darkens_what_it_marks() -> None:
    colors = load_model("everyday").class_colors
    assert least_distance(colors) >= 7.5, "45 classes leave less room than 13"
    assert min(seen_by_all(np.array(colors))[0, :, 0]) >= 40, "lightness in CIE Lab"


@pytest.mark.parametrize("weights", shipped_weights())
def test_a_painted_class_stands_out_from_its_own(weights: str) -> None:
    own = load_model(weights).class_colors
    assert len(set(PAINTED_COLORS)) == len(PAINTED_COLORS)
    for color in PAINTED_COLORS:
        assert min(least_distance([color, other]) for other in own) >= 7.5


def share(prediction: Prediction, stage: str, class_name: str) -> float:
    return float(prediction.stages[stage].area[prediction.class_names.index(class_name)])


def test_the_cat_is_found_at_every_stage(predictor: Predictor) -> None:
    prediction = predictor.predict(PHOTOS / "chelsea.png")
    for name in prediction.stages:
        assert share(prediction, name, "cat") > 0.4, f"{name}: the cat fills most of the photo"
    center = prediction.label_map[150, 225]
    assert prediction.class_names[center] == "cat"


def test_a_cup_of_coffee_stands_on_a_table(predictor: Predictor) -> None:
    assert share(predictor.predict(PHOTOS / "coffee.png"), "final", "table") > 0.5


def test_the_person_is_the_largest_thing_in_the_astronaut_photo(predictor: Predictor) -> None:
    prediction = predictor.predict(PHOTOS / "astronaut.png")
    assert share(prediction, "final", "person") > 0.2
    found = [prediction.class_names[k] for k in prediction.final.present()]
    assert next(name for name in found if not is_scene(name)) == "person"
    assert prediction.class_names[prediction.label_map[130, 220]] == "person", "her face"


@pytest.mark.parametrize("name", EVERYDAY)
def test_bf16_and_fp32_agree(name: str) -> None:
    source: ImageSource = PHOTOS / "chelsea.png"
    maps = [Predictor.from_weights(name, half=half).predict(source).label_map for half in (False, True)]
    assert np.mean(maps[0] == maps[1]) > 0.98


@pytest.mark.parametrize("name", shipped_weights())
def test_checkpoint_is_small_and_explained(name: str) -> None:
    folder = WEIGHTS_DIR / name
    assert all(file.stat().st_size <= SHARD_BYTES for file in folder.iterdir()), "a plain git push takes no larger ones"
    card = (folder / "README.md").read_text()
    for word in ("mIoU", "licen", "python -m ecenet"):
        assert word in card, f"the model card says nothing of {word}"


@pytest.mark.parametrize("name", shipped_weights())
def test_the_card_tells_the_figures_that_were_measured(name: str) -> None:
    """Of the best stage of each mean, as `ship` wrote them into the config."""
    folder = WEIGHTS_DIR / name
    figures = json.loads((folder / "config.json").read_text())["recipe"]["figures"]
    card = (folder / "README.md").read_text()
    means = [stages for key, stages in figures.items() if key.startswith("miou_")]
    assert means
    for stages in means:
        for stage in ("ece", "final"):
            assert f"{100 * stages[stage]:.1f}" in card


@pytest.mark.parametrize(
    ("name", "classes", "millions"), [("camvid", 11, 5), ("everyday", 45, 5), ("everyday-vit", 45, 7)]
)
def test_shipped_weights_are_small_networks(name: str, classes: int, millions: int) -> None:
    model = load_model(name)
    assert model.num_classes == classes
    assert sum(parameter.numel() for parameter in model.parameters()) < millions * 1e6


def test_both_everyday_weights_know_the_same_classes_in_the_same_colours() -> None:
    first, second = (load_model(name) for name in EVERYDAY)
    assert first.class_names == second.class_names
    assert first.class_colors == second.class_colors


@pytest.mark.parametrize("path", sorted(WEIGHTS_DIR.glob("*/warning.json")), ids=lambda path: path.parent.name)
def test_a_warning_was_measured_with_the_weights_beside_it_and_the_card_tells_how_well(path: Path) -> None:
    warning = read_warning(path, weights=weights_hash(load_model(path.parent)))
    card = (path.parent / "README.md").read_text()
    found = warning.stages["stage1"]
    assert f"below {found.threshold:.2f}" in card
    assert f"precision {found.precision:.2f}, recall {found.recall:.2f}" in card
    assert f"{found.failures} of {found.pairs} masks" in card
    assert found.auc > 0.9
    assert warning.split == "val", "thresholds are of training photos: no photo of a warning's figures chose it"


@pytest.mark.parametrize("path", sorted(WEIGHTS_DIR.glob("*/bank.parquet")), ids=lambda path: path.parent.name)
def test_a_reference_bank_was_made_with_the_weights_beside_it_and_holds_numbers_only(path: Path) -> None:
    model = load_model(path.parent)
    bank = read_bank(path, weights=weights_hash(model))
    assert bank.about["class_names"] == model.class_names
    assert bank.about["class_colors"] == model.class_colors
    assert set(bank.stage) == set(model.stage_names) - {"final"}
    assert bank.images[0] == f"{bank.about['data']} 1", "no file names of anybody's photos"
    assert path.stat().st_size < 4e6
