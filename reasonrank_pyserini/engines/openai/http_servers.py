"""One server of an engine: its clients, what is under way there, and whether it may be asked."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ...files.web_environment import Proxy, check_certificates, check_proxies, is_loopback, proxy_for
from .http_failures import Failure, RedirectedError
from .http_options import Options

if TYPE_CHECKING:
    import openai

OUT_AFTER = 3
"""Failures in a row, each of another request, that take a server out."""
QUEUE_FACTOR = 10
"""Inactivity timeouts that a request may wait for its first byte while its server serves others."""
QUIET = 10.0
"""Seconds between two warnings about one server."""
LANE = 16
"""Connections of one client: the cost of httpcore's pool grows with the square of its connections (20 ms a
request at 256), so a server gets as many small clients as it needs."""


@dataclass(slots=True)
class ClientSlot:
    """A client and how many requests it has under way."""

    client: openai.AsyncOpenAI
    outstanding: int = 0


@dataclass(slots=True)
class ServerCounts:
    """What a server was sent and gave: attempts, complete answers with tokens and finish reasons, failures by kind."""

    requests: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reasons: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def answered(self, prompt_tokens: int, completion_tokens: int, finish_reason: str | None) -> None:
        """One complete answer, by the server's own counts."""
        self.answers += 1
        self.finish_reasons[finish_reason or "none"] += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


class Broadcast:
    """Wakes all who wait, without a memory: whoever comes later waits for the next ring."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float | None) -> None:
        """Returns at the next ring, or after that many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


@dataclass(slots=True)
class Server:
    """One address. Times are the event loop's; `requests` and `tokens` are under way.

    It is `out` after `OUT_AFTER` failures in a row or as soon as nobody answers there. Then it rests, twice as long
    each time, and gets one request, the `probe`: once that is being answered all may come again, on trial until
    an answer is complete. `bell` rings when it may take more than before, `most` is how many it gets at once.
    """

    url: str
    options: Options
    security: ssl.SSLContext
    bell: Broadcast
    most: float = math.inf
    lanes: list[ClientSlot] = field(default_factory=list)
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

    @contextmanager
    def client(self) -> Iterator[openai.AsyncOpenAI]:
        """A client with a connection to spare."""
        lane = next((lane for lane in self.lanes if lane.outstanding < LANE), None)
        if lane is None:
            lane = ClientSlot(connect(self.url, self.options, self.security))
            self.lanes.append(lane)
        lane.outstanding += 1
        try:
            yield lane.client
        finally:
            lane.outstanding -= 1

    async def close(self) -> None:
        while self.lanes:
            await self.lanes.pop().client.close()

    def details(self) -> dict[str, Any]:
        """Address, counts and what the server told of itself, for a manifest."""
        counts = asdict(self.tally)
        counts |= {name: dict(getattr(self.tally, name)) for name in ("finish_reasons", "failures")}
        return {"url": self.url, **counts, **self.about}

    def worth_a_warning(self) -> bool:
        """True once in `QUIET` seconds: a thousand calls may fail together."""
        now = asyncio.get_running_loop().time()
        if now - self.warned_at < QUIET:
            return False
        self.warned_at = now
        return True

    def admits(self, size: int, now: float) -> bool:
        """Whether a request of `size` tokens may go there now; one larger than the bound goes alone."""
        if now < self.resting_until or (self.out and self.probe is not None):
            return False
        bound = self.options.tokens
        fits = bound is None or not self.requests or self.tokens + size <= bound
        return fits and self.requests < min(self.window, self.most)

    def rest(self, seconds: float, *, crowded: bool) -> None:
        """No requests for a while; when `crowded`, half as many at once afterwards (one cut for each rest)."""
        now = asyncio.get_running_loop().time()
        if crowded and now >= self.resting_until:
            self.window = max(1.0, min(self.window, self.requests) / 2)
        self.resting_until = max(self.resting_until, now + seconds)

    def record_outage(self, failure: Failure, *, started: float, again: bool) -> bool:
        """Notes an outage seen by a request that started then; whether it takes the server out (anew).

        `again`: the request had failed there before, so that this may be its own doing. Requests of before the
        last time the server went out say nothing new.
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
        """The first byte of an answer to a request that started then."""
        if self.out and started >= self.out_since:
            self.out, self.probe = False, None
            self.bell.ring()

    def served(self) -> None:
        """A complete answer: whatever was wrong is over, and the server may take a little more."""
        self.answered, self.out, self.rests, self.streak = True, False, 0, 0
        self.window += 0.1


def open_server(url: str, options: Options, bell: Broadcast, most: float) -> Server:
    """A server with its first client; whatever is slow to import is imported here."""
    if not is_loopback(url):
        check_proxies()
    server = Server(url, options, _certificates(url), bell, most, proxy=proxy_for(url))
    with server.client():
        return server


def _certificates(url: str) -> ssl.SSLContext:
    """The certificates to check a server by: those of the environment, which plain http on any host does without."""
    import httpx

    if url.startswith("https:"):
        check_certificates()
        return httpx.create_ssl_context()
    return httpx.create_ssl_context(trust_env=False)


def connect(url: str, options: Options, security: ssl.SSLContext) -> openai.AsyncOpenAI:
    """A client that never retries by itself; loopback never goes through a proxy."""
    import httpx
    import openai

    async def refuse_redirect(response: httpx.Response) -> None:
        if response.status_code in (301, 302, 303):  # the client would go on with a GET and without the body
            raise RedirectedError(response.status_code, response.headers.get("location", ""))

    http = openai.DefaultAsyncHttpxClient(
        event_hooks={"response": [refuse_redirect]},
        limits=httpx.Limits(max_connections=LANE, max_keepalive_connections=LANE),
        timeout=httpx.Timeout(None, connect=options.connect_timeout),
        verify=security,
        trust_env=not is_loopback(url),
    )
    key = options.key or "none"
    return openai.AsyncOpenAI(api_key=key, base_url=url, http_client=http, max_retries=0)


class InactivityTimeout:
    """Raises TimeoutError inside its block when nothing has come for too long; `touch()` at every byte.

    Before its first byte a request may sit in the server's queue: then any byte of that server, for whichever
    request, is a sign of life, up to `QUEUE_FACTOR` timeouts.
    """

    def __init__(self, server: Server, seconds: float) -> None:
        self._server, self._seconds, self._saw_byte = server, seconds, False
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
        if not self._saw_byte:
            self._saw_byte = True
            self._server.on_first_byte(self._start)

    def _check(self) -> None:
        now, due = self._loop.time(), self._last + self._seconds
        if not self._saw_byte:
            latest = self._start + QUEUE_FACTOR * self._seconds
            due = min(max(due, self._server.last_byte + self._seconds), latest)
        if now >= due:
            self._timer.reschedule(now)
        else:
            self._handle = self._loop.call_at(due, self._check)
