"""The API over a real server: the examples of the docs, and answers held to what the library says of the same photo."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gradio_client import handle_file
from PIL import Image
from pycocotools import mask as coco_mask
from scipy.integrate import trapezoid

from ecenet.analysis.diagnostics.centroid_distance import prediction_consistency, reference_centroids
from ecenet.analysis.diagnostics.similarity_maps import overwritten
from ecenet.analysis.interventions.painted_class import load_class
from ecenet.analysis.interventions.painting import paint_class
from ecenet.app.api import photo
from ecenet.evaluation.bank_parquet import read_bank
from ecenet.inference.weights import WEIGHTS_DIR
from tests.support.pages import API_PAGE, code_blocks, section
from tests.support.web.serving import SHOWN_ADDRESS, Served, file

ENDPOINTS = {"/segment", "/similarity", "/embed", "/consistency", "/faithfulness", "/what_if", "/match"}
STAGES = ["ece", "stage4", "stage3", "stage2", "stage1", "final"]


def api_examples(language: str) -> list[str]:
    return code_blocks(section(API_PAGE, "API"), language)


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    """What the examples define, one after the other."""
    return {}


def run_example(api: Served, namespace: dict[str, Any], endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The documented example of one endpoint, and what it calls `report`."""
    monkeypatch.chdir(api.folder)
    (code,) = (code for code in api_examples("python") if f'api_name="/{endpoint}"' in code)
    exec(code.replace(SHOWN_ADDRESS, api.address), namespace)
    return namespace["report"]


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


def what_if(api: Served, **arguments: Any) -> Any:
    """The report of the cat's photo with something otherwise."""
    return api.client.predict(file(api, "photo.jpg"), **arguments, api_name="/what_if")[0]


def at(report: Any, stage: str) -> Any:
    return next(one for one in report["stages"] if one["stage"] == stage)


def areas(report: Any, stage: str, when: str) -> dict[str, float]:
    return {one["class"]: one[f"area_{when}"] for one in at(report, stage)["classes"]}


def test_only_the_endpoints_are_on_the_api_page_with_types_and_descriptions(api: Served) -> None:
    listed = api.client.view_api(return_format="dict", print_info=False)
    assert set(listed["named_endpoints"]) == ENDPOINTS
    assert not listed["unnamed_endpoints"]
    for endpoint in listed["named_endpoints"].values():
        assert endpoint["description"].endswith(".")
        assert all(one["python_type"]["type"] not in ("Any", "") for one in endpoint["parameters"])
        assert "weights_hash: str" in endpoint["returns"][0]["python_type"]["type"]
    parameters = {one["parameter_name"]: one for one in listed["named_endpoints"]["/what_if"]["parameters"]}
    assert parameters["photo"]["python_type"]["type"] == "filepath"
    assert "Literal['paint', 'erase', 'swap', 'replace']" in parameters["edits"]["python_type"]["type"]


