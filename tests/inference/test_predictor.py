"""From an image of any shape to label maps, confidences and features of every stage."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ecenet.data.images import load_image
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import MAX_WORKING_SIDE, Predictor, _summarise_stage
from ecenet.inference.upsample import MAX_DETAIL_SIDE
from ecenet.model.outputs import StageOutput
from tests.support.helpers import CLASS_COLORS, CLASS_NAMES, PLAIN, noise_image, small_model
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(small_model(), device="cpu")


@pytest.fixture(scope="module")
def prediction(predictor: Predictor) -> Prediction:
    return predictor.predict(noise_image(97, 61))


@pytest.mark.parametrize("size", [(97, 61), (61, 97), (8, 8), (8, 400), (1700, 40), (1601, 33), (8, 4000)])
def test_every_map_has_exactly_the_images_size(predictor: Predictor, size: tuple[int, int]) -> None:
    prediction = predictor.predict(noise_image(*size))
    assert prediction.image.size == size
    for stage in prediction.stages.values():
        assert (stage.label_map.shape, stage.label_map.dtype) == (size[::-1], np.uint8)
        assert (stage.confidence.shape, stage.confidence.dtype) == (size[::-1], np.float16)
        assert stage.label_map.max() < len(CLASS_NAMES)


def test_stages_come_coarse_to_fine_with_their_arrays(predictor: Predictor, prediction: Prediction) -> None:
    assert list(prediction.stages) == predictor.model.stage_names
    assert list(prediction.stages) == ["ece", "stage4", "stage3", "stage2", "stage1", "final"]
    grids = {"ece": (3, 4), "stage4": (3, 4), "stage3": (3, 4), "stage2": (6, 8), "stage1": (12, 16), "final": (12, 16)}
    assert prediction.features.working_size == (48, 64)
    for name, stage in prediction.stages.items():
        assert stage.name == name
        assert stage.similarity.shape == stage.mask_logits.shape == (3, *grids[name])
        assert stage.embeddings.shape == (3, 16)
        assert (stage.gate is not None) == name.startswith("stage")
        assert stage.gate is None or (stage.gate.shape == (3, 16) and 0 <= stage.gate.min() <= stage.gate.max() <= 1)
        for array in (stage.similarity, stage.mask_logits, stage.embeddings):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()


def test_confidence_is_the_probability_of_the_chosen_class(prediction: Prediction) -> None:
    for stage in prediction.stages.values():
        logits = torch.from_numpy(stage.mask_logits)[None]
        probabilities = torch.nn.functional.interpolate(logits, size=(61, 97), mode="bilinear")[0].softmax(dim=0)
        assert np.array_equal(stage.label_map, probabilities.argmax(dim=0).numpy())
        np.testing.assert_allclose(stage.confidence, probabilities.amax(dim=0).numpy(), atol=1e-3)
        assert stage.confidence.min() > 0
        assert stage.confidence.max() <= 1


def test_areas_and_mean_confidences_are_those_of_the_label_map(prediction: Prediction) -> None:
    for stage in prediction.stages.values():
        assert stage.area.sum() == pytest.approx(1)
        for k in range(3):
            covered = stage.label_map == k
            assert stage.area[k] == pytest.approx(covered.mean())
            if covered.any():
                assert stage.mean_confidence[k] == pytest.approx(
                    stage.confidence[covered].astype(float).mean(), abs=1e-3
                )
            else:
                assert np.isnan(stage.mean_confidence[k])
    areas = prediction.final.area
    assert prediction.final.present() == sorted(np.flatnonzero(areas), key=lambda k: -areas[k])
    assert prediction.final.present(min_area=0.999) in ([], [int(areas.argmax())])


def stage_of(logits: torch.Tensor) -> StageOutput:
    embeddings = torch.zeros(1, logits.shape[1], 4)
    return StageOutput(logits, logits, logits, embeddings, embeddings, None)


@pytest.mark.filterwarnings("error")
def test_the_mean_confidence_of_millions_of_pixels_is_not_rounded_away() -> None:
    # Confidence 0.9 everywhere; float32 steps beyond 2²¹ are 0.25, so that a float32 sum would add 1.0 each time.
    logits = torch.zeros(1, 3, 1, 1)
    logits[:, 1] = np.log(18)
    stage = _summarise_stage("final", stage_of(logits), size=(MAX_DETAIL_SIDE, MAX_DETAIL_SIDE))
    assert stage.mean_confidence[1] == pytest.approx(0.9, abs=1e-4)
    assert np.isnan(stage.mean_confidence[[0, 2]]).all()
    assert stage.area.tolist() == [0, 1, 0]


def test_confidence_never_exceeds_one_where_a_class_is_certain() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 40, 40) * 200
    stage = _summarise_stage("final", stage_of(logits), size=(40, 40))
    assert stage.confidence.max() <= 1
    assert np.nanmax(stage.mean_confidence) <= 1


def test_beyond_the_detail_limit_pixels_are_repeated_in_place() -> None:
    # Left half class 0, right half class 1, the lower right corner class 2.
    logits = torch.zeros(1, 3, 20, 160)
    logits[:, 0, :, :80] = logits[:, 1, :, 80:] = 9
    logits[:, 2, 15:, 150:] = 99
    size = (2 * MAX_DETAIL_SIDE, 400)
    stage = _summarise_stage("final", stage_of(logits), size=size)
    assert stage.label_map.shape == (400, 2 * MAX_DETAIL_SIDE)
    assert (stage.label_map[:280, : MAX_DETAIL_SIDE - 30] == 0).all()
    assert (stage.label_map[:280, MAX_DETAIL_SIDE + 30 :] == 1).all()
    assert (stage.label_map[320:, 3040:] == 2).all()
    assert stage.area == pytest.approx([(stage.label_map == k).mean() for k in range(3)])


def test_kept_features_give_the_same_prediction(predictor: Predictor) -> None:
    image = noise_image(97, 61, seed=1)
    whole = predictor.predict(image)
    features = predictor.extract_features(image)
    for _ in range(2):  # the head leaves the features as they are
        again = predictor.predict_features(features)
        for name, stage in whole.stages.items():
            for part in ("label_map", "confidence", "similarity", "mask_logits", "embeddings"):
                assert np.array_equal(getattr(stage, part), getattr(again.stages[name], part)), (name, part)


def test_a_prediction_depends_on_the_image(predictor: Predictor, prediction: Prediction) -> None:
    other = predictor.predict(noise_image(97, 61, seed=1))
    assert not np.array_equal(other.final.mask_logits, prediction.final.mask_logits)


def test_a_prediction_carries_image_names_colours_and_time(predictor: Predictor, prediction: Prediction) -> None:
    assert prediction.class_names == CLASS_NAMES
    assert prediction.class_colors == CLASS_COLORS
    assert np.array_equal(np.asarray(prediction.image), np.asarray(noise_image(97, 61)))
    assert prediction.label_map is prediction.final.label_map
    assert prediction.confidence is prediction.final.confidence
    assert 0 < prediction.seconds < 60


def test_the_note_says_how_the_image_was_looked_at(predictor: Predictor, prediction: Prediction) -> None:
    assert prediction.note == "97×61 image, analysed at 64×48"
    assert predictor.predict(noise_image(64, 32)).note == "64×32 image"


@pytest.mark.parametrize(
    ("image_size", "size", "expected"),
    [
        (64, (640, 480), (48, 64)),
        (64, (480, 640), (64, 48)),
        (64, (32, 32), (64, 64)),  # small images are enlarged to what the weights were made for
        (64, (97, 61), (48, 64)),
        (64, (64, 40), (32, 64)),  # 2.5 cells round to even
        (64, (8, 4000), (64, 16)),
        (512, (500, 375), (384, 512)),
        (None, (97, 61), (64, 96)),
        (None, (8, 8), (16, 16)),
        (None, (4000, 3000), (768, MAX_WORKING_SIDE)),
        (None, (4000, 8), (16, MAX_WORKING_SIDE)),
    ],
)
def test_the_working_size_is_the_weights_rounded_to_whole_cells(
    predictor: Predictor, image_size: int | None, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert predictor.model.backbone.size_divisor == 16
    sized = Predictor(small_model(image_size=image_size), device="cpu")
    assert sized.working_size(size) == expected


def test_weights_without_a_size_see_images_as_they_come() -> None:
    prediction = Predictor(small_model(image_size=None), device="cpu").predict(noise_image(80, 48))
    assert prediction.features.working_size == (48, 80)
    assert prediction.label_map.shape == (48, 80)


def test_the_network_sees_normalised_rgb(predictor: Predictor) -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    expected = torch.tensor([-1.0, -0.6, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(predictor.normalise(pixels), expected)


def test_half_precision_is_close_to_single() -> None:
    single, half = (Predictor(small_model(config=PLAIN, seed=1), device="cpu", half=half) for half in (False, True))
    image = noise_image(64, 64)
    # Not the label maps: random weights hardly prefer any class.
    ours, theirs = (predictor.predict(image).final.mask_logits for predictor in (single, half))
    assert not np.array_equal(ours, theirs)
    assert np.abs(ours - theirs).max() < 0.1
    assert np.abs(ours).max() > 0.3


def test_a_predictor_puts_the_model_in_evaluation_mode() -> None:
    model = small_model().train()
    predictor = Predictor(model, device="cpu")
    assert not model.training
    state = {key: value.clone() for key, value in model.state_dict().items()}
    predictor.predict(noise_image(64, 64))
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_an_image_that_cannot_be_used_is_refused(predictor: Predictor) -> None:
    with refused("image-too-small", "4×4", "8×8"):
        predictor.predict(Image.new("RGB", (4, 4)))
    limited = Predictor(predictor.model, device="cpu", max_pixels=100)
    with refused("image-too-large", "20×20", limit=100):
        limited.predict(Image.new("RGB", (20, 20)))


def test_every_kind_of_source_gives_the_same_prediction(predictor: Predictor, tmp_path: Path) -> None:
    image = noise_image(40, 30)
    image.save(tmp_path / "photo.png")
    normalised = load_image(image)
    expected = predictor.predict(normalised)
    assert expected.image is normalised, "it is not converted again"
    for source in (image, np.asarray(image), tmp_path / "photo.png", (tmp_path / "photo.png").read_bytes()):
        found = predictor.predict(source)
        assert found.image == normalised
        for name, stage in expected.stages.items():
            assert np.array_equal(found.stages[name].mask_logits, stage.mask_logits)
            assert np.array_equal(found.stages[name].label_map, stage.label_map)


def test_predictions_are_not_changed_by_later_ones(predictor: Predictor) -> None:
    first = predictor.predict(noise_image(40, 40))
    before = {
        f.name: np.copy(getattr(first.final, f.name)) for f in dataclasses.fields(first.final) if f.name != "gate"
    }
    predictor.predict(noise_image(40, 40, seed=1))
    for name, value in before.items():
        assert np.array_equal(getattr(first.final, name), value, equal_nan=value.dtype.kind == "f"), name
