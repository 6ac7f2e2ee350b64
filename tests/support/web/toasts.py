"""Checks of what a visitor of the page is told; apart from `refusals`, since Gradio takes seconds to import."""

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
import pytest

from ecenet.common.error_codes import ErrorCode
from tests.support.refusals import check_refusal


@contextmanager
def toasted(code: ErrorCode, *named: object, **facts: object) -> Iterator[None]:
    """What is done here is refused by a toast, which says what the `UserError` behind it does; arguments as for
    `refused`."""
    with pytest.raises(gr.Error) as caught:
        yield
    check_refusal(caught.value.__cause__, code, *named, **facts)
    assert caught.value.message == str(caught.value.__cause__)
