"""In the place of Hugging Face's package `spaces`, as strict as its ZeroGPU is and without a GPU.

As there (its version 0.51): imported before CUDA is touched; a decorated function runs in a thread of a forked process,
is given pickled arguments and gives back a pickled result; of its errors only gr.Error arrives with its words; an app
without a decorated function does not start; outside of a call CUDA cannot be used. Stricter: one process a call, which
ends with it. What was called is written to the file that SPACES_STUB_LOG names.
"""

import functools
import inspect
import json
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import gradio as gr
import torch

assert os.environ["SPACES_ZERO_GPU"] == "true"
if torch.cuda.is_initialized():
    raise RuntimeError("CUDA has been initialized before importing the `spaces` package.")
_decorated: list[Callable[..., Any]] = []
_launch = gr.Blocks.launch
_context = multiprocessing.get_context("fork")
_in_call = False


def GPU(task: Any = None, *, duration: int | None = None, size: str | None = None) -> Any:  # noqa: N802
    if not callable(task):
        return functools.partial(GPU, duration=duration, size=size)
    if inspect.iscoroutinefunction(task):
        raise NotImplementedError
    _decorated.append(task)

    @functools.wraps(task)
    def called(*args: Any, **kwargs: Any) -> Any:
        if _in_call:
            return task(*args, **kwargs)
        start, given = time.monotonic(), pickle.dumps((args, kwargs))
        reader, writer = _context.Pipe(duplex=False)
        process = _context.Process(target=_run, args=(task, given, writer), daemon=True)
        process.start()
        writer.close()
        try:
            came = reader.recv_bytes()
        except EOFError:
            raise gr.Error("GPU task aborted", print_exception=False) from None
        process.join()
        note = {"task": task.__name__, "given": len(given), "came": len(came), "asked_for": duration}
        with open(os.environ["SPACES_STUB_LOG"], "a") as log:
            log.write(json.dumps(note | {"seconds": time.monotonic() - start}) + "\n")
        error, result = pickle.loads(came)
        if error is not None:
            raise error
        return result

    called.zerogpu = None  # type: ignore[attr-defined]
    return called


def _run(task: Callable[..., Any], given: bytes, writer: Any) -> None:
    def work() -> None:
        global _in_call
        _in_call = True
        torch._C._cuda_init = _init_cuda
        args, kwargs = pickle.loads(given)
        try:
            answer = pickle.dumps((None, task(*args, **kwargs)))
        except gr.Error as error:
            answer = pickle.dumps((error, None))
        except Exception as error:
            answer = pickle.dumps((gr.Error(f"ZeroGPU worker error: {type(error).__name__}"), None))
        writer.send_bytes(answer)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def _refused(*args: object) -> None:
    raise RuntimeError("CUDA must not be initialized in the main process on ZeroGPU.")


@functools.wraps(gr.Blocks.launch)
def _launched(*args: Any, **kwargs: Any) -> Any:
    if not _decorated:
        raise RuntimeError("No @spaces.GPU function detected during startup")
    gr.Blocks.launch = _launch  # type: ignore[method-assign]
    return _launch(*args, **kwargs)


_init_cuda, torch._C._cuda_init = torch._C._cuda_init, _refused
gr.Blocks.launch = _launched  # type: ignore[method-assign]
