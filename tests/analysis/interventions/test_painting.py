"""Painted regions become classes: their embeddings, the file that keeps them, and what they find."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from safetensors.numpy import save_file

from ecenet.analysis.interventions.painted_class import PaintedClass, load_class, save_class
from ecenet.analysis.interventions.painting import Pooling, embed_regions, paint_class
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model
from ecenet.model.ecenet import ECENet
from ecenet.model.edits import HeadEdits
from ecenet.model.network import as_ecenet
from ecenet.training.config import ModelConfig
from tests.support.helpers import CLASS_NAMES, PLAIN, noise_image, small_model
from tests.support.refusals import refused

CHELSEA = Path(skimage.data.__file__).parent / "chelsea.png"
EAR = (slice(2, 60), slice(345, 390))
"""Rows and columns of Chelsea's left ear, of 451×300."""
FACE = (slice(40, 280), slice(120, 330))
BLANKET = (slice(180, 280), slice(400, 440))
"""Behind her."""


@pytest.fixture(scope="module")
def kept(predictor: Predictor) -> ImageFeatures:
    return predictor.extract_features(noise_image(97, 61))


@pytest.fixture(scope="module")
def voc() -> Predictor:
    return Predictor.from_weights("everyday", device="cpu")


@pytest.fixture(scope="module")
def chelsea(voc: Predictor) -> Prediction:
    return voc.predict(CHELSEA)


def region_of(features: ImageFeatures, rows: slice, columns: slice) -> np.ndarray:
    region = np.zeros(features.image.size[::-1], dtype=bool)
    region[rows, columns] = True
    return region


def painted(
    predictor: Predictor, features: ImageFeatures, where: tuple[slice, slice], **options: object
) -> PaintedClass:
    regions = [(features, region_of(features, *where))]
    settings = {"name": "new", "color": (255, 0, 0)} | options
    return paint_class(predictor, regions, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-4), (True, 2**-7)])  # bf16 keeps 8 bits
def test_painting_the_predicted_mask_gives_back_the_predicted_embedding(half: bool, tolerance: float) -> None:
    """Of weights without stand-ins, which have a part in a predicted one as far as its mask lacks of certainty."""
    trained = as_ecenet(load_model("everyday"))
    trained.extract.stand_ins = None
    for predictor, image in (
        (Predictor(small_model(config=PLAIN), device="cpu", half=half), noise_image(97, 61)),
        (Predictor(trained, device="cpu", half=half), CHELSEA),
    ):
        prediction = predictor.predict(image)
        coarse = prediction.stages["ece"]
        masks = torch.from_numpy(coarse.mask_logits).softmax(dim=0).numpy()
        for k in (0, 2):
            vector = embed_regions(predictor, [(prediction.features, masks[k])], method="pyramid")
            np.testing.assert_allclose(vector[0], coarse.embeddings[k], rtol=tolerance, atol=tolerance)


def test_the_mean_is_that_of_the_cells_under_the_region(predictor: Predictor, kept: ImageFeatures) -> None:
    weights = np.zeros((3, 4), dtype=np.float32)
    weights[0, 1], weights[2, 3] = 1.0, 0.5
    vector = embed_regions(predictor, [(kept, weights)], method="mean")
    model = predictor.model
    assert isinstance(model, ECENet)
    with torch.inference_mode():
        deepest = model.deepest_features(kept.tensors)[0]
        pooled = (deepest[:, 0, 1] + 0.5 * deepest[:, 2, 3]) / 1.5
        expected = model.extract.norm(model.extract.project(pooled) + model.extract.presence(torch.ones(1)))
    np.testing.assert_allclose(vector, expected[None].numpy(), atol=1e-5)


@pytest.mark.parametrize("method", ["mean", "pyramid"])
def test_regions_of_several_photos_are_pooled_together(predictor: Predictor, method: Pooling) -> None:
    one, other = (predictor.extract_features(noise_image(*size, seed=1)) for size in ((97, 61), (61, 97)))
    weights = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    alone = embed_regions(predictor, [(one, weights)], method=method)
    twice = embed_regions(predictor, [(one, weights), (one, weights)], method=method)
    np.testing.assert_allclose(twice, alone, atol=1e-5)
    both = embed_regions(predictor, [(one, weights), (other, weights.T.copy())], method=method)
    assert np.abs(both - alone).max() > 1e-3
    without = embed_regions(predictor, [(one, weights), (other, np.zeros((4, 3), np.float32))], method=method)
    np.testing.assert_allclose(without, alone, atol=1e-5)


