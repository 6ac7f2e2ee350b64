"""The command `predict`, run as a user runs it: nothing is overwritten, and what was finished is kept."""

import io
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image

from ecenet.__main__ import main
from ecenet.inference.export import unique_names
from tests.support.helpers import encode, noise_image

CHELSEA = Path(skimage.data.__file__).parent / "chelsea.png"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos, a text, and a folder that is called like a photo."""
    folder = tmp_path / "photos"
    (folder / "more.jpg").mkdir(parents=True)
    for seed, name in enumerate(("b.png", "a.JPG")):
        noise_image(40, 30, seed=seed).save(folder / name)
    (folder / "c.tiff").write_bytes(encode(noise_image(40, 30), "TIFF"))
    (folder / "notes.txt").write_text("words")
    return folder


def predict(*photos: object, weights: str, out: Path, options: tuple[str, ...] = ()) -> int:
    return main(["predict", *map(str, photos), "--weights", weights, "--out", str(out), *options])


def summary(out: Path) -> list[dict[str, object]]:
    images = json.loads((out / "summary.json").read_text())["images"]
    assert isinstance(images, list)
    return images


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    return lines[0]


def test_predict_writes_masks_overlay_stages_arrays_and_summary(tmp_path: Path, weights: str) -> None:
    assert main(["predict", str(CHELSEA), "--weights", weights, "--out", str(tmp_path)]) == 0

    label_map = np.asarray(Image.open(tmp_path / "chelsea" / "label_map.png"))
    assert label_map.shape == (300, 451), "the photo's own size"
    assert label_map.max() < 3
    assert {p.stem for p in (tmp_path / "chelsea" / "stages").iterdir()} == {
        "ece", "stage4", "stage3", "stage2", "stage1", "final"
    }  # fmt: skip
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["images"][0]["file"] == str(CHELSEA)
    assert sum(entry["area"] for entry in summary["images"][0]["classes"]) == pytest.approx(1)


def test_pixels_below_a_least_confidence_have_no_class(tmp_path: Path, weights: str) -> None:
    out, least = str(tmp_path), "0.5"
    assert main(["predict", str(CHELSEA), "--weights", weights, "--out", out, "--min-confidence", least]) == 0
    label_map = np.asarray(Image.open(tmp_path / "chelsea" / "label_map.png"))
    entry = json.loads((tmp_path / "summary.json").read_text())["images"][0]
    sure = (label_map != 255).mean()
    assert 0 < sure < 1
    assert entry["sure_area"] == pytest.approx(sure)
    assert sum(one["area"] for one in entry["classes"]) == pytest.approx(sure)
    assert all(one["confidence"] >= 0.5 for one in entry["classes"])


def test_one_bad_photo_keeps_the_results_of_the_good_ones(tmp_path: Path, weights: str) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    out = tmp_path / "out"
    assert main(["predict", str(CHELSEA), str(bad), "--weights", weights, "--out", str(out)]) == 2
    summary = json.loads((out / "summary.json").read_text())
    assert [entry.get("error") is None for entry in summary["images"]] == [True, False]
    assert (out / "chelsea" / "label_map.png").is_file()


def test_folders_and_patterns_stand_for_their_photos(
    tmp_path: Path, photos: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(photos, weights=weights, out=tmp_path / "one") == 0
    assert [image["folder"] for image in summary(tmp_path / "one")] == ["a", "b", "c"]
    monkeypatch.chdir(photos)
    assert predict("*.[jJ][pP]*", "c.tiff", weights=weights, out=tmp_path / "two") == 0
    assert [image["file"] for image in summary(tmp_path / "two")] == ["a.JPG", "c.tiff"]
    shutil.copy("b.png", "odd[1].png")
    assert predict("odd[1].png", weights=weights, out=tmp_path / "three") == 0, "a file's own name is no pattern"
    assert summary(tmp_path / "three")[0]["file"] == "odd[1].png"


def test_what_stands_for_nothing_is_told_and_the_rest_is_done(
    tmp_path: Path, photos: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    given = [f"{photos}/*.webp", tmp_path / "empty", photos / "missing.png", photos / "b.png"]
    assert predict(*given, weights=weights, out=tmp_path / "out") == 2
    told = capsys.readouterr().err
    for name in given[:3]:
        assert str(name) in told, "as it was given"
    assert "Traceback" not in told
    assert (tmp_path / "out" / "b" / "label_map.png").is_file()
    assert [("error" in image) for image in summary(tmp_path / "out")] == [True, True, True, False]


def test_standard_input_is_a_photo(tmp_path: Path, photos: Path, weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((photos / "b.png").read_bytes())))
    assert predict("-", photos / "a.JPG", weights=weights, out=tmp_path / "out") == 0
    assert [(image["file"], image["folder"]) for image in summary(tmp_path / "out")] == [
        ("-", "stdin"), (str(photos / "a.JPG"), "a")
    ]  # fmt: skip


@pytest.mark.parametrize(("content", "code"), [(None, 0), (b"", 2), (b"words", 2)])
def test_a_pipe_is_read_once_and_costs_no_other_photo(
    content: bytes | None, code: int, tmp_path: Path, photos: Path, weights: str
) -> None:
    command = [sys.executable, "-m", "ecenet", "predict", "/dev/stdin", str(photos / "b.png"), "--weights", weights]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        input=(photos / "a.JPG").read_bytes() if content is None else content,
        capture_output=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "out" / "b" / "label_map.png").is_file()
    assert (tmp_path / "out" / "stdin" / "label_map.png").is_file() == (code == 0)


def test_nothing_is_overwritten_unless_asked_to(
    tmp_path: Path, photos: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    (tmp_path / "others").mkdir()
    noise_image(50, 20).save(tmp_path / "others" / "b.jpg")
    assert predict(photos / "b.png", weights=weights, out=out) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert predict(tmp_path / "others" / "b.jpg", weights=weights, out=out) == 2
    assert "--overwrite" in one_error(capsys)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (out / "summary.json").unlink()
    assert predict(tmp_path / "others" / "b.jpg", weights=weights, out=out) == 2, "a folder of results is enough"
    assert predict(tmp_path / "others" / "b.jpg", weights=weights, out=out, options=("--overwrite",)) == 0
    assert Image.open(out / "b" / "label_map.png").size == (50, 20)
    assert summary(out)[0]["file"] == str(tmp_path / "others" / "b.jpg")


def test_other_files_in_the_folder_are_no_hindrance(tmp_path: Path, photos: Path, weights: str) -> None:
    assert predict(photos / "b.png", weights=weights, out=photos) == 0
    assert (photos / "b" / "label_map.png").is_file()


def test_names_that_a_disk_may_take_for_the_same_are_numbered() -> None:
    paths = [Path("a/cat.jpg"), Path("b/CAT.jpg"), Path("Cat-1.png"), Path("Z\u00fcrich.jpg"), Path("Zu\u0308rich.jpg")]
    assert unique_names(paths) == ["cat-2", "CAT-3", "Cat-1", "Z\u00fcrich-1", "Zu\u0308rich-2"]


def test_a_full_disk_ends_with_a_sentence_and_keeps_what_was_finished(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    noise_image(40, 30).save(tmp_path / "small.png")
    Image.effect_noise((700, 600), 90).convert("RGB").save(tmp_path / "large.png")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, limit[1]))  # no file may be larger
        code = predict(tmp_path / "small.png", tmp_path / "large.png", weights=weights, out=tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert code == 2
    assert "large.png" in one_error(capsys)
    assert (tmp_path / "out" / "small" / "label_map.png").is_file()
    assert not (tmp_path / "out" / "large").exists(), "half of the results would be taken for all"
    assert ["error" in image for image in summary(tmp_path / "out")] == [False, True]


@pytest.mark.parametrize("out", ["/proc/masks", "{file}/below"])
def test_a_folder_that_cannot_be_made_ends_with_a_sentence(
    out: str, tmp_path: Path, photos: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert predict(photos / "b.png", weights=weights, out=Path(out.format(file=tmp_path / "file"))) == 2
    assert "folder" in one_error(capsys)


def test_so_does_one_in_which_nothing_can_be_made(
    photos: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photos / "b.png", weights=weights, out=Path("/proc/self")) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "/proc/self/b" in told


def test_what_was_set_aside_is_told(tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cut.jpg").write_bytes(encode(noise_image(64, 48), "JPEG")[:-2])
    assert predict(tmp_path / "cut.jpg", weights=weights, out=tmp_path / "out") == 0
    assert f"{tmp_path / 'cut.jpg'}: the end of the file is missing" in capsys.readouterr().err
    assert str(summary(tmp_path / "out")[0]["note"]).endswith("the end of the file is missing")
