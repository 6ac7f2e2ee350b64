"""What the README shows runs."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import skimage.data

from tests.support.web.serving import readme_examples


def test_the_examples_of_the_library_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(Path(skimage.data.__file__).parent / "chelsea.png", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    examples = readme_examples("python", section="Python")
    assert len(examples) > 1
    for example in examples:
        exec(example, names)
    assert names["prediction"].label_map.shape == (300, 451)
    assert names["painted"].name == "mine"
