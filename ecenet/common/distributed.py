"""Training or evaluation in several processes, on GPUs or CPUs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState


def only_cpu() -> bool:
    """Return whether there is no accelerator. Unless Accelerate is told, each CPU process believes to be the only
    one."""
    return not torch.accelerator.is_available()


def this_process() -> PartialState:
    """Return the state of this process among those of the launcher; without a launcher, it is the only one."""
    return PartialState(cpu=only_cpu())


@contextmanager
def shared_work() -> Iterator[PartialState]:
    """Destroy the process group at the end of the block: a process that exits while others still use it may crash."""
    state = this_process()
    try:
        yield state
    finally:
        state.destroy_process_group()


def launcher(processes: int) -> list[str]:
    """Return the command that, followed by `-m MODULE …`, runs a module in several processes on this machine.

    It uses PyTorch's launcher, since `accelerate launch --cpu` silently starts a single process if MPI is missing.
    """
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
