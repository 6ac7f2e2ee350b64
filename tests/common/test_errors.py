"""Error codes: each is explained and used, and brings the facts that it promises."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from ecenet.common.error_codes import ERROR_CODES, ErrorCode
from ecenet.common.errors import UserError, disk_errors
from tests.support.refusals import assert_names, check_refusal, refused

PACKAGE = Path(__file__).parents[2] / "ecenet"


def raised() -> Iterator[tuple[str, str, set[str]]]:
    """Where a `UserError` is made with a code of its own, the code, and the names of its facts."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "UserError":
                codes = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                for code in codes:
                    yield f"{path.name}:{node.lineno}", str(code), {str(keyword.arg) for keyword in node.keywords}


def test_every_code_is_explained_and_used() -> None:
    assert set(ERROR_CODES) == set(get_args(ErrorCode))
    assert list(get_args(ErrorCode)) == sorted(get_args(ErrorCode))
    assert {code for _, code, _ in raised()} == set(ERROR_CODES)
    for code, meaning in ERROR_CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert meaning.sentence.endswith(".")


def test_every_error_brings_the_facts_of_its_code() -> None:
    wanted: dict[str, set[str]] = {code: set(meaning.facts) for code, meaning in ERROR_CODES.items()}
    assert [where for where, code, facts in raised() if facts != wanted[code]] == []


def test_an_error_is_its_message_and_survives_the_way_to_another_process() -> None:
    error = UserError("file-too-large", "Expected at most 1 MB, got 2; make it smaller.", limit=1 << 20)
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "Expected at most 1 MB, got 2; make it smaller."
        check_refusal(one, "file-too-large", "1 MB", 2, limit=1 << 20)
    again = error.retold("Expected less; make it smaller.")
    assert (str(again), again.code, again.facts) == ("Expected less; make it smaller.", error.code, error.facts)


def test_what_a_full_disk_refuses_names_the_file(tmp_path: Path) -> None:
    with refused("disk-full", tmp_path / "x", "No space left"), disk_errors(tmp_path / "x"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fact", ["3", "stage", "--in", "2×4", "0 …", "x.png"])
def test_a_fact_is_not_found_within_another(fact: str) -> None:
    message = "Expected 13, 3.5 or stage3, --input or 2×4×6 or 0.0 … 1, got ax.png and x.pngs."
    with pytest.raises(AssertionError, match=re.escape(fact)):
        assert_names(message, fact)
    assert_names(message, 13, 3.5, "stage3", "--input", "2×4×6", "0.0 … 1", "ax.png")
