"""Folders that hold certain files."""

from pathlib import Path

from ecenet.common.files import folders_with


def test_hidden_folders_are_passed_by(tmp_path: Path) -> None:
    for folder in ("a", "b/c", ".data/d", "b/.e"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "run.json").touch()
    (tmp_path / "empty").mkdir()
    assert folders_with(tmp_path, "run.json", "launch.json") == [tmp_path / "a", tmp_path / "b" / "c"]
    assert folders_with(tmp_path / ".data", "run.json") == [tmp_path / ".data" / "d"], "what is asked for is looked at"
