"""Signals of batch systems: a command that they stop ends with a status that says it should be run again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

RUN_AGAIN = 75
"""Exit status of a run that was stopped and would continue (sysexits' EX_TEMPFAIL)."""


@contextmanager
def run_again() -> Iterator[None]:
    """During the block SIGTERM and SIGUSR1 end the program as Ctrl-C does, with exit status RUN_AGAIN."""
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: object) -> None:
    raise SystemExit(RUN_AGAIN)
