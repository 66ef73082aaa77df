"""KeptServers: servers that are started again when they end, wherever they run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from ...errors import EngineDiedError, EngineError, ReasonRankError, one_line
from ..servers import Watcher

log = logging.getLogger(__name__)

RESTARTS = 3
"""Deaths in a row, without a complete answer in between, after which a server is not started again."""


class LostError(EngineError):
    """A server ended before it was ready for a reason that lies outside it, so another start may succeed."""


class Life(Protocol):
    """One server from its start to its end; `url` is its address once it is ready, `log` its log if there is one.

    `until_ready` starts it; it raises LostError, or EngineError or InputError when a further start would fail as well.
    `until_ended` returns why it ended. `stop` ends what was started, also when `until_ready` was cancelled.
    """

    url: str
    log: str

    async def until_ready(self) -> None: ...

    async def until_ended(self) -> str: ...

    async def stop(self) -> None: ...


class KeptServers:
    """One server for each number from 1 to `count`; a subclass makes their lives.

    `start_all` returns when the first is ready; the others are added as they become ready. A server that ends is
    started again, while calls wait or go to the others; one that ends `RESTARTS` times in a row without having
    answered is given up, and so is one that cannot start.
    """

    drain = False

    def __init__(self) -> None:
        self.count = 0
        self.restarts = 0
        self._urls: dict[int, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._given_up: dict[int, ReasonRankError] = {}

    def life(self, number: int) -> Life:
        """A server that is not started yet."""
        raise NotImplementedError

    async def start_all(self, count: int, watcher: Watcher) -> None:
        self.count = count
        first = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._keep(number, watcher, first)) for number in range(1, count + 1)
        ]
        while not self._urls:
            if self.ended() is not None:
                raise next(iter(self._given_up.values()))
            first.clear()
            await first.wait()

    def addresses(self) -> Sequence[str]:
        return [url for _, url in sorted(self._urls.items())]

    def ended(self) -> str | None:
        if len(self._given_up) < max(1, self.count):
            return None
        return str(next(iter(self._given_up.values())))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._urls.clear()

    async def _keep(self, number: int, watcher: Watcher, first: asyncio.Event) -> None:
        """Run one server until it is given up; `first` is set when one is ready, or none can be."""
        try:
            await self._run(number, watcher, first)
        except Exception as error:
            known = error if isinstance(error, ReasonRankError) else None
            self._given_up[number] = known or EngineError(f"vLLM server {number} failed: {one_line(error)}")
            if self.ended() is not None:
                first.set()
            else:
                log.warning("reasonrank: going on without vLLM server %d: %s", number, self._given_up[number])
            watcher.changed()

    async def _run(self, number: int, watcher: Watcher, first: asyncio.Event) -> None:
        """Run one server again and again; raises what it is given up for. A first start that fails is not repeated."""
        deaths, worked = 0, False
        while True:
            life = self.life(number)
            try:
                await life.until_ready()
                worked, self._urls[number] = True, life.url
                first.set()
                watcher.changed()
                cause = await life.until_ended()
            except ReasonRankError as error:
                if not worked and not isinstance(error, LostError):
                    raise
                cause = str(error)
            finally:
                if self._urls.pop(number, None) is not None:
                    watcher.changed()
                await _uninterrupted(life.stop())
            deaths = 1 if watcher.answers(life.url) else deaths + 1
            where = life.log and f" (log: {life.log})"
            if deaths == RESTARTS:
                raise EngineDiedError(f"vLLM died {deaths} times in a row: {cause}{where}")
            log.warning("reasonrank: vLLM server %d died and is started again: %s%s", number, cause, where)
            self.restarts += 1


async def _uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end, and only then let a cancellation through."""
    running, cancelled = asyncio.ensure_future(work), False
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    running.result()
