"""Captures what Java prints."""

from __future__ import annotations

import functools
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

LOG = logging.getLogger(__name__)

_FDS = (1, 2)
_LOCK = threading.RLock()


@dataclass(slots=True)
class Captured:
    """The captured text, available after the block."""

    text: str = ""


@contextmanager
def quiet_fds() -> Iterator[Captured]:
    """Capture everything written to file descriptors 1 and 2, by any thread, during the block.

    The descriptors are always restored; only one thread at a time is in such a block. The text is available in the
    yielded object afterwards, in the debug log, and as a note of an exception raised in the block.
    """
    captured = Captured()
    with _LOCK, tempfile.TemporaryFile() as sink:
        _flush()
        saved = {fd: copy for fd in _FDS if (copy := _copy(fd)) is not None}
        try:
            for fd in saved:
                os.dup2(sink.fileno(), fd)
            yield captured
        except BaseException as error:
            _finish(saved, sink, captured)
            if captured.text:
                error.add_note(f"Java's output: {captured.text}")
            raise
        else:
            _finish(saved, sink, captured)


def _copy(fd: int) -> int | None:
    try:
        return os.dup(fd)
    except OSError:  # closed by the user: nothing to capture
        return None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()


def _finish(saved: dict[int, int], sink: Any, captured: Captured) -> None:
    try:
        _flush()
    finally:
        for fd, copy in saved.items():
            os.dup2(copy, fd)
            os.close(copy)
    sink.seek(0)
    captured.text = sink.read().decode("utf-8", "replace").strip()
    if captured.text:
        LOG.debug("%s", captured.text)


class JavaOutput:
    """Java's System.out and System.err, redirected into memory within Java, without touching file descriptors."""

    def __init__(self) -> None:
        from jnius import autoclass

        system = autoclass("java.lang.System")
        self._bytes = autoclass("java.io.ByteArrayOutputStream")()
        stream = autoclass("java.io.PrintStream")(self._bytes, True, "UTF-8")
        system.setOut(stream)
        system.setErr(stream)

    def take(self) -> str:
        """The output since the last call, which is also written to the debug log."""
        if not self._bytes.size():
            return ""
        text = str(self._bytes.toString("UTF-8")).strip()
        self._bytes.reset()
        LOG.debug("%s", text)
        return text


@functools.cache
def java_output() -> JavaOutput:
    """The running JVM's output, redirected from the first call on."""
    return JavaOutput()


def limit_logging(level: str) -> None:
    """Silence loggers of Anserini (log4j) and Lucene (java.util.logging) below `ERROR`, or entirely (`OFF`)."""
    from jnius import autoclass

    levels = autoclass("org.apache.logging.log4j.Level")
    autoclass("org.apache.logging.log4j.core.config.Configurator").setAllLevels("", levels.toLevel(level))
    severity = autoclass("java.util.logging.Level").parse({"ERROR": "SEVERE"}.get(level, level))
    autoclass("java.util.logging.Logger").getLogger("").setLevel(severity)
