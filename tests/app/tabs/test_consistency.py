"""The table of a photo's classes among the reference photos'."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ecenet.analysis.diagnostics.centroid_distance import ClassConsistency
from ecenet.analysis.diagnostics.mask_warnings import ConfidenceWarning, StageWarning, warning_json
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.embeddings.consistency import WARNED, consistency_table, render
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.bank import embed_split
from ecenet.evaluation.bank_parquet import write_bank
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import noise_image, small_model, write_folder
from tests.support.maps import FolderOnly
from tests.support.predictions import make_prediction

NAN = float("nan")


def test_distances_and_rivals_are_told_and_gaps_are_gaps() -> None:
    prediction = make_prediction(np.array([[0, 1]], dtype=np.uint8))
    rows = [ClassConsistency(1, 0.25, 2, 0.75, 0.5), ClassConsistency(0, NAN, None, NAN, NAN)]
    page = consistency_table(rows, prediction=prediction, stage="stage2")
    assert "Stage 2" in page
    assert page.count("<tr><td>") == 2
    assert "dog</td><td>80%</td><td>0.250</td>" in page
    assert "cat</td><td>0.500</td>" in page
    assert page.count("–</td>") == 3
    assert "may be wrong" not in page, "nobody has measured when to warn"


def test_a_mask_that_may_be_wrong_is_marked_and_the_help_tells_the_figures() -> None:
    labels = np.array([[0, 1]], dtype=np.uint8)
    prediction = make_prediction(labels)
    unsure = replace(prediction.stages["stage2"], mean_confidence=np.array([0.8, 0.5, np.nan]))
    prediction = replace(prediction, stages={**prediction.stages, "stage2": unsure})
    rows = [ClassConsistency(k, 0.25, None, NAN, NAN) for k in (0, 1)]
    measured = StageWarning(0.6, precision=0.55, recall=0.75, auc=0.9, images=10, pairs=40, failures=4)
    warning = ConfidenceWarning("abc", "<data>", "val", 0.5, 0.005, {"stage2": measured})

    page = consistency_table(rows, prediction=prediction, stage="stage2", warning=warning)
    marked, table = "may be wrong</span>", page[: page.index("</table>")]
    assert table.count(marked) == 1
    assert f"dog</td><td>{WARNED}50%</td>" in table
    for figure in (
        "below 60%",
        "55% of the",
        "75% of the wrong masks",
        "IoU with the ground truth is below 0.5",
        "10% of all masks",
    ):
        assert figure in " ".join(page.split()), figure
    assert "<data>" not in page

    elsewhere = consistency_table(rows, prediction=prediction, stage="stage3", warning=warning)
    assert "may be wrong" not in elsewhere


def test_it_is_shown_where_the_model_has_a_bank(tmp_path: Path) -> None:
    predictor = Predictor(small_model())
    save_model(predictor.model, tmp_path / "weights")
    data = read_folder(write_folder(tmp_path / "data", splits=("val",), images=4), "val")
    photo = Photo("mine", predictor.predict(noise_image(40, 30)))
    session = Session((photo,), model="own", stage_names=tuple(predictor.model.stage_names))
    assert render(session, Selection(), registry=FolderOnly(None)) == ""  # type: ignore[arg-type]
    write_bank(embed_split(predictor, data, anonymous=True), tmp_path / "weights" / "bank.parquet")
    registry = FolderOnly(tmp_path / "weights")
    page = render(session, Selection(stage="stage3"), registry=registry)  # type: ignore[arg-type]
    assert "<details" not in page
    assert "Stage 3" in page
    present = photo.prediction.final.present(min_area=0.005)
    assert page.count("<tr><td>") == len(present)
    assert render(Session(model="own"), Selection(), registry=registry) == ""  # type: ignore[arg-type]

    seen = [k for k in present if photo.prediction.stages["stage3"].area[k] > 0]
    always = StageWarning(1.1, precision=0.5, recall=1.0, auc=0.5, images=4, pairs=8, failures=4)
    path = tmp_path / "weights" / "warning.json"
    for weights, warned in ((predictor.weights_hash, len(seen)), ("others", 0)):
        stages = {"stage3": always}
        path.write_text(warning_json(ConfidenceWarning(weights, "tiny", "val", 0.5, 0.0, stages)), encoding="utf-8")
        page = render(session, Selection(stage="stage3"), registry=registry)  # type: ignore[arg-type]
        assert page.count(WARNED) == warned
        assert "may be wrong" not in render(session, Selection(stage="stage2"), registry=registry)  # type: ignore[arg-type]
