"""Checks of what a user is told: the code of the mistake and the facts in the message, never its wording."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ecenet.common.error_codes import ErrorCode
from ecenet.common.errors import UserError


@contextmanager
def refused(code: ErrorCode, *named: object, **facts: object) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """What is done here is refused.

    Args:
        code: the kind of mistake.
        named: what the message must name: numbers, sizes, file names, options, commands.
        facts: some of those that the error carries beside its message.
    """
    with pytest.raises(UserError) as caught:
        yield caught
    check_refusal(caught.value, code, *named, **facts)


def check_refusal(error: BaseException | None, code: ErrorCode, *named: object, **facts: object) -> None:
    """The same of an error that was caught already."""
    assert isinstance(error, UserError), repr(error)
    assert error.code == code, f"{error.code}: {error}"
    assert_names(str(error), *named)
    assert error.facts | facts == error.facts, f"{error.facts} without {facts}"


def assert_names(message: str, *named: object) -> None:
    """A message names each of these, as words of their own: "3" is not found in "13", "3.5" or "stage3"."""
    missing = [
        fact for fact in map(str, named) if not re.search(rf"(?<![\w.×-]){re.escape(fact)}(?![\w×]|\.\d)", message)
    ]
    assert not missing, f"{missing} not in: {message}"
