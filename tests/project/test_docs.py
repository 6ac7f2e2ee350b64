"""What README and docs show is there, runs, and agrees with what was measured."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data

from ecenet.__main__ import parse_command
from tests.support.pages import (
    API_PAGE,
    DOCS,
    GUIDES,
    PAGES,
    README,
    ROOT,
    anchors,
    code_blocks,
    commands,
    links,
    pictures,
    section,
    visible_text,
)
from tests.tools import architecture


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def photo_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the `photo.jpg` of the examples."""
    shutil.copy(Path(skimage.data.__file__).parent / "chelsea.png", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("photo_folder")
def test_the_examples_of_the_library_run_one_after_the_other() -> None:
    names: dict[str, Any] = {}
    examples = code_blocks(section(API_PAGE, "Library"), "python")
    assert len(examples) > 1
    for example in examples:
        exec(example, names)
    assert names["prediction"].label_map.shape == (300, 451)
    assert names["painted"].name == "mine"


@pytest.mark.usefixtures("photo_folder")
def test_the_readmes_python_finds_the_cat(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = code_blocks(visible_text(README), "python")
    exec(example, {})
    *stages, changed = capsys.readouterr().out.splitlines()
    assert [stage.split()[0] for stage in stages] == ["ece", "stage4", "stage3", "stage2", "stage1", "final"]
    assert all("'cat'" in stage for stage in stages)
    assert 0 <= float(changed) < 0.5


def test_no_python_is_shown_that_no_test_runs() -> None:
    """Those of the API section are run over a real server by `tests/app/api/test_endpoints.py`, by their endpoint."""
    shown = [block for page in PAGES if page.parent.parent.name != "weights" for block in all_python(page)]
    run = [*all_python(README), *code_blocks(section(API_PAGE, "Library"), "python")]
    api = code_blocks(section(API_PAGE, "API"), "python")
    assert sorted(shown) == sorted([*run, *api])
    assert all(block.count("api_name=") == 1 for block in api)


def all_python(page: Path) -> list[str]:
    return code_blocks(visible_text(page), "python")


COMMANDS = sorted({tuple(command) for page in GUIDES for command in commands(page) if len(command) > 1})
"""A name alone, as in a sentence on the command, says nothing of options."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_is_shown_has_options_that_exist(command: tuple[str, ...]) -> None:
    assert parse_command(list(command)) is not None


def test_every_command_is_shown_in_the_list() -> None:
    """In the page on the command line, by what it is called."""
    source = (ROOT / "ecenet" / "__main__.py").read_text(encoding="utf-8")
    names = re.findall(r"^    (?:\| )?([A-Z]\w+)$", source.split("Command = (")[1].split(")")[0], re.MULTILINE)
    known = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in names}
    assert len(known) > 18
    assert {command[0] for command in commands(API_PAGE)} >= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_to_what_is_there(page: Path) -> None:
    lost = []
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_of_the_docs_is_listed() -> None:
    index = ROOT / "docs" / "README.md"
    pages = {page.resolve() for page in DOCS} - {index}
    for listing in (README, index):
        linked = {(listing.parent / link.partition("#")[0]).resolve() for link in links(listing)}
        assert pages <= linked, name_of(listing)


def test_the_readme_is_short_and_shows_one_picture() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
    assert len(pictures(README)) == 1


def test_pages_show_every_picture_once_and_all_are_small() -> None:
    shown = [picture for page in PAGES for picture in pictures(page)]
    assert set(shown) == {path.resolve() for path in (ROOT / "assets").iterdir() if path.suffix in (".png", ".svg")}
    assert len(shown) == len(set(shown))
    assert all(path.stat().st_size <= 150_000 for path in shown)


def test_the_few_shot_figures_are_those_of_the_shipped_file() -> None:
    rows = json.loads((ROOT / "assets" / "few-shot.json").read_text())["rows"]
    lines = section(ROOT / "docs" / "studies.md", "Few-shot classes").splitlines()
    for (method, rivals), label in (
        (("backbone", "rest"), "| averaged features of the bare backbone, cosine |"),
        (("reconstructed", "rest"), "| averaged features after Feature Reconstruction |"),
        (("pyramid", "own"), "| one painted embedding against the weights' own |"),
        (("prototypes", "own"), "| up to three painted embeddings against the weights' own |"),
        (("pyramid", "rest"), "| painted embeddings of the class and of the rest |"),
    ):
        (line,) = (line for line in lines if line.startswith(label))
        for shots in (1, 5, 10):
            draws = np.mean(
                [row["iou"] for row in rows if (row["method"], row["rivals"], row["shots"]) == (method, rivals, shots)],
                axis=0,
            )
            assert f"{100 * draws.mean():.1f} ± {100 * draws.std(ddof=1):.1f}" in line


def test_the_figures_of_the_designs_are_those_of_the_configs() -> None:
    for name, svg in architecture.figures().items():
        assert (ROOT / "assets" / name).read_text(encoding="utf-8") == svg, "make pictures draws them again"