def test_segment(api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_example(api, namespace, "segment", monkeypatch)
    assert np.array_equal(pixels(report["label_map"]), api.prediction.label_map)
    assert Image.open(report["label_map"]).mode == "P"
    assert report["classes"][0]["class"] == "cat"
    cat = api.prediction.class_names.index("cat")
    assert report["classes"][0]["area"] == (api.prediction.label_map == cat).mean()
    assert report["agreement_with_final"] == {name: api.prediction.agreement(name) for name in STAGES}
    assert Image.open(namespace["overlay"]).size == api.prediction.image.size
    assert (report["weights"], report["weights_hash"]) == ("everyday", api.predictor.weights_hash)


def test_segment_of_another_stage_and_as_coco(api: Served) -> None:
    report, _ = api.client.predict(file(api, "photo.jpg"), stage="stage4", coco=True, api_name="/segment")
    expected = api.prediction.stages["stage4"].label_map
    assert np.array_equal(pixels(report["label_map"]), expected)
    for one in report["coco"]:
        assert np.array_equal(coco_mask.decode(one["segmentation"]), expected == one["category_id"] - 1)


def test_segment_without_what_it_is_not_sure_of(api: Served) -> None:
    report, _ = api.client.predict(file(api, "photo.jpg"), min_confidence=0.8, api_name="/segment")
    sure = api.prediction.confidence >= np.float16(0.8)
    assert np.array_equal(pixels(report["label_map"]), np.where(sure, api.prediction.label_map, 255))
    assert report["sure_area"] == pytest.approx(sure.mean())


def test_match_finds_the_pixel_itself_in_its_own_photo(
    api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run_example(api, namespace, "match", monkeypatch)
    own, other = report["matches"]
    assert np.hypot(own["x"] - 100, own["y"] - 80) <= 8
    assert other["cosine"] <= own["cosine"] <= 1.001
    maps = np.load(report["arrays"])
    assert maps["1"].max() == pytest.approx(other["cosine"])
    assert own["score"] is None


def test_other_weights_of_the_list(api: Served) -> None:
    report, _ = api.client.predict(file(api, "photo.jpg"), weights="camvid", api_name="/segment")
    assert report["weights"] == "camvid"
    assert not {"cat", "background"} & {one["class"] for one in report["classes"]}


def test_similarity(api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_example(api, namespace, "similarity", monkeypatch)
    k = api.prediction.class_names.index("cat")
    with np.load(report["arrays"]) as maps:
        assert maps.files == STAGES == list(report["maps"])
        for name, stage in api.prediction.stages.items():
            np.testing.assert_allclose(maps[name], stage.mask_logits[k], atol=1e-5)
        everything = np.concatenate([maps[name].ravel() for name in STAGES])
    assert everything.min() <= report["low"] < report["high"] <= everything.max()
    assert report["overwritten"] == pytest.approx({name: v[k] for name, v in overwritten(api.prediction).items()})
    widths = [Image.open(path).width for path in report["maps"].values()]
    assert Image.open(namespace["pictures"]).width > sum(widths)


def test_embed(api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_example(api, namespace, "embed", monkeypatch)
    table = pd.read_parquet(report["table"])
    assert list(table.columns) == ["photo", "stage", "class", "area", "confidence", "embedding"]
    assert len(table) == report["rows"]
    assert report["photos"] == table["photo"].unique().tolist() == ["photo", "other"]
    stage = api.prediction.stages["stage2"]
    for row in table[(table["photo"] == "photo") & (table["stage"] == "stage2")].itertuples():
        k = api.prediction.class_names.index(row[3])
        assert row.area == stage.area[k]
        np.testing.assert_allclose(row.embedding, stage.embeddings[k], atol=1e-5)


def test_consistency(api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_example(api, namespace, "consistency", monkeypatch)
    assert (report["stage"], report["reference_photos"]) == ("stage2", 300)
    bank = read_bank(WEIGHTS_DIR / "everyday" / "bank.parquet")
    rows = prediction_consistency(api.prediction, reference_centroids(bank), stage="stage2")
    names = api.prediction.class_names
    assert [one["class"] for one in report["classes"]] == [names[row.class_index] for row in rows]
    for one, row in zip(report["classes"], rows, strict=True):
        assert row.rival is not None
        assert one["rival"] == names[row.rival]
        assert (one["distance"], one["rival_distance"]) == pytest.approx((row.distance, row.rival_distance))
        assert one["warned"] == (one["confidence"] < report["warning"]["threshold"])
        assert one["margin"] == pytest.approx(one["rival_distance"] - one["distance"], abs=1e-6)


def test_faithfulness(api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photo, "STEPS", 2)  # for speed
    report = run_example(api, namespace, "faithfulness", monkeypatch)
    for name, better in (("insertion", 1), ("deletion", -1)):
        curve = report[name]
        assert curve["shares"][0] == 0
        assert curve["shares"][-1] == 1
        assert curve["area"] == pytest.approx(trapezoid(curve["scores"], curve["shares"]))
        assert curve["passed"] == (better * (curve["area"] - curve["random_area"]) > 0)
    assert report["insertion"]["scores"][-1] == pytest.approx(report["deletion"]["scores"][0])
    assert report["random_heads"]["passed"] == (abs(report["random_heads"]["correlation"]) < 0.5)


def test_what_if(api: Served, namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    report = run_example(api, namespace, "what_if", monkeypatch)
    assert report["class_names"] == [*api.prediction.class_names, "forehead"]
    assert [one["stage"] for one in report["stages"]] == STAGES
    assert "dog" not in areas(report, "final", "after")
    assert areas(report, "ece", "after")["sheep"] == areas(report, "ece", "before")["cat"], "swapped"
    with np.load(report["arrays"]) as arrays:
        assert np.unique(np.concatenate([arrays[f"gate_stage{n}"].ravel() for n in (4, 2, 1)])).tolist() == [0.5]
        assert np.array_equal(arrays["embeddings_stage3"], arrays["embeddings_stage4"]), "no updater at stage 3"
        assert arrays["similarity_final"].shape[0] == len(report["class_names"])
    after = pixels(report["label_map"])
    final = at(report, "final")
    assert final["changed_share"] == (after != api.prediction.label_map).mean()
    assert final["mean_iou_before"] == 1, "the truth is the prediction"
    assert final["mean_iou_after"] < 1
    assert sum(one["lost"] for one in final["classes"]) == sum(one["gained"] for one in final["classes"])
    for one in final["classes"]:
        assert one["area_after"] == pytest.approx((after == report["class_names"].index(one["class"])).mean())
    assert list(report["maps"]) == STAGES[1:]
    assert Image.open(namespace["before_after"]).width > 2 * api.prediction.image.width


def test_curl(api: Served) -> None:
    (code,) = api_examples("bash")
    done = subprocess.run(
        ["bash", "-c", code.replace(SHOWN_ADDRESS, api.address)], cwd=api.folder, capture_output=True, text=True
    )
    event, data = re.findall(r"^(?:event|data): (.*)$", done.stdout, re.MULTILINE)
    assert event == "complete"
    assert json.loads(data)[0]["classes"][0]["class"] == "cat"


def test_nothing_otherwise_changes_nothing_and_neither_does_a_transplant_of_its_own_class(api: Served) -> None:
    for arguments in ({}, {"transplant": {"photo": file(api, "photo.jpg"), "class_name": "cat"}}):
        report = what_if(api, **arguments)
        assert [one["changed_share"] for one in report["stages"]] == [0] * len(STAGES)
        assert np.array_equal(pixels(report["label_map"]), api.prediction.label_map)
        assert report["painted_class"] is None
        assert report["stages"][0]["mean_iou_before"] is None


def test_an_erased_class_has_no_area_at_that_stage(api: Served) -> None:
    report = what_if(api, edits=[{"stage": "stage2", "action": "erase", "class_name": "cat"}])
    assert areas(report, "stage2", "before")["cat"] > 0.5
    assert areas(report, "stage2", "after")["cat"] < 0.005, "slivers where neighbouring cells differ in what comes next"
    assert at(report, "stage3")["changed_share"] == 0, "it was not there yet"


def test_edits_follow_each_other(api: Served) -> None:
    """A mask that is replaced by the final one, in which then a region is painted."""
    report = what_if(
        api,
        edits=[
            {"stage": "stage1", "action": "replace", "label_map": file(api, "mask.png")},
            {"stage": "stage1", "action": "paint", "class_name": "dog", "region": file(api, "region.png")},
        ],
    )
    assert report["enlarged"] is False
    box = 40 * 150 / api.prediction.label_map.size
    assert areas(report, "stage1", "after")["dog"] == pytest.approx(box, rel=0.1)
    wall = areas(report, "final", "before")["wall"]
    assert areas(report, "stage1", "after")["wall"] == pytest.approx(wall, rel=0.05)


def test_the_predicted_mask_painted_gives_nearly_the_predicted_embedding(api: Served) -> None:
    """Nearly, since a region has no half certain cells; and just what the library makes of it."""
    cat = api.prediction.class_names.index("cat")
    region = api.prediction.stages["ece"].label_map == cat
    Image.fromarray(region.astype(np.uint8)).save(api.folder / "cat.png")
    report = what_if(api, examples=[{"region": file(api, "cat.png")}], class_name="again")
    predicted = api.prediction.stages["ece"].embeddings[cat]
    with np.load(report["arrays"]) as arrays:
        made = arrays["embeddings_ece"][-1]
    cosine = made @ predicted / np.linalg.norm(made) / np.linalg.norm(predicted)
    assert cosine > 0.99
    expected = paint_class(api.predictor, [(api.prediction.features, region)], name="again", color=(0, 0, 0))
    np.testing.assert_allclose(made, expected.embeddings[0], atol=1e-2)


def test_what_the_backbone_finds_is_no_embedding(api: Served) -> None:
    examples = [{"region": file(api, "region.png")}]
    report = what_if(api, examples=examples, pooling="backbone", class_name="forehead")
    rows = {one["class"]: one for one in at(report, "final")["classes"]}
    assert rows["forehead"]["area_after"] > 0.05
    assert rows["forehead"]["embedding_moved"] is None
    assert (report["maps"], report["low"]) == ({}, None)
    with np.load(report["arrays"]) as arrays:
        assert np.isnan(arrays["embeddings_stage1"][-1]).all()


def test_examples_on_several_photos_make_a_class_that_a_later_call_takes(api: Served) -> None:
    elsewhere = {"region": file(api, "other-region.png"), "photo": file(api, "other.jpg")}
    face = np.zeros(api.prediction.label_map.shape, dtype=np.uint8)
    face[40:280, 120:330] = 1
    Image.fromarray(face).save(api.folder / "face.png")
    examples = [elsewhere, {"region": file(api, "face.png")}]
    first = what_if(api, examples=examples, pooling="prototypes", prototypes=2, class_name="two things")
    painted = load_class(Path(first["painted_class"]), weights_hash=first["weights_hash"])
    assert (painted.name, painted.method, len(painted.embeddings)) == ("two things", "prototypes", 2)
    later = what_if(api, painted_classes=[handle_file(first["painted_class"])])
    assert np.array_equal(pixels(later["label_map"]), pixels(first["label_map"]))
    assert areas(later, "final", "after")["two things"] > 0.3, "one prototype is her face: it takes most of the cat"
