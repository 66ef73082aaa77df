"""Keeps a running JVM alive while libraries are loaded that claim its signals."""

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
"""More than `struct sigaction` takes on any platform."""


@contextmanager
def kept_fault_handlers() -> Iterator[None]:
    """After the block the process handles memory faults as before it, at the level of the C library.

    A JVM reads null pointers on purpose and catches the fault. apache-tvm-ffi, which vLLM loads, installs
    a handler of its own for SIGSEGV when it is imported; the next such fault in Java would end the process.
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
