"""User errors become toasts."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gradio as gr

from ecenet.common.errors import UserError
from ecenet.inference.oom_fallback import memory_errors

P = ParamSpec("P")
T = TypeVar("T")


def show_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate an event's function so that a `UserError`, or a lack of memory, is shown as a toast. The event then
    changes nothing."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with memory_errors():
                return function(*args, **kwargs)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped
