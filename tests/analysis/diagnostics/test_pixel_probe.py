"""One pixel through the stages, and the label map's changes: tiny cases by hand, and what must hold for any."""

import numpy as np
import pytest
import torch

from ecenet.analysis.diagnostics.pixel_probe import probe_pixel
from ecenet.analysis.diagnostics.stage_flow import decided_at, decided_shares, join_small, transitions
from ecenet.analysis.plots import probe as figures
from ecenet.data.images import RGBImage
from ecenet.inference.prediction import ImageFeatures, Prediction
from ecenet.inference.predictor import Predictor, _summarise_stage
from ecenet.inference.upsample import MAX_DETAIL_SIDE
from ecenet.model.outputs import StageOutput
from tests.support.helpers import noise_image, small_model
from tests.support.predictions import STAGES, make_prediction

FINAL = np.array([[0, 1, 1], [0, 2, 1]], dtype=np.uint8)


def way(*classes: int) -> Prediction:
    """A photo of two pixels: the first takes these classes from stage to stage, the second is always background."""
    maps = [np.array([[k, 0]], dtype=np.uint8) for k in classes]
    return make_prediction(maps[-1], stages=dict(zip(STAGES, maps, strict=True)))


def random_prediction(width: int, height: int, *, classes: int = 4, seed: int = 0) -> Prediction:
    """Random logits on grids of several sizes, summarised as the predictor does it."""
    numbers = torch.Generator().manual_seed(seed)
    stages = {}
    for name, side in zip(STAGES, (2, 3, 5, 8, 9, 13), strict=True):
        logits = 3 * torch.randn(1, classes, side, side + 2, generator=numbers)
        embeddings = torch.randn(1, classes, 6, generator=numbers)
        output = StageOutput(logits, logits + 1, logits, embeddings, embeddings, torch.rand(embeddings.shape))
        stages[name] = _summarise_stage(name, output, size=(width, height))
    return Prediction(
        class_names=[str(k) for k in range(classes)],
        class_colors=[[40 * k, 0, 0] for k in range(classes)],
        stages=stages,
        features=ImageFeatures(image=RGBImage(noise_image(width, height)), working_size=(32, 32), tensors=[]),
        seconds=0.0,
    )


@pytest.mark.parametrize("size", [(31, 20), (13, 15), (9, 40), (200, 8), (MAX_DETAIL_SIDE + 437, 90)])
def test_a_pixels_probabilities_are_those_that_its_label_map_was_made_from(size: tuple[int, int]) -> None:
    prediction = random_prediction(*size)
    numbers = np.random.default_rng(0)
    corners = [(0, 0), (size[0] - 1, size[1] - 1)]
    places = corners + [(int(numbers.integers(size[0])), int(numbers.integers(size[1]))) for _ in range(150)]
    for x, y in places:
        probe = probe_pixel(prediction, x, y)
        assert probe.probabilities.sum(axis=1) == pytest.approx(np.ones(6))
        for stage, k, row in zip(prediction.stages.values(), probe.classes, probe.probabilities, strict=True):
            assert row.argmax() == k == stage.label_map[y, x]
            assert row[k] == pytest.approx(float(stage.confidence[y, x]), abs=1e-3), "float16 keeps three digits"


def test_the_same_holds_for_a_network() -> None:
    prediction = Predictor(small_model()).predict(noise_image(75, 50))
    for x, y in ((0, 0), (74, 49), (40, 20), (3, 44)):
        probe = probe_pixel(prediction, x, y)
        for stage, row in zip(prediction.stages.values(), probe.probabilities, strict=True):
            assert row.argmax() == stage.label_map[y, x]
            assert row.max() == pytest.approx(float(stage.confidence[y, x]), abs=1e-3)


def test_similarity_and_gate_are_those_of_the_stages_that_have_them() -> None:
    probe = probe_pixel(make_prediction(FINAL), 1, 1)
    assert list(probe.similarity) == list(probe.gate) == ["stage4", "stage3", "stage2", "stage1"]
    assert probe.similarity["stage3"].tolist() == [-5, -5, 5]
    assert probe.gate["stage3"].tolist() == [0.25, 0.25, 0.25]


def test_classes_are_ranked_by_their_highest_probability_at_any_stage() -> None:
    probe = probe_pixel(way(2, 1, 1, 1, 1, 1), 0, 0)
    assert set(probe.ranked(most=2)) == {1, 2}
    assert len(probe.ranked(most=5)) == 3


