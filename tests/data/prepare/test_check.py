"""`ecenet data check`: what a folder is, what training would refuse, and which command mends it."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecenet.__main__ import main
from ecenet.data.layouts.folder import read_folder
from ecenet.data.prepare.check import check
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.samples import Sample
from ecenet.data.prepare.splits import divided, unique_names
from tests.support.helpers import write_classes, write_folder, write_pair
from tests.support.published import write_ade20k
from tests.support.refusals import refused


def next_words(report: str) -> list[str]:
    """The command that the last line names, without `python -m ecenet`."""
    title, command = report.splitlines()[-1].split(": ", 1)
    assert title == "Next"
    return shlex.split(command)[3:]


def test_a_folder_that_is_ready_says_how_to_train(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "ready", images=3)
    report = check(root, PrepareOptions()).report()
    assert "3 photos for training, 3 for validation" in report
    assert next_words(report) == ["train", "--data", str(root), "--start-from", "everyday", "--out", "runs/ready"]


def test_a_published_layout_is_recognised(tmp_path: Path) -> None:
    root = write_ade20k(tmp_path)
    for kind, suffix in (("images", "jpg"), ("annotations", "png")):
        folder = root / kind / "validation"
        folder.mkdir()
        (folder / f"b.{suffix}").write_bytes((root / kind / "training" / f"ADE_train_1.{suffix}").read_bytes())
    assert "--layout ade20k" in check(root, PrepareOptions()).report()


def two_valued(root: Path) -> Path:
    write_classes(root, names=["background", "vessel"])
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20] = 255
    for split in ("train", "val"):
        write_pair(root, split, "a", mask)
    return root


def test_the_command_that_check_names_mends_what_training_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = two_valued(tmp_path / "eyes")
    assert main(["data", "check", str(root)]) == 0
    report = capsys.readouterr().out
    assert "Training cannot read it directly" in report
    words = next_words(report)
    assert words[:2] == ["data", "prepare"]
    assert main(words) == 0
    made = Path(words[words.index("--out") + 1])
    data = read_folder(made, "train")
    assert data.labels.class_names == ["background", "vessel"]
    assert np.flatnonzero(np.bincount(data.load(0)[1].ravel())).tolist() == [0, 1]
    assert "overview.jpg" in capsys.readouterr().out
    assert main(["data", "check", str(made)]) == 0
    assert next_words(capsys.readouterr().out)[0] == "train"


def test_options_go_on_in_the_command(tmp_path: Path) -> None:
    root = two_valued(tmp_path / "eyes")
    (tmp_path / "names.txt").write_text("back\nvessel\n")
    options = PrepareOptions(classes=tmp_path / "names.txt")
    assert next_words(check(root, options).report())[-2:] == ["--classes", str(tmp_path / "names.txt")]


@pytest.mark.parametrize(("options", "named"), [({"val_share": 1.0}, "--val-share"), ({"group": "("}, "--group")])
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], named: str) -> None:
    with refused("out-of-range" if "val_share" in options else "invalid-value", named):
        PrepareOptions(**options)


def samples(*paths: str, split: str | None = None) -> list[Sample]:
    return [Sample(Path(path), split=split, folder=str(Path(path).parent)) for path in paths]


def test_photos_of_one_name_keep_apart() -> None:
    assert unique_names(samples("Tile 1/a.jpg", "Tile 2/a.jpg", "Tile 2/b.jpg")) == ["Tile-1_a", "Tile-2_a", "b"]
    assert unique_names(samples("x/a.jpg", "x/a.png")) == ["x_a", "x_a-2"]


def test_a_part_of_a_data_set_is_divided_anew() -> None:
    own = samples(*(f"{n}.jpg" for n in range(10)), split="val")
    splits = divided(own, unique_names(own), val_share=0.2, group=None, seed=0)
    assert (splits.count("train"), splits.count("val")) == (8, 2)


def test_one_photo_or_group_cannot_be_divided() -> None:
    own = samples("a_1.jpg", "a_2.jpg")
    with refused("not-enough-data", 1, "--group"):
        divided(own, unique_names(own), val_share=0.2, group="[^_]+", seed=0)
