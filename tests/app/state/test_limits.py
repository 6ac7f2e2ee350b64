"""What may be uploaded is set at the start, shown on the page, and holds at every entry point."""

import json
from dataclasses import astuple
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

from ecenet.app.api.photo import PhotoEndpoints
from ecenet.app.server.options import Options
from ecenet.app.sidebar import photos, session_file
from ecenet.app.start import serve_app
from ecenet.app.state.limits import Limits
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import add_photo, add_photos, new_session
from ecenet.app.tabs import ground_truth
from ecenet.inference.weights import save_model
from tests.support.fitters import ScriptedFitter
from tests.support.helpers import noise_image, small_model
from tests.support.refusals import assert_names, refused
from tests.support.web.toasts import toasted

SMALL = Limits(megabytes=1, pixels=10_000, photos=2)
"""At most 100×100 pixels."""


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    save_model(small_model(), tmp_path / "own")
    return ModelRegistry(tmp_path / "own", runs=tmp_path / "runs", limits=SMALL)


def write(folder: Path, width: int, height: int) -> str:
    path = folder / f"{width}x{height}.png"
    noise_image(width, height).save(path)
    return str(path)


@pytest.mark.parametrize("wrong", [{"megabytes": 0}, {"pixels": 9}, {"pixels": 10**10}, {"photos": -1}])
def test_nonsense_is_refused(wrong: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    with refused("out-of-range", f"--max-{next(iter(wrong))}", *wrong.values()):
        Limits(**wrong)
    with pytest.raises(SystemExit) as ended:
        serve_app(Options(**{f"max_{name}": value for name, value in wrong.items()}))  # type: ignore[arg-type]
    assert ended.value.code == 2
    assert_names(capsys.readouterr().err, f"--max-{next(iter(wrong))}", *wrong.values())


def test_the_options_are_the_limits_by_default() -> None:
    options = Options()
    assert (options.max_megabytes, options.max_pixels, options.max_photos) == astuple(Limits())


def test_the_page_shows_them(registry: ModelRegistry) -> None:
    assert str(Limits()) == "Up to 20 photos, 32 MB and 64 megapixels each"
    with gr.Blocks() as page:
        view = photos.build(gr.State(new_session(registry)), gr.State(Selection()), registry=registry)
    shown = json.dumps(page.config["components"], default=str)
    assert "Up to 2 photos, 1 MB and 0.01 megapixels each" in shown
    assert "Your photos (up to 2)" in view.render(new_session(registry), Selection())[0].value


def test_photos_and_truths_are_held_to_them(registry: ModelRegistry, tmp_path: Path) -> None:
    predictor, session = registry.open(registry.initial), new_session(registry)
    small, large = write(tmp_path, 100, 100), write(tmp_path, 101, 100)
    with refused("image-too-large", "0.01 megapixels", "101x100.png", limit=10_000):
        add_photo(session, large, predictor=predictor)
    session, problems = add_photos(session, [small] * 3, predictor=predictor)
    assert len(session.photos) == 2
    assert_names(problems[0], "2 photos", Path(small).name)
    with refused("too-many", "2 photos", Path(small).name, limit=2):
        add_photo(session, small, predictor=predictor)
    Image.fromarray(np.zeros((200, 200), np.uint8)).save(tmp_path / "truth.png")
    with toasted("image-too-large", "0.01 megapixels", "truth.png", limit=10_000):
        ground_truth.add_truth(session, Selection(), str(tmp_path / "truth.png"))


def test_saved_sessions_are_held_to_them(registry: ModelRegistry, tmp_path: Path) -> None:
    generous = ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")
    predictor, session = generous.open(generous.initial), new_session(generous)
    for number in range(3):
        session = add_photo(session, write(tmp_path, 70 + number, 80), predictor=predictor)
    saved = session_file.save_session(session, Selection(), None, registry=generous, fitter=ScriptedFitter())
    assert len(session_file.open_session(saved, registry=generous).session.photos) == 3
    with refused("too-many", "2 photos", saved.name, 3, limit=2):
        session_file.open_session(saved, registry=registry)
    together = ModelRegistry(tmp_path / "own", runs=tmp_path / "runs", limits=Limits(pixels=10_000))
    with refused("image-too-large", "71×80", limit=10_000 - 70 * 80):  # what the first leaves; each alone would do
        session_file.open_session(saved, registry=together)


def test_calls_of_the_api_are_held_to_them(
    registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    folder = Path(get_upload_folder()) / "limits"
    folder.mkdir(parents=True, exist_ok=True)
    endpoints = PhotoEndpoints(registry)
    (folder / "large.png").write_bytes(bytes((1 << 20) + 1))
    with toasted("file-too-large", "1 MB", "large.png", limit=1 << 20):
        endpoints.segment({"path": str(folder / "large.png")})  # type: ignore[arg-type]
    many = write(folder, 101, 100)
    with toasted("image-too-large", "0.01 megapixels", "101x100.png", limit=10_000):
        endpoints.segment({"path": many})  # type: ignore[arg-type]
    with toasted("too-many", "1 … 2 photos", 3, limit=2):
        endpoints.embed([{"path": many}] * 3)  # type: ignore[list-item]