@pytest.mark.parametrize(
    ("classes", "decided"),
    [
        ((1, 1, 1, 1, 1, 1), 0),
        ((1, 1, 2, 2, 2, 2), 2),
        ((2, 1, 2, 2, 2, 2), 2),
        ((2, 2, 2, 2, 1, 2), 5),
        ((0, 1, 2, 0, 1, 2), 5),
    ],
)
def test_a_pixel_is_decided_where_its_final_class_comes_to_stay(classes: tuple[int, ...], decided: int) -> None:
    prediction = way(*classes)
    assert probe_pixel(prediction, 0, 0).decided == decided
    assert decided_at(prediction).tolist() == [[decided, 0]]


def test_the_map_of_deciding_stages_says_the_same_as_each_pixel() -> None:
    prediction = random_prediction(24, 17)
    decided = decided_at(prediction)
    assert decided.dtype == np.uint8
    for y in range(17):
        for x in range(24):
            assert probe_pixel(prediction, x, y).decided == decided[y, x]
    shares = decided_shares(decided, stages=6)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == (decided == 0).mean()


def test_transitions_count_who_went_where() -> None:
    flows = transitions(way(2, 1, 1, 1, 1, 0))
    assert flows.shape == (5, 3, 3)
    assert flows[0].tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert flows[1].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert flows[4].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]


def test_transitions_add_up_to_the_class_counts_of_both_stages() -> None:
    prediction = random_prediction(31, 20)
    flows = transitions(prediction)
    counts = [np.bincount(stage.label_map.ravel(), minlength=4) for stage in prediction.stages.values()]
    for number, flow in enumerate(flows):
        assert flow.sum(axis=1).tolist() == counts[number].tolist()
        assert flow.sum(axis=0).tolist() == counts[number + 1].tolist()
    changed = decided_at(prediction) > 0
    assert (transitions(prediction, within=changed) + transitions(prediction, within=~changed)).tolist() == (
        flows.tolist()
    )


def test_small_classes_are_joined_and_no_pixel_is_lost() -> None:
    flows = np.zeros((2, 4, 4), dtype=np.int64)
    flows[0, 3, 3], flows[0, 0, 2], flows[0, 1, 1] = 900, 97, 3
    flows[1, 3, 3], flows[1, 2, 2], flows[1, 1, 2] = 900, 97, 3
    joined, kept = join_small(flows, min_share=0.005)
    assert kept == [3, 2, 0], "largest of the last stage first; 0 counts since it was large once; 1 never was"
    assert joined.sum(axis=(1, 2)).tolist() == [1000, 1000]
    assert joined[0, 3, 3] == 3
    assert joined[1, 3, 1] == 3, "from other to class 2"
    assert joined[0, 2, 1] == 97


def test_no_more_classes_than_asked_for_are_kept() -> None:
    flows = np.zeros((1, 5, 5), dtype=np.int64)
    flows[0, range(5), range(5)] = [10, 40, 20, 5, 25]
    joined, kept = join_small(flows, min_share=0.005, most=2)
    assert kept == [1, 4]
    assert joined[0].tolist() == [[40, 0, 0], [0, 25, 0], [0, 0, 35]]
    assert join_small(flows, min_share=0.3, most=2)[1] == [1]


def test_the_flow_draws_changes_strong_and_the_rest_faint() -> None:
    prediction = way(2, 1, 1, 1, 1, 1)
    figure = figures.class_flow(
        transitions(prediction),
        stages=STAGES,
        pixels=2,
        class_names=prediction.class_names,
        class_colors=prediction.class_colors,
    )
    link = figure.data[0].link
    strengths = {text: color.split(",")[-1] for text, color in zip(link.customdata, link.color, strict=True)}
    assert strengths["cat → dog, Coarse (ECE) to Stage 4"] == "0.7)"
    assert strengths["background → background, Coarse (ECE) to Stage 4"] == "0.15)"
    assert sum(link.value) == pytest.approx(5), "five steps, each of the whole photo"
    assert [trace.name for trace in figure.data[1:]] == ["background", "dog", "cat"], "no “other” where there is none"


def test_the_probability_chart_names_pixel_class_and_deciding_stage() -> None:
    prediction = way(2, 2, 1, 1, 1, 1)
    probe = probe_pixel(prediction, 0, 0)
    figure = figures.probability_lines(probe, class_names=prediction.class_names, class_colors=prediction.class_colors)
    assert figure.layout.title.text == "Pixel (0, 0), finally dog"
    assert figure.layout.shapes[0].x0 == 2
    assert {line.name for line in figure.data} == {"background", "dog", "cat"}


def test_stage_colors_are_as_many_and_differ() -> None:
    colors = figures.stage_colors(6)
    assert len({tuple(color) for color in colors}) == 6
    assert len(figures.stage_colors(1)) == 1
