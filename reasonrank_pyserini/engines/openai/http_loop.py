"""What the calls of one event loop share: a bell, and a clock that stands still while the loop is too busy."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

BEAT = 0.05
"""Seconds between two looks at whether the loop is on time."""


class Broadcast:
    """Wakes all current waiters; later ones wait for the next ring."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        """Returns at the next ring, or after `seconds` seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


class LoopClock:
    """The loop's time without the time in which the loop ran late, which no server can help.

    It runs late while one callback takes long, or thousands are due at once. Only seen while the clock is `watched`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._late, self._due, self._watchers = 0.0, math.inf, 0
        self._handle: asyncio.TimerHandle | None = None

    def time(self) -> float:
        """Seconds from an arbitrary start."""
        now = self._loop.time()
        return now - self._late - max(0.0, now - self._due)

    def late_since(self, mark: tuple[float, float]) -> float:
        """For how many seconds since `mark` was taken the loop was late."""
        now, awake = self.mark()
        return (now - mark[0]) - (awake - mark[1])

    def mark(self) -> tuple[float, float]:
        """The loop's time and the clock's."""
        return self._loop.time(), self.time()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the loop; several may."""
        self._watchers += 1
        if self._watchers == 1:
            self._next()
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._handle is not None:
                self._note()
                self._handle.cancel()
                self._due = math.inf

    def _beat(self) -> None:
        self._note()
        self._next()

    def _note(self) -> None:
        self._late += max(0.0, self._loop.time() - self._due)

    def _next(self) -> None:
        self._due = self._loop.time() + BEAT
        self._handle = self._loop.call_at(self._due, self._beat)
