"""Whatever is uploaded ends in a prediction or one sentence, soon and in little memory: the short version of `make
fuzz`, without the bombs that take seconds to make or to open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hostile.bombs import BOMBS
from tests.support.hostile.entry_points import FILE_KINDS, EntryPoints
from tests.support.hostile.file_bombs import FILE_BOMBS
from tests.support.hostile.mutants import file_mutant, image_mutant

CHEAP = (
    "png of few bytes", "png sliver", "png text", "png profile", "png chunks", "gif frames", "webp of few bytes",
    "tiff deflate", "tiff tiles", "tiff cycle", "bmp runs", "bmp tiny runs", "bmp of few bytes", "jpeg markers",
    "ppm values", "heic of few bytes", "heic larger than told", "jxl of few bytes", "tiff planes",
)  # fmt: skip
CHEAP_FILES = ("class header", "truth at limit")
TAKEN = ("gif frames", "tiff deflate", "tiff cycle", "png text", "png profile")
"""Those of which the part that is looked at is an ordinary image."""


@pytest.fixture(scope="module")
def entry_points() -> Iterator[EntryPoints]:
    opened = EntryPoints()
    yield opened
    opened.close()


@pytest.mark.parametrize("name", CHEAP)
def test_a_bomb_does_no_harm(name: str, entry_points: EntryPoints, tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(BOMBS[name]())
    outcome = entry_points.open("photo", tmp_path / "bomb")
    assert outcome.problem() == ""
    assert outcome.kind == ("prediction" if name in TAKEN else "sentence")


@pytest.mark.parametrize("name", CHEAP_FILES)
def test_nor_does_one_of_another_kind(name: str, entry_points: EntryPoints, tmp_path: Path) -> None:
    entry_point, make = FILE_BOMBS[name]
    (tmp_path / "bomb").write_bytes(make())
    outcome = entry_points.open(entry_point, tmp_path / "bomb")
    assert outcome.problem() == ""
    assert outcome.kind == ("prediction" if name == "truth at limit" else "sentence")


def test_damaged_images_end_in_a_prediction_or_a_sentence(entry_points: EntryPoints, tmp_path: Path) -> None:
    kinds = set()
    for number in range(80):
        (tmp_path / "mutant").write_bytes(image_mutant(number)[1])
        outcome = entry_points.open("photo", tmp_path / "mutant")
        assert outcome.problem() == "", number
        kinds.add(outcome.kind)
    assert kinds == {"prediction", "sentence"}


def test_so_do_other_damaged_files(entry_points: EntryPoints, tmp_path: Path) -> None:
    for number in range(1, 20):
        if number % len(FILE_KINDS) == 0:
            continue  # saved sessions: test_bundle.py
        kind, content = file_mutant(number)
        (tmp_path / "mutant").write_bytes(content)
        assert entry_points.open(kind, tmp_path / "mutant").problem() == "", (number, kind)


def test_a_mutant_is_the_same_for_the_same_number() -> None:
    assert image_mutant(7) == image_mutant(7) != image_mutant(13)


def test_a_process_that_ends_is_noticed(entry_points: EntryPoints, tmp_path: Path) -> None:
    """Or the tests above would prove nothing. The last one: it leaves no process behind."""
    assert entry_points.open("photo", tmp_path / "missing").kind == "sentence"
    assert entry_points._child is not None
    entry_points._child.kill()
    assert entry_points.open("photo", tmp_path / "missing").kind == "crash"
