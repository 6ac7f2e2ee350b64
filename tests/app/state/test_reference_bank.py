"""A visitor's photos among the reference photos that lie beside a model's weights."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs.embeddings.events import point_of, select_point
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.bank import embed_split
from ecenet.evaluation.bank_parquet import write_bank
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.fitters import ScriptedFitter
from tests.support.helpers import noise_image, small_model, write_folder
from tests.support.maps import FolderOnly, render


def test_a_visitors_photo_lies_among_the_reference_photos(tmp_path: Path) -> None:
    save_model(small_model(), tmp_path / "weights")
    predictor = Predictor.from_weights(tmp_path / "weights")
    data = read_folder(write_folder(tmp_path / "data", splits=("val",), images=4), "val")
    bank = embed_split(predictor, data, anonymous=True)
    write_bank(bank, tmp_path / "weights" / "bank.parquet")
    photo = Photo("mine", predictor.predict(noise_image(40, 30)))
    session = Session((photo,), model="own", stage_names=tuple(predictor.model.stage_names))
    registry, fitter = FolderOnly(tmp_path / "weights"), ScriptedFitter()

    value, note, _, _, current, names, drawn, _ = render(session, registry=registry, fitter=fitter)
    others = int(current.is_reference.sum())
    assert fitter.fitted == [others], "the reference alone is fitted, so that all visitors see one map"
    assert fitter.placed == [len(current.points) - others]
    assert f"{others} points of reference photos" in note
    assert names[0] == "mine"
    assert {names[image] for image in current.points.image[current.is_reference]} == set(bank.images)
    assert render(session, current, drawn, registry=registry, fitter=fitter)[4] is current, "nothing is drawn again"

    figure = json.loads(value)["figure"]
    sizes = [size for trace in figure["data"] if "customdata" in trace for size in _numbers(trace["marker"]["size"])]
    assert sum(size == 6 for size in sizes) == others
    clicked = select_point(
        Selection(stage="final", pixel=(1, 1)), current, int(np.flatnonzero(current.is_reference)[0])
    )
    assert (clicked.photo, clicked.pixel, clicked.stage) == (0, (1, 1), "ece"), "its photo is not here"
    row = int(np.flatnonzero(current.is_reference)[0])
    assert point_of(current, session, clicked) == row, "but its neighbours are"
    own = point_of(current, session, replace(clicked, reference=None))
    assert own is None or not current.is_reference[own]

    assert not render(session, registry=registry, with_reference=False)[4].is_reference.any()
    save_model(small_model(seed=1), tmp_path / "weights")
    other = Session((photo,), model="other", stage_names=session.stage_names)
    assert not render(other, registry=FolderOnly(tmp_path / "weights"))[4].is_reference.any(), "of other weights"


def _numbers(encoded: Any) -> list[float]:
    """A plotly array, be it a list or packed."""
    if isinstance(encoded, dict):
        return np.frombuffer(base64.b64decode(encoded["bdata"]), dtype=encoded["dtype"]).tolist()
    return list(encoded)
