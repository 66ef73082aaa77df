"""The process of a command: closed or full standard streams, signals, and what nothing else reports."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .run_again import handled
from .unexpected import unexpected

log = logging.getLogger(__name__)


class _Notes(io.TextIOWrapper):
    """Standard error where a full disk, a closed pipe or a closed terminal loses a note and stops no work."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def prepare(*, debug: bool) -> None:
    """Make this process ready to run a command; with `debug` Python's own tracebacks stay."""
    _open_descriptors()
    binary = getattr(sys.stderr, "buffer", None)
    if sys.stderr is None:
        binary = open(2, "wb", closefd=False)  # noqa: SIM115
    if binary is not None:
        encoding = getattr(sys.stderr, "encoding", "utf-8")
        sys.stderr = _Notes(binary, encoding, "backslashreplace", line_buffering=True)
    if not debug:
        threading.excepthook = _thread_failed
        sys.unraisablehook = _ignored
        logging.raiseExceptions = False


def _open_descriptors() -> None:
    """Open /dev/null for standard streams that are closed: a file of the command would get their number, and C code
    would print into it. `sys.stdout` stays None."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
            os.set_inheritable(descriptor, True)


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None and not isinstance(failure.exc_value, SystemExit | KeyboardInterrupt):
        unexpected(failure.exc_value)


def _ignored(failure: Any) -> None:
    log.debug("ignored in %r: %s", failure.object, failure.exc_value)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """During the block SIGTERM, and SIGHUP unless it is ignored (nohup), end a command as Ctrl-C does: what is finished
    stays on disk. Only the main thread can set that."""
    numbers = []
    if threading.current_thread() is threading.main_thread():
        numbers.append(signal.SIGTERM)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            numbers.append(signal.SIGHUP)
    with handled(numbers, _terminate):
        yield


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
