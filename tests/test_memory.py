"""Heaps that threads share."""

import platform
import subprocess
import sys

import pytest

THREADS = 12
HEAPS = """
import ctypes, sys, tempfile, threading
from ecenet.ui.memory import share_arenas

if sys.argv[1] == "shared":
    share_arenas()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(int(sys.argv[2]))

def hold() -> None:
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=hold) for _ in range(int(sys.argv[2]))]
[one.start() for one in threads]
[one.join() for one in threads]
with tempfile.NamedTemporaryFile("r") as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(file.read().count("<heap"))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_threads_share_few_heaps() -> None:
    heaps = {}
    for how in ("shared", "apart"):
        command = [sys.executable, "-c", HEAPS, how, str(THREADS)]
        heaps[how] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert heaps["shared"] <= 3, "two, and one that may be older"
    assert heaps["apart"] > heaps["shared"]
