"""What glibc's allocator keeps of memory that a server has freed; elsewhere nothing is done. Ours."""

import ctypes
from contextlib import suppress

_ARENAS = 2
_M_ARENA_MAX = -8
"""`mallopt`'s name for it, in glibc's malloc.h."""


def share_arenas() -> None:
    """Let all threads share a few heaps, before they are made: else each of the many threads that answer visitors gets
    its own, up to eight a core, and what one frees another cannot use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_memory() -> None:
    """Return what was freed to the system, which else stays between what is still in use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
