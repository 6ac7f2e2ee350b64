"""Several processes that share a training or an evaluation, on GPUs or on CPUs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState


def only_cpu() -> bool:
    """Whether there is nothing but CPUs. Accelerate must be told, or processes on CPUs each believe to be alone."""
    return not torch.accelerator.is_available()


def this_process() -> PartialState:
    """Which of a launcher's processes this is; the only one where there was no launcher."""
    return PartialState(cpu=only_cpu())


@contextmanager
def shared_work() -> Iterator[PartialState]:
    """Processes work together here and part at its end: one that ends while others still talk to it may crash."""
    state = this_process()
    try:
        yield state
    finally:
        state.destroy_process_group()


def launcher(processes: int) -> list[str]:
    """The words before `-m MODULE …` that run a module in several processes of this machine.

    PyTorch's own launcher: `accelerate launch --cpu` starts a single process where MPI is missing, and says nothing.
    """
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
