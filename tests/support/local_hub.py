"""A folder that stands for the Hugging Face Hub: repositories below it, a subfolder for each revision."""

import fnmatch
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id

from ecenet.inference import weights
from ecenet.training.shipping import hub


class LocalHub:
    """Takes the place of the functions of `huggingface_hub` that the package calls, with their signatures."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.logged_in = root / "hub", True
        self._cache = root / "cache"
        monkeypatch.setattr(weights, "snapshot_download", self.snapshot_download)
        monkeypatch.setattr(hub, "create_repo", self.create_repo)
        monkeypatch.setattr(hub, "upload_folder", self.upload_folder)

    def snapshot_download(self, repo_id: str, *, revision: str | None, allow_patterns: Sequence[str]) -> str:
        validate_repo_id(repo_id)
        source, target = self.root / repo_id / (revision or "main"), self._cache / repo_id / (revision or "main")
        if not source.is_dir():
            raise FileNotFoundError(source)
        _copy(source, target, allow_patterns)
        return str(target)

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> str:
        validate_repo_id(repo_id)
        if not self.logged_in:
            raise LocalTokenNotFoundError("no token")
        (self.root / repo_id / "main").mkdir(parents=True, exist_ok=exist_ok)
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(
        self, *, repo_id: str, folder_path: Path, allow_patterns: Sequence[str], commit_message: str
    ) -> None:
        _copy(folder_path, self.root / repo_id / "main", allow_patterns)

    def tag(self, repo_id: str, revision: str) -> None:
        shutil.copytree(self.root / repo_id / "main", self.root / repo_id / revision)


def _copy(source: Path, target: Path, patterns: Sequence[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns):
            shutil.copy(file, target / file.name)
