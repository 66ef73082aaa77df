"""The servers of one engine: which takes the next request, how long one rests, when silence is too long."""

from __future__ import annotations

import asyncio
import math
import random
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ._http_options import Options, is_loopback

if TYPE_CHECKING:
    import openai

QUEUE_FACTOR = 10
"""Inactivity timeouts that a request may wait for its first byte while its server serves others."""


QUIET = 10.0
"""Seconds between two warnings about one server."""
LANE = 16
"""Connections of one client: the cost of httpcore's pool grows with the square of its connections (20 ms a
request at 256), so a server gets as many small clients as it needs."""


@dataclass(slots=True)
class Lane:
    """A client and how many requests it has under way."""

    client: openai.AsyncOpenAI
    outstanding: int = 0


@dataclass(slots=True)
class Server:
    """One address with its clients. Times are the event loop's."""

    url: str
    options: Options
    security: ssl.SSLContext
    lanes: list[Lane] = field(default_factory=list)
    outstanding: int = 0
    answered: bool = False
    last_byte: float = 0.0
    resting_until: float = 0.0
    window: float = math.inf
    warned_at: float = -math.inf
    about: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def client(self) -> Iterator[openai.AsyncOpenAI]:
        """A client with a connection to spare, counted as outstanding."""
        lane = next((lane for lane in self.lanes if lane.outstanding < LANE), None)
        if lane is None:
            lane = Lane(connect(self.url, self.options, self.security))
            self.lanes.append(lane)
        lane.outstanding += 1
        self.outstanding += 1
        try:
            yield lane.client
        finally:
            lane.outstanding -= 1
            self.outstanding -= 1

    async def close(self) -> None:
        while self.lanes:
            await self.lanes.pop().client.close()

    def worth_a_warning(self) -> bool:
        """True once in `QUIET` seconds: a thousand calls may fail together."""
        now = asyncio.get_running_loop().time()
        if now - self.warned_at < QUIET:
            return False
        self.warned_at = now
        return True

    def rest(self, seconds: float, *, crowded: bool) -> None:
        """No requests for a while; when `crowded`, half as many at once afterwards (one cut for each rest)."""
        now = asyncio.get_running_loop().time()
        if crowded and now >= self.resting_until:
            self.window = max(1.0, min(self.window, self.outstanding + 1) / 2)
        self.resting_until = max(self.resting_until, now + seconds)

    def served(self) -> None:
        """A complete answer: the server may take a little more."""
        self.answered = True
        self.window += 0.1

    async def ready(self) -> None:
        """Returns when the server may be asked; waiters come a little apart."""
        loop = asyncio.get_running_loop()
        while (left := self.resting_until - loop.time()) > 0 or self.outstanding >= self.window:
            await asyncio.sleep(left * random.uniform(1.0, 1.2) if left > 0 else random.uniform(0.02, 0.1))


def open_server(url: str, options: Options) -> Server:
    """A server with its first client; whatever is slow to import is imported here."""
    import httpx

    server = Server(url, options, httpx.create_ssl_context())
    with server.client():
        return server


def connect(url: str, options: Options, security: ssl.SSLContext) -> openai.AsyncOpenAI:
    """A client that never retries by itself; loopback never goes through a proxy."""
    import httpx
    import openai

    http = openai.DefaultAsyncHttpxClient(
        limits=httpx.Limits(max_connections=LANE, max_keepalive_connections=LANE),
        timeout=httpx.Timeout(None, connect=options.connect_timeout),
        verify=security,
        trust_env=not is_loopback(url),
    )
    key = options.key or "none"
    return openai.AsyncOpenAI(api_key=key, base_url=url, http_client=http, max_retries=0)


def choose(servers: Sequence[Server], tried: Mapping[str, int]) -> Server:
    """The server for a request that failed `tried[url]` times already.

    First those that failed it least, then those that rest least and have room, then by fewest outstanding.
    """
    now = asyncio.get_running_loop().time()

    def merit(server: Server) -> tuple[int, float, bool, int]:
        full = server.outstanding >= server.window
        return tried.get(server.url, 0), max(server.resting_until, now), full, server.outstanding

    return min(servers, key=merit)


def backoff(options: Options, attempt: int, wait: float | None) -> float:
    """Seconds to wait after attempt number `attempt` (from 0): exponential with jitter, at least `wait`."""
    delay = min(options.max_backoff, options.backoff * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)
    return max(delay, wait or 0.0)


class Patience:
    """Raises TimeoutError inside its block when nothing has come for too long; `touch()` at every byte.

    Before its first byte a request may sit in the server's queue: then any byte of that server, for whichever
    request, is a sign of life, up to `QUEUE_FACTOR` timeouts.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self._server, self._seconds, self._begun = server, seconds, False
        self._timer = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._start = self._last = self._loop.time()
        self._handle = self._loop.call_at(self._start + self._seconds, self._check)
        await self._timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.cancel()
        await self._timer.__aexit__(kind, error, trace)

    def touch(self) -> None:
        self._last = self._server.last_byte = self._loop.time()
        self._begun = True

    def _check(self) -> None:
        now, due = self._loop.time(), self._last + self._seconds
        if not self._begun:
            latest = self._start + QUEUE_FACTOR * self._seconds
            due = min(max(due, self._server.last_byte + self._seconds), latest)
        if now >= due:
            self._timer.reschedule(now)
        else:
            self._handle = self._loop.call_at(due, self._check)
