"""Keeps a JVM's fault handlers while libraries are loaded that replace them."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FAULTS = tuple(
    int(getattr(signal, name)) for name in ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL") if hasattr(signal, name)
)
STRUCT_BYTES = 512
"""An upper bound on the size of `struct sigaction` on any platform."""


@contextmanager
def kept_fault_handlers() -> Iterator[None]:
    """Restore the process's handlers of memory faults, at the level of the C library, after the block.

    A JVM dereferences null pointers on purpose and catches the fault. apache-tvm-ffi, which vLLM loads, installs its
    own handler for SIGSEGV when imported; without this, the next such fault in Java would end the process.
    """
    if sys.platform == "win32":
        yield
        return
    libc = ctypes.CDLL(None)
    saved = {number: ctypes.create_string_buffer(STRUCT_BYTES) for number in FAULTS}
    for number, action in saved.items():
        libc.sigaction(number, None, action)
    try:
        yield
    finally:
        for number, action in saved.items():
            libc.sigaction(number, action, None)