def test_prototypes_are_as_many_as_asked_for_or_as_there_are_cells(predictor: Predictor, kept: ImageFeatures) -> None:
    everywhere = (slice(None), slice(None))
    assert painted(predictor, kept, everywhere, method="prototypes", prototypes=5).embeddings.shape == (5, 16)
    two_cells = np.zeros((3, 4), dtype=np.float32)
    two_cells[1, :2] = 1
    found = embed_regions(predictor, [(kept, two_cells)], method="prototypes", prototypes=5)
    cells = []
    for column in range(2):
        one = np.zeros_like(two_cells)
        one[1, column] = 1
        cells.append(embed_regions(predictor, [(kept, one)], method="mean")[0])
    order = np.argsort([vector[0] for vector in cells])
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], np.stack(cells)[order], atol=1e-4)


def test_one_prototype_is_the_mean(predictor: Predictor, kept: ImageFeatures) -> None:
    where = (slice(5, 50), slice(10, 80))
    one, mean = (
        painted(predictor, kept, where, method=method, prototypes=1).embeddings for method in ("prototypes", "mean")
    )
    np.testing.assert_allclose(one, mean, atol=1e-4)


def test_a_painted_class_joins_the_prediction(predictor: Predictor, kept: ImageFeatures) -> None:
    new = painted(predictor, kept, (slice(0, 40), slice(0, 40)), method="prototypes", prototypes=3)
    plain = predictor.predict_features(kept)
    prediction = predictor.predict_features(kept, HeadEdits(added=(new.added,)))
    assert prediction.class_names == [*CLASS_NAMES, "new"]
    assert prediction.class_colors[3:] == [[255, 0, 0]]
    assert predictor.model.class_names == CLASS_NAMES, "the model's own stay"
    for name, stage in prediction.stages.items():
        assert len(stage.mask_logits) == len(stage.similarity) == len(stage.embeddings) == len(stage.area) == 4
        assert stage.gate is None or len(stage.gate) == 4, name
        assert stage.label_map.max() <= 3
    assert prediction.stages["ece"].area[3] == 0, "it has no coarse mask"
    assert np.array_equal(prediction.stages["ece"].label_map, plain.stages["ece"].label_map)
    assert np.array_equal(prediction.stages["ece"].embeddings[:3], plain.stages["ece"].embeddings)
    np.testing.assert_allclose(prediction.stages["ece"].embeddings[3], new.embeddings.mean(axis=0), atol=1e-6)


def test_a_region_smaller_than_a_cell_says_that_it_was_enlarged(predictor: Predictor, kept: ImageFeatures) -> None:
    assert painted(predictor, kept, (slice(30, 32), slice(30, 32))).enlarged
    assert not painted(predictor, kept, (slice(0, 50), slice(0, 50))).enlarged


def final_share(prediction: Prediction, pixels: np.ndarray, class_name: str) -> float:
    return float((prediction.label_map[pixels] == prediction.class_names.index(class_name)).mean())


@pytest.mark.parametrize("method", ["mean", "pyramid", "prototypes"])
def test_her_painted_ear_finds_the_cat(voc: Predictor, chelsea: Prediction, method: Pooling) -> None:
    """Against all other classes; that of the whole cat describes the rest of her better than her ear does."""
    cat = chelsea.class_names.index("cat")
    pixels = chelsea.label_map == cat
    ear = painted(voc, chelsea.features, EAR, method=method)
    found = voc.predict_features(chelsea.features, HeadEdits(added=(ear.added,), without=(cat,)))
    assert final_share(found, pixels, "new") > 0.8
    nothing = painted(voc, chelsea.features, BLANKET, method="pyramid")
    found = voc.predict_features(chelsea.features, HeadEdits(added=(nothing.added,), without=(cat,)))
    assert final_share(found, pixels, "new") < 0.3, "what is no cat finds little of her"


@pytest.mark.parametrize("method", ["mean", "pyramid", "prototypes"])
def test_her_painted_face_wins_most_of_the_cat_from_the_cat(
    voc: Predictor, chelsea: Prediction, method: Pooling
) -> None:
    pixels = chelsea.label_map == chelsea.class_names.index("cat")
    face = painted(voc, chelsea.features, FACE, method=method)
    found = voc.predict_features(chelsea.features, HeadEdits(added=(face.added,)))
    assert final_share(found, pixels, "new") > 0.5
    assert final_share(found, ~pixels, "new") < 0.05


def test_a_class_is_saved_and_loaded_as_it_is(tmp_path: Path, predictor: Predictor, kept: ImageFeatures) -> None:
    new = painted(predictor, kept, (slice(3, 5), slice(3, 5)), name="Ohr ½", method="prototypes")
    save_class(new, tmp_path / "ear.safetensors")
    again = load_class(tmp_path / "ear.safetensors", weights_hash=predictor.weights_hash)
    assert replace(again, embeddings=new.embeddings).__dict__ == new.__dict__
    assert np.array_equal(again.embeddings, new.embeddings)
    assert again.enlarged
    assert (tmp_path / "ear.safetensors").stat().st_size < 2000
    assert not list(tmp_path.glob("*.part"))


