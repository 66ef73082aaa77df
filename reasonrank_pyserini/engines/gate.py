"""ThrottledEngine: keeps an engine full but within its limits, and schedules waiting calls."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from ..types import Completion, Prompt, Sampling
from . import Engine
from .priority import CALLER, ENGINE_PRIORITY, PATIENCE, TURN, context_value
from .wrapper import EngineWrapper


class ThrottledEngine(EngineWrapper):
    """An engine that runs at most `limits.requests` calls with `limits.tokens` tokens in total at a time.

    Waiting callers are served in turn, so a single query never waits behind another caller's queue. Among the calls
    of one caller the query with the most rounds left goes first (`priority.TURN`), ties in order of arrival. No call
    starves: later calls of its caller overtake it fewer than `patience` times for each round that they have more
    left, and every other caller is served between two calls of one caller. The next call is not overtaken by
    smaller ones when it does not fit yet; a call larger than the token limit runs alone. An engine with its own
    queue gets a priority (`priority.ENGINE_PRIORITY`): callers with few calls in flight first, then by rounds.
    """

    def __init__(self, engine: Engine, *, patience: int = PATIENCE) -> None:
        super().__init__(engine)
        self.patience = patience
        self._requests = self._tokens = 0
        self._in_flight: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, list[_Call]] = {}  # in the order of their turns
        self._numbers = itertools.count()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        turn, number = TURN.get(), next(self._numbers)
        size = len(prompt.token_ids or ()) + sampling.max_tokens
        call = _Call(number - self.patience * turn.rounds, number, turn.caller, size)
        await self._enter(call)
        try:
            with context_value(
                ENGINE_PRIORITY, call.place + CALLER * self._in_flight[call.caller].bit_length()
            ):
                return await self.engine.complete(prompt, sampling)
        finally:
            self._leave(call)

    def _fits(self, call: _Call) -> bool:
        if self._requests == 0:
            return True
        limit = self.limits.tokens
        return self._requests < self.limits.requests and (limit is None or self._tokens + call.size <= limit)

    async def _enter(self, call: _Call) -> None:
        if not self._waiting and self._fits(call):
            self._take(call)
            return
        call.turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting.setdefault(call.caller, []), call)
        try:
            await call.turn
        except asyncio.CancelledError:
            if call.turn.cancelled():
                self._wake()
            else:
                self._leave(call)
            raise

    def _take(self, call: _Call) -> None:
        self._requests += 1
        self._tokens += call.size
        self._in_flight[call.caller] += 1

    def _leave(self, call: _Call) -> None:
        self._requests -= 1
        self._tokens -= call.size
        self._in_flight[call.caller] -= 1
        if not self._in_flight[call.caller]:
            del self._in_flight[call.caller]
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            caller, calls = next(iter(self._waiting.items()))
            done = calls[0].done
            if not (done or self._fits(calls[0])):
                return
            call = heappop(calls)
            if not done:
                self._take(call)
                call.release()
                del self._waiting[caller]  # moved to the end
                self._waiting[caller] = calls
            if not calls:
                del self._waiting[caller]


@dataclass(slots=True, order=True)
class _Call:
    """One call and its position in its caller's queue."""

    place: int
    number: int
    caller: Hashable = field(compare=False)
    size: int = field(compare=False)
    turn: asyncio.Future[None] | None = field(default=None, compare=False)

    @property
    def done(self) -> bool:
        return self.turn is not None and self.turn.done()

    def release(self) -> None:
        if self.turn is not None:
            self.turn.set_result(None)
