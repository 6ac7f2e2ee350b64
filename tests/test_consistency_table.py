"""The table of a photo's classes among the reference photos'."""

from pathlib import Path

import numpy as np
from helpers import noise_image, small_model, write_folder
from maps import FolderOnly
from predictions import make_prediction

from ecenet.bank import embed_split, write_bank
from ecenet.data.folder import read_folder
from ecenet.explore.consistency import ClassConsistency
from ecenet.predictor import Predictor
from ecenet.ui.consistency import consistency_table, render
from ecenet.ui.selection import Selection
from ecenet.ui.session import Photo, Session
from ecenet.weights import save_model

NAN = float("nan")


def test_distances_and_rivals_are_told_and_gaps_are_gaps() -> None:
    prediction = make_prediction(np.array([[0, 1]], dtype=np.uint8))
    rows = [ClassConsistency(1, 0.25, 2, 0.75, 0.5), ClassConsistency(0, NAN, None, NAN, NAN)]
    page = consistency_table(rows, prediction=prediction, stage="stage2")
    assert "Stage 2" in page
    assert page.count("<tr><td>") == 2
    assert "dog</td><td>0.250</td>" in page
    assert "cat</td><td>0.500</td>" in page
    assert page.count("–</td>") == 3


def test_it_is_shown_where_the_model_has_a_bank(tmp_path: Path) -> None:
    predictor = Predictor(small_model())
    save_model(predictor.model, tmp_path / "weights")
    data = read_folder(write_folder(tmp_path / "data", splits=("val",), images=4), "val")
    photo = Photo("mine", predictor.predict(noise_image(40, 30)))
    session = Session((photo,), model="own", stage_names=tuple(predictor.model.stage_names))
    assert render(session, Selection(), shelf=FolderOnly(None)) == ""  # type: ignore[arg-type]
    write_bank(embed_split(predictor, data, anonymous=True), tmp_path / "weights" / "bank.parquet")
    shelf = FolderOnly(tmp_path / "weights")
    page = render(session, Selection(stage="stage3"), shelf=shelf)  # type: ignore[arg-type]
    assert "Stage 3" in page
    present = photo.prediction.final.present(min_area=0.005)
    assert page.count("<tr><td>") == len(present)
    assert render(Session(model="own"), Selection(), shelf=shelf) == ""  # type: ignore[arg-type]
