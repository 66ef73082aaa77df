"""An event loop whose clock is virtual: when nothing is ready it jumps to the next timer.

Work for other threads is done at once in the loop's own thread and takes no virtual time. `busy` says whether the
loop may jump: while no other thread waits for it, as between two pulls of an iterator, the clock stands still.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is in virtual seconds from 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self.busy: Callable[[], bool] = lambda: True
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, work: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        try:
            done.set_result(work(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class _Selector(selectors.DefaultSelector):
    """Real sockets, such as the loop's own to be woken by, and a virtual clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout == 0:
            return []
        if ready := super().select(0):
            return ready
        if timeout is None or not self.loop.busy():
            return super().select(None)
        self.loop.now += timeout
        return []