def test_a_class_of_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ear.safetensors"
    save_class(PaintedClass("ear", (1, 2, 3), "mean", np.ones((1, 16), np.float32), "abc"), path)
    with refused("wrong-weights", "ear.safetensors", "abc", "def", expected="def", got="abc"):
        load_class(path, weights_hash="def")


GOOD = {"format": "1", "name": "a", "color": "[1, 2, 3]", "method": "mean", "weights_hash": "abc", "enlarged": "false"}
VECTOR = np.ones((1, 16), dtype=np.float32)


@pytest.mark.parametrize(
    ("tensors", "about", "reason"),
    [
        ({"other": VECTOR}, GOOD, "embeddings"),
        ({"embeddings": VECTOR}, None, "lacks format"),
        ({"embeddings": VECTOR}, {**GOOD, "format": "2"}, "its format is 2"),
        ({"embeddings": VECTOR}, {**GOOD, "name": " "}, "name or colour"),
        ({"embeddings": VECTOR}, {**GOOD, "color": "[1, 2, 300]"}, "name or colour"),
        ({"embeddings": VECTOR}, {**GOOD, "color": "[1, 2, Infinity]"}, "name or colour"),
        ({"embeddings": VECTOR}, {**GOOD, "color": "[" * 100_000}, "recursion"),
        ({"embeddings": VECTOR}, {**GOOD, "color": "[1, 2]"}, "not enough values"),
        ({"embeddings": VECTOR}, {**GOOD, "color": "3"}, "not iterable"),
        ({"embeddings": VECTOR * np.nan}, GOOD, "rows of finite numbers"),
        ({"embeddings": np.repeat(VECTOR, 17, axis=0)}, GOOD, "not 1 … 16 rows"),
        ({"embeddings": VECTOR[0]}, GOOD, "rows of finite numbers"),
        ({"embeddings": VECTOR.astype(np.float64)}, GOOD, "rows of finite numbers"),
    ],
)
def test_a_file_that_holds_no_class_is_refused(
    tmp_path: Path, tensors: dict[str, np.ndarray], about: dict[str, str] | None, reason: str
) -> None:
    path = tmp_path / "class.safetensors"
    save_file(tensors, path, metadata=about)
    with refused("wrong-file", "class.safetensors", reason) as caught:
        load_class(path, weights_hash="abc")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("write", [None, lambda path: path.write_bytes(b"nothing"), lambda path: path.mkdir()])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, write: Callable[[Path], object] | None) -> None:
    path = tmp_path / "class.safetensors"
    if write is not None:
        write(path)
    with refused("wrong-file", "class.safetensors") as caught:
        load_class(path, weights_hash="abc")
    assert str(tmp_path) not in str(caught.value)


def test_what_cannot_become_a_class_is_refused(predictor: Predictor, kept: ImageFeatures) -> None:
    somewhere = (slice(0, 40), slice(0, 40))
    with refused("missing-value", "painted region"):
        paint_class(predictor, [], name="a", color=(0, 0, 0))
    with refused("empty-region"):
        painted(predictor, kept, (slice(0, 0), slice(0, 0)))
    with refused("size-mismatch", "97×61", "61×97", expected=(97, 61), got=(61, 97)):
        paint_class(predictor, [(kept, np.ones((97, 61), bool))], name="a", color=(0, 0, 0))
    with refused("unknown-choice", "mean, pyramid, prototypes", "'median'"):
        painted(predictor, kept, somewhere, method="median")
    with refused("out-of-range", "1 … 16 prototypes", 0):
        painted(predictor, kept, somewhere, method="prototypes", prototypes=0)
    with refused("missing-value", "name"):
        painted(predictor, kept, somewhere, name=" ")
    taken = painted(predictor, kept, somewhere, name="cat").added
    with refused("name-taken", "'cat'"):
        predictor.predict_features(kept, HeadEdits(added=(taken,)))
    new = painted(predictor, kept, somewhere).added
    many = tuple(replace(new, name=f"new {i}") for i in range(253))
    with refused("too-many", "255 classes", 256, limit=255):
        predictor.predict_features(kept, HeadEdits(added=many))


def test_learned_embeddings_cannot_be_painted() -> None:
    learned = Predictor(small_model(config=ModelConfig(embed_dim=16, embeddings="learned")), device="cpu")
    features = learned.extract_features(noise_image(97, 61))
    with refused("unsupported-by-weights", "embeddings: explicit"):
        painted(learned, features, (slice(0, 40), slice(0, 40)))
