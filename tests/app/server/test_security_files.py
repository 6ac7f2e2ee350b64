"""What a file from a stranger can do: run nothing when it is read, and put nothing but text on the page."""

import ast
import base64
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecenet.analysis.diagnostics.centroid_distance import ClassConsistency
from ecenet.analysis.embeddings.embedding_map import MapRequest, draw_map
from ecenet.analysis.embeddings.projection import ProjectionOptions
from ecenet.analysis.interventions.strokes import Stroke
from ecenet.app.state.experiment import Experiment, add_painted_class
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session
from ecenet.app.tabs import compare, pixel, segment, similarity
from ecenet.app.tabs.embeddings import panels
from ecenet.app.tabs.embeddings.consistency import consistency_table
from ecenet.app.tabs.evaluate import images, tables
from ecenet.app.tabs.train import render as run_view
from ecenet.app.tabs.what_if.render import render_details, render_result
from ecenet.app.widgets.markup import color_swatch
from ecenet.common.errors import UserError
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.bank import embed_split
from ecenet.inference.convert.mmseg_file import read_published
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import load_model, save_model
from ecenet.model.network import Network
from ecenet.training.jobs.status import RunReport
from tests.support.fitters import ScriptedFitter
from tests.support.helpers import noise_image, small_model, write_folder
from tests.support.refusals import refused

ROOT = Path(__file__).parents[3]
MARK_UP = """'"><img src=x onerror="alert(1)"><script>alert(2)</script>${alert(3)}"""
OWN_DATA = ("ecenet/analysis/embeddings/umap_worker.py", "ecenet/app/server/session_store.py")
"""Talks pickles with the process that it has started itself."""


class Runs:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


def test_weights_that_would_run_code_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three places where weights come from: a checkpoint's folder, a run's own file, a published checkpoint."""
    from ecenet.training.checkpoint import load_checkpoint

    monkeypatch.chdir(tmp_path)
    save_model(small_model(), tmp_path / "own")
    for evil in (pickle.dumps(Runs()), pickle.dumps({"model": Runs()}, protocol=2)):
        (tmp_path / "own" / "model.safetensors").write_bytes(evil)
        (tmp_path / "last.pt").write_bytes(evil)
        reads: list[Callable[[], Any]] = [
            lambda: load_model(tmp_path / "own"),
            lambda: load_checkpoint(tmp_path / "last.pt", None),  # type: ignore[arg-type]  # it gets no further
            lambda: read_published(tmp_path / "last.pt"),
        ]
        for read in reads:
            with pytest.raises(UserError):
                read()
    torch.save({"format": "ecenet-run-1", "model": Runs()}, tmp_path / "last.pt")
    with refused("file-damaged", tmp_path / "last.pt", "--out"):
        load_checkpoint(tmp_path / "last.pt", None)  # type: ignore[arg-type]
    assert not (tmp_path / "ran").exists()


def test_no_line_of_the_project_reads_a_file_that_could_run_code() -> None:
    """`torch.load` takes weights only; nothing else unpickles, evaluates or starts a shell."""
    loads = 0
    for path in (ROOT / "app.py", *sorted((ROOT / "ecenet").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called, where = ast.unparse(node.func), f"{path.relative_to(ROOT)}:{node.lineno}"
            options = {option.arg: ast.unparse(option.value) for option in node.keywords}
            if called == "torch.load":
                loads += 1
                assert options.get("weights_only") == "True", where
            if called in ("pickle.load", "pickle.loads"):
                assert where.startswith(OWN_DATA), where
            assert called not in ("eval", "exec", "os.system", "os.popen", "yaml.load", "joblib.load"), where
            assert options.get("allow_pickle", "False") == "False", where
            assert options.get("shell", "False") == "False", where
    assert loads


class Parsed(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}


def assert_only_text(page: str) -> None:
    """Names are shown, and none of them has become a part of the page."""
    assert "alert(1)" in page
    parsed = Parsed(page)
    assert "script" not in parsed.tags
    assert ("src", "x") not in parsed.attributes
    assert not {value for name, value in parsed.attributes if name.startswith("on")}, "no part of the page is code"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Of a model whose classes are called by what would be a page's parts."""
    model: Network = small_model()
    model.class_names = [f"{name}{MARK_UP}" for name in model.class_names]
    return Predictor(model, device="cpu", half=False)


