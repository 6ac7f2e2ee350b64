"""Copies of training data go when nobody has used them for some days, and no run needs them."""

import os
import time
from pathlib import Path

from ecenet.training.jobs.data_store import data_store, delete_unused_copies


def copy_of_age(root: Path, name: str, *, days: float) -> Path:
    folder = data_store(root) / name
    folder.mkdir(parents=True)
    (folder / "photo.png").write_bytes(b"photo")
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))
    return folder


def test_only_old_copies_that_no_run_was_started_with_are_deleted(tmp_path: Path) -> None:
    unused, recent = copy_of_age(tmp_path, "unused", days=8), copy_of_age(tmp_path, "recent", days=6)
    trained, inner = copy_of_age(tmp_path, "trained", days=90), copy_of_age(tmp_path, "zip", days=90)
    run = tmp_path / "run"
    run.mkdir()
    arguments = [("train", "--data", str(trained), "--out", str(run)), ("train", "--data", str(inner / "photos"))]
    assert delete_unused_copies(tmp_path, arguments) == [unused]
    assert not unused.exists()
    assert all(folder.is_dir() for folder in (recent, trained, inner, run))


def test_without_a_store_nothing_is_deleted(tmp_path: Path) -> None:
    assert delete_unused_copies(tmp_path, []) == []
