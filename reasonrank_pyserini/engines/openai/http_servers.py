"""One server of an engine: its clients, its requests in flight, and whether it may get more."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ...files.web_environment import Proxy, proxy_for
from .http_clients import CLIENT_CONNECTIONS, certificates, connect
from .http_failures import Failure
from .http_loop import Broadcast, LoopClock
from .http_options import Options

if TYPE_CHECKING:
    import openai

OUT_AFTER = 3
"""Failures in a row, each of a different request, after which a server is out."""
QUEUE_FACTOR = 10
"""How many inactivity timeouts a request may wait for its first byte while the server answers others."""
QUIET = 10.0
"""Seconds between two warnings about the same server."""


@dataclass(slots=True)
class ClientSlot:
    """A client and its number of requests in flight."""

    client: openai.AsyncOpenAI
    outstanding: int = 0


@dataclass(slots=True)
class ServerCounts:
    """Counts of a server: requests, complete answers with tokens and finish reasons, failures by kind."""

    requests: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reasons: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def answered(self, prompt_tokens: int, completion_tokens: int, finish_reason: str | None) -> None:
        """Count one complete answer, with the server's token counts."""
        self.answers += 1
        self.finish_reasons[finish_reason or "none"] += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


@dataclass(slots=True)
class Server:
    """One address. Times are the event loop's, `last_byte` is by `clock`; `requests` and `tokens` are those in flight.

    A server is `out` after `OUT_AFTER` failures in a row, or as soon as it cannot be reached. It then pauses, twice as
    long each time, and gets a single request, the `probe`; once that is being answered it gets requests as before,
    but one failure takes it out again until an answer is complete. `bell` rings when it may take more requests,
    `most` is its limit of requests in flight.
    """

    url: str
    options: Options
    security: ssl.SSLContext
    bell: Broadcast
    clock: LoopClock
    most: float = math.inf
    slots: list[ClientSlot] = field(default_factory=list)
    requests: int = 0
    tokens: int = 0
    answered: bool = False
    last_byte: float = 0.0
    resting_until: float = 0.0
    window: float = math.inf
    out: bool = False
    out_since: float = -math.inf
    probe: object = None
    rests: int = 0
    streak: int = 0
    last: Failure | None = None
    warned_at: float = -math.inf
    tally: ServerCounts = field(default_factory=ServerCounts)
    about: dict[str, Any] = field(default_factory=dict)
    proxy: Proxy | None = None
    ended: bool = False
    waiting: set[InactivityTimeout] = field(default_factory=set)

    @contextmanager
    def client(self) -> Iterator[openai.AsyncOpenAI]:
        """A client with a free connection."""
        slot = next((slot for slot in self.slots if slot.outstanding < CLIENT_CONNECTIONS), None)
        if slot is None:
            slot = ClientSlot(connect(self.url, self.options, self.security, self.proxy))
            self.slots.append(slot)
        slot.outstanding += 1
        try:
            yield slot.client
        finally:
            slot.outstanding -= 1

    async def close(self) -> None:
        while self.slots:
            await self.slots.pop().client.close()

    def details(self) -> dict[str, Any]:
        """Address, counts and what the server reported of itself, for a manifest."""
        counts = asdict(self.tally)
        counts |= {name: dict(getattr(self.tally, name)) for name in ("finish_reasons", "failures")}
        return {"url": self.url, **counts, **self.about}

    def worth_a_warning(self) -> bool:
        """True at most once in `QUIET` seconds, since a thousand calls may fail together."""
        now = asyncio.get_running_loop().time()
        if now - self.warned_at < QUIET:
            return False
        self.warned_at = now
        return True

    def admits(self, size: int, now: float) -> bool:
        """Whether a request of `size` tokens may be sent now; one larger than the limit must be alone."""
        if now < self.resting_until or (self.out and self.probe is not None):
            return False
        bound = self.options.tokens
        fits = bound is None or not self.requests or self.tokens + size <= bound
        return fits and self.requests < min(self.window, self.most)

    def rest(self, seconds: float, *, crowded: bool) -> None:
        """Send no requests for a while; if `crowded`, allow half as many in flight afterwards (once per pause)."""
        now = asyncio.get_running_loop().time()
        if crowded and now >= self.resting_until:
            self.window = max(1.0, min(self.window, self.requests) / 2)
        self.resting_until = max(self.resting_until, now + seconds)

    def record_outage(self, failure: Failure, *, started: float, again: bool) -> bool:
        """Record the failure of a request that started at `started`; True if it takes the server out (again).

        `again`: the request had failed there before, so the failure may be its own fault. Failures of requests
        that started before the server last went out are ignored.
        """
        if started < self.out_since:
            return False
        self.last = failure
        self.streak += not again
        if not (self.rests or failure.unreachable or self.streak >= OUT_AFTER):
            return False
        self.out, self.out_since = True, asyncio.get_running_loop().time()
        self.rests += 1
        return True

    def on_first_byte(self, started: float) -> None:
        """Record the first byte of an answer to a request that started at `started`."""
        if self.out and started >= self.out_since:
            self.out, self.probe = False, None
            self.bell.ring()

    def abandon(self) -> None:
        """Wait for no answer any more: the server has ended, even if no connection has."""
        self.ended = True
        for patience in self.waiting:
            patience.end()

    def forgive(self) -> None:
        """Reset the failures of a server that has rejoined."""
        self.out, self.probe, self.rests, self.streak, self.ended = False, None, 0, 0, False
        self.resting_until, self.window, self.last = 0.0, math.inf, None

    def served(self) -> None:
        """Record a complete answer: the server is healthy and may take slightly more requests."""
        self.answered, self.out, self.rests, self.streak = True, False, 0, 0
        self.window += 0.1


def open_server(url: str, options: Options, bell: Broadcast, clock: LoopClock, most: float) -> Server:
    """A server with its first client, so that slow imports happen here."""
    proxy = None if options.own_key is not None else proxy_for(url)
    server = Server(url, options, certificates(url), bell, clock, most, proxy=proxy)
    with server.client():
        return server


class InactivityTimeout:
    """Raises TimeoutError inside its block when no data has come for too long; call `touch()` on all data.

    Before its first byte a request may be in the server's queue: until then data of the same server for any request
    also extends the timeout, up to `QUEUE_FACTOR` times. Time in which this process was too busy to read does not
    count.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self._server, self._seconds, self._saw_byte = server, seconds, False
        self._timer = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._start = self._last = self._server.clock.time()
        self._handle = self._loop.call_later(self._seconds, self._check)
        await self._timer.__aenter__()
        self._server.waiting.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        self._server.waiting.discard(self)
        await self._timer.__aexit__(kind, error, trace)

    def touch(self) -> None:
        self._last = self._server.last_byte = self._server.clock.time()
        if not self._saw_byte:
            self._saw_byte = True
            self._server.on_first_byte(self._begun)

    def end(self) -> None:
        """Wait no longer."""
        with suppress(RuntimeError):  # it has just ended
            self._timer.reschedule(self._loop.time())

    def _check(self) -> None:
        now, due = self._server.clock.time(), self._last + self._seconds
        if not self._saw_byte:
            latest = self._start + QUEUE_FACTOR * self._seconds
            due = min(max(due, self._server.last_byte + self._seconds), latest)
        if now >= due:
            self.end()
        else:
            self._handle = self._loop.call_later(due - now, self._check)