@pytest.fixture(scope="module")
def session(predictor: Predictor) -> Session:
    predictions = [predictor.predict(noise_image(97, 61, seed=seed)) for seed in (0, 1)]
    photos = tuple(Photo(f"{number}{MARK_UP}", one) for number, one in enumerate(predictions))
    return Session(photos, stage_names=tuple(predictor.model.stage_names))


def test_names_of_photos_and_classes_stay_text_in_every_tab(session: Session) -> None:
    photo, here = session.photos[0], Selection(pixel=(3, 4))
    prediction, name = photo.prediction, photo.prediction.class_names[0]
    for page in (
        segment.render_masks(photo, "final", 0.6),
        similarity.render_maps(prediction, class_name=name, stage="final", rows="stages"),
        similarity.render_maps(prediction, class_name=name, stage="final", rows="classes"),
        similarity.render_gates(prediction, class_name=name, stage="stage2"),
        pixel.render_map(photo),
        pixel.render_pixel(session, here)[2].value,
        compare.render_photos(session, here),
        compare.render_pair(session, here, compare.Other("k", (MARK_UP, MARK_UP), prediction, prediction)),
        consistency_table([ClassConsistency(0, 0.1, 1, 0.2, 0.1)], prediction=prediction, stage="stage2"),
    ):
        assert_only_text(page)


def test_names_of_painted_classes_stay_text(session: Session, predictor: Predictor) -> None:
    stroke = Stroke("box", ((4, 4), (60, 40)))
    painted = Experiment(session.model).with_strokes(session.photos[0].prediction, (stroke,))
    made = add_painted_class(painted, session, predictor=predictor, name=f"mine{MARK_UP}", method="mean", prototypes=1)
    for render in (render_result, render_details):
        assert_only_text(render(made, session, Selection(), predictor=predictor))


def test_names_on_the_map_stay_text(session: Session) -> None:
    request = MapRequest(ProjectionOptions())
    predictions: list[Prediction] = [photo.prediction for photo in session.photos]
    current = draw_map(predictions, request, previous=None, fitter=ScriptedFitter())
    names = [photo.name for photo in session.photos]
    assert_only_text(panels.neighbors(current, 0, image_names=names))
    assert_only_text(panels.picked_points(current, np.arange(3), image_names=names))
    formulas = panels._csv_uri([("=1+1", "ece", "cat", 0.5, 0.5)])
    assert "'=1+1" in base64.b64decode(formulas.partition(",")[2]).decode()


def test_a_bank_of_a_stranger_stays_text(tmp_path: Path) -> None:
    data = read_folder(write_folder(tmp_path, splits=("val",), images=2), "val")
    bank = embed_split(Predictor(small_model()), data)
    about = bank.about | {"data": MARK_UP, "split": MARK_UP, "class_names": [f"{k}{MARK_UP}" for k in range(3)]}
    stage = np.array([f"{name}{MARK_UP}" for name in bank.stage])
    bank = replace(bank, images=[f"{name}{MARK_UP}" for name in bank.images], about=about, stage=stage)
    listing = images.Listing(MARK_UP, "final", ((0, "1"),))
    names, colors = about["class_names"], about["class_colors"]
    assert_only_text(tables.about_bank(bank, stage="final"))
    assert_only_text(tables.confusion_table(np.eye(3, dtype=int), names=names, title="Final"))
    assert_only_text(images.image_names(listing, bank=bank))
    forged: Any = [MARK_UP, *colors[0][1:]]
    with pytest.raises(ValueError, match="invalid literal"):
        color_swatch(forged)


def test_a_runs_name_and_log_stay_text(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(f"$ x\nError: {MARK_UP}\n")
    report = RunReport(MARK_UP, tmp_path, "failed", (), tmp_path, "2026-01-01", error=MARK_UP)
    assert_only_text(run_view.status(report))
    assert_only_text(run_view.log_end(report))
