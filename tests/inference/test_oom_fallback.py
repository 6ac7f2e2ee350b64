"""Where a device has no room for a photo: a smaller working size, then the CPU, and the note says so."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ecenet.analysis.diagnostics.faithfulness import score_map
from ecenet.analysis.interventions.painting import paint_class
from ecenet.app.state.session import Session, add_photos
from ecenet.inference.oom_fallback import LOADED_ON_CPU, ON_CPU, SMALLER, SteadyPredictor
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.model.ecenet import ECENet
from ecenet.model.edits import HeadEdits
from tests.support.helpers import noise_image, small_model
from tests.support.refusals import assert_names, refused

SIDE = 256
NO_ROOM = "CUDA out of memory. Tried to allocate 2.00 GiB"


class Crowded(nn.Module):
    """A part of a model on a device that holds maps of so many cells, and no larger ones; its copy on the CPU has room
    unless `everywhere`."""

    def __init__(self, part: nn.Module, *, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.part, self.most, self.error = part, most, error

    def forward(self, maps: Tensor, *args: Any, **kwargs: Any) -> Any:
        if maps.shape[-2] * maps.shape[-1] > self.most:
            raise self.error(NO_ROOM)
        return self.part(maps, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("part"), name)

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        return copy.deepcopy(self.part, memo)


def crowded(part: str, *, most: int, error: type[Exception] = torch.OutOfMemoryError) -> ECENet:
    model = small_model(image_size=SIDE)
    owner, _, name = part.rpartition(".")
    setattr(model.get_submodule(owner), name, Crowded(model.get_submodule(part), most=most, error=error))
    return model


@pytest.fixture(scope="module")
def usual() -> Prediction:
    """Of a device with room."""
    return Predictor(small_model(image_size=SIDE), device="cpu").predict(noise_image(128, 96))


def same(one: Prediction, other: Prediction) -> bool:
    return all(
        np.array_equal(stage.label_map, other.stages[name].label_map)
        and np.allclose(stage.embeddings, other.stages[name].embeddings, atol=1e-5)
        for name, stage in one.stages.items()
    )


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError], ids=["CUDA", "MPS"])
def test_a_photo_that_is_too_large_is_seen_smaller_and_the_note_says_so(error: type[Exception]) -> None:
    predictor = SteadyPredictor(crowded("backbone", most=SIDE * SIDE // 2, error=error), device="cpu")
    seen = predictor.predict(noise_image(128, 96))
    assert seen.features.working_size == (96, 128)
    assert seen.note == f"128×96 image, {SMALLER}"
    assert seen.label_map.shape == (96, 128)
    alike = Predictor(small_model(image_size=SIDE // 2), device="cpu").predict(noise_image(128, 96))
    assert same(seen, alike), "as weights see it whose size that is"


def test_one_photo_seen_smaller_changes_nothing_for_the_next() -> None:
    predictor = SteadyPredictor(crowded("backbone", most=SIDE * SIDE // 2), device="cpu")
    predictor.predict(noise_image(128, 128))
    flat = predictor.predict(noise_image(128, 32))
    assert flat.features.working_size == (64, 256)
    assert flat.note == "128×32 image, analysed at 256×64"


def test_what_no_size_helps_is_computed_on_the_cpu(usual: Prediction) -> None:
    predictor = SteadyPredictor(crowded("backbone", most=0), device="cpu")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(predictor.predict, [noise_image(128, 96)] * 4))
    for one in found:
        assert one.note == f"128×96 image, analysed at 256×192, {ON_CPU}"
        assert same(one, usual)
    assert predictor.on_cpu is predictor.on_cpu, "moved there once"


def test_the_head_goes_on_where_kept_features_find_no_room(usual: Prediction) -> None:
    predictor = SteadyPredictor(crowded("reconstruct.3", most=0), device="cpu")
    features = predictor.extract_features(noise_image(128, 96))
    assert features.remark == ""
    edits = HeadEdits(gate=0.0)
    after = predictor.predict_features(features, edits, stages=("final",))
    expected = Predictor(small_model(image_size=SIDE), device="cpu").predict_features(usual.features, edits)
    assert np.array_equal(after.label_map, expected.label_map)
    assert after.note.endswith(ON_CPU)


@pytest.mark.parametrize(("part", "most"), [("backbone", SIDE * SIDE // 4), ("reconstruct.3", 0)])
def test_questions_about_a_photo_are_answered_however_it_was_seen(part: str, most: int) -> None:
    predictor = SteadyPredictor(crowded(part, most=most), device="cpu")
    seen, other = (predictor.predict(noise_image(128, 64, seed=seed)) for seed in (0, 1))
    largest = seen.final.present()[0]
    found = score_map(predictor, seen, stage="stage1", class_index=largest, steps=1, random_orders=1)
    assert np.isfinite(found.curves.insertion.scores).all()
    half = np.zeros((64, 128), dtype=bool)
    half[:, :64] = True
    regions = [(seen.features, half), (other.features, half)]
    painted = paint_class(predictor, regions, name="left", color=(1, 2, 3))
    assert np.isfinite(painted.embeddings).all()
    after = predictor.predict_features(seen.features, HeadEdits(added=(painted.added,)))
    assert after.class_names[-1] == "left"


class Full(nn.Module):
    """A part of a model that no device but the CPU has room for."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Full":
        if fn(torch.empty(0)).device.type != "cpu":
            raise torch.OutOfMemoryError(NO_ROOM)
        return self


def test_a_model_that_finds_no_room_at_all_stays_on_the_cpu(usual: Prediction) -> None:
    model = small_model(image_size=SIDE)
    model._modules = {"full": Full(), **model._modules}  # the first to be moved
    seen = SteadyPredictor(model, device="meta").predict(noise_image(128, 96))
    assert seen.note.endswith(LOADED_ON_CPU)
    assert same(seen, usual)


def without_memory(*args: object) -> NoReturn:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory")


def test_a_lack_of_all_memory_is_one_sentence_and_costs_no_other_photo(tmp_path: Path) -> None:
    class Picky(nn.Identity):
        def forward(self, image: Tensor) -> Tensor:
            return without_memory() if image.shape[-1] == SIDE else image

    model = small_model(image_size=SIDE)
    backbone: Any = nn.Sequential(Picky(), model.backbone)
    backbone.size_divisor = 16
    model.backbone = backbone
    predictor = SteadyPredictor(model, device="cpu")
    paths = [str(tmp_path / f"{name}.png") for name in ("high", "wide")]
    for path, size in zip(paths, [(90, 128), (128, 90)], strict=True):
        noise_image(*size).save(path)
    session, problems = add_photos(Session(), paths, predictor=predictor)
    assert [photo.name for photo in session.photos] == ["high"]
    (problem,) = problems
    assert_names(problem, "memory", "smaller photo")
    assert "\n" not in problem
    with refused("out-of-memory", "memory"):
        predictor.extract_features(noise_image(128, 90))


class MisfitError(RuntimeError):
    def __str__(self) -> str:
        return "shape '[1, 2]' is invalid"


def test_other_errors_stay_errors_and_measurements_are_not_made_at_another_size() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        SteadyPredictor(crowded("backbone", most=0, error=MisfitError), device="cpu").predict(noise_image(128, 96))
    with pytest.raises(torch.OutOfMemoryError):
        Predictor(crowded("backbone", most=0), device="cpu").predict(noise_image(128, 96))
