"""Signals of batch systems: a command that they stop ends with a status that says it should be run again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

RUN_AGAIN = 75
"""Exit status of a run that was stopped and would continue (sysexits' EX_TEMPFAIL)."""


@contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, object], None]) -> Iterator[None]:
    """During the block these signals call `handler`; only the main thread can set that."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def run_again() -> Iterator[None]:
    """During the block SIGTERM and SIGUSR1 end the program as Ctrl-C does, with exit status RUN_AGAIN."""
    with handled((signal.SIGTERM, signal.SIGUSR1), _stop):
        yield


def _stop(number: int, frame: object) -> None:
    raise SystemExit(RUN_AGAIN)
