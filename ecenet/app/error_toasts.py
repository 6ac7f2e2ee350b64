"""Errors that a user is meant to read become toasts."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import gradio as gr

from ecenet.common.errors import UserError
from ecenet.inference.oom_fallback import memory_errors

P = ParamSpec("P")
T = TypeVar("T")


def show_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Turn a `UserError`, and a lack of memory, into a toast; what the event would have changed stays as it was."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with memory_errors():
                return function(*args, **kwargs)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped
