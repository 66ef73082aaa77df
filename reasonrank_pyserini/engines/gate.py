"""Gated: keeps an engine full but within its limits."""

from __future__ import annotations

import asyncio
from collections import deque

from ..types import Completion, Prompt, Sampling
from . import Engine
from .wrapper import EngineWrapper


class Gated(EngineWrapper):
    """An engine that lets through at most `limits.requests` calls and `limits.tokens` tokens at once, first come
    first served. A single call larger than the token limit passes when nothing else is under way."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._requests = self._tokens = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        size = len(prompt.token_ids or ()) + sampling.max_tokens
        await self._enter(size)
        try:
            return await self.engine.complete(prompt, sampling)
        finally:
            self._leave(size)

    def _fits(self, size: int) -> bool:
        if self._requests == 0:
            return True
        limit = self.limits.tokens
        return self._requests < self.limits.requests and (limit is None or self._tokens + size <= limit)

    async def _enter(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self._take(size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(size)
            else:
                self._wake()
            raise

    def _take(self, size: int) -> None:
        self._requests += 1
        self._tokens += size

    def _leave(self, size: int) -> None:
        self._requests -= 1
        self._tokens -= size
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn, size = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
            elif self._fits(size):
                self._waiting.popleft()
                self._take(size)
                turn.set_result(None)
            else:
                return
