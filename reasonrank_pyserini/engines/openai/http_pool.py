"""Several servers as one: which gets the next request, and when a request is given up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..servers import Servers
from .http_connections import requests_per_server
from .http_failures import FailedCall, Failure
from .http_loop import Broadcast, LoopClock
from .http_options import Options
from .http_servers import Server, open_server

log = logging.getLogger(__name__)

STARTS = 16
"""Requests that begin in one turn of the event loop: a thousand at once would keep it from their connections."""
FIRST_ATTEMPTS = 3
"""Attempts while no server has answered at all, so that a wrong address is reported soon."""


@dataclass(slots=True)
class Call:
    """One request, whichever servers it is sent to.

    `size` is prompt plus `max_tokens`; `tried` counts its failures and `due` is when it may be sent again, by
    address; `failed` is the last failure, if possible one other than that no server answers; `delays` counts attempts
    that failed because this process was too busy.
    """

    size: int
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    tried: Counter[str] = field(default_factory=Counter)
    due: dict[str, float] = field(default_factory=dict)
    failed: tuple[Server, Failure] | None = None
    delays: int = 0


class Pool:
    """The servers of one engine; used inside one event loop.

    A request goes, as soon as possible, to a server that has room: to the one that failed it least, then to the one
    with the fewest outstanding tokens. `attempts` applies to each server: a request is given up when every server
    has either failed it that often or, where no further server can come, stayed out for as many pauses. `each` is the
    limit of requests in flight at one server. `known` are all servers since the start, `servers` those of now.
    """

    def __init__(self, options: Options, source: Servers, each: int) -> None:
        self._options, self._source, self._each = options, source, each
        self._bell, self._clock = Broadcast(), LoopClock()
        self.known: dict[str, Server] = {}
        self.servers: Sequence[Server] = []
        self._most, self._most_for = 0.0, 0
        self._left_out: set[str] = set()
        self._started = 0
        self.changed()

    def changed(self) -> None:
        """Take the addresses as they are now."""
        urls = [url for url in self._source.addresses() if url not in self._left_out]
        if len(urls) > self._most_for:
            self._most_for = len(urls)
            self._most = requests_per_server(self._options, self._each, len(urls))
        now = {server.url for server in self.servers}
        if not self._source.drain:
            for url in now.difference(urls):
                self.known[url].abandon()
        self.servers = [self._server(url, returned=url not in now) for url in urls]
        for server in self.servers:
            server.most = self._most
        self._bell.ring()

    def leave_out(self, server: Server, failure: Failure) -> bool:
        """Use a server no more whose failure would meet every call there; False for the last one."""
        if server.url in self._left_out:
            return True
        if len(self.servers) < 2:
            return False
        self._left_out.add(server.url)
        log.warning("reasonrank: %s is left out: %s", server.url, failure.message)
        self.changed()
        return True

    def answers(self, url: str) -> int:
        """Complete answers of the server at that address."""
        return self.known[url].tally.answers if url in self.known else 0

    def _server(self, url: str, *, returned: bool) -> Server:
        if url not in self.known:
            self.known[url] = open_server(url, self._options, self._bell, self._clock, self._most)
        elif returned:
            self.known[url].forgive()
        return self.known[url]

    async def next(self, call: Call) -> Server | None:
        """The server to send the request to, before any other await; None when the request is given up."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            left = [server for server in self.servers if call.tried[server.url] < self._attempts(server)]
            able = [
                server
                for server in left
                if server.admits(call.size, now) and call.due.get(server.url, now) <= now
            ]
            if able and self._started >= STARTS:
                await asyncio.sleep(0)
                continue
            if able:
                if not self._started:
                    loop.call_soon(self._new_turn)
                self._started += 1
                return min(able, key=lambda server: _merit(server, call))
            if self._given_up(call, left):
                return None
            times = [max(server.resting_until, call.due.get(server.url, now)) - now for server in left]
            soon = min((seconds for seconds in times if seconds > 0), default=None)
            await self._bell.wait(soon and soon * random.uniform(1.0, 1.2))

    def _new_turn(self) -> None:
        self._started = 0

    def _given_up(self, call: Call, left: Sequence[Server]) -> bool:
        """Whether no server will take the request: all have failed it, or are out and no other will come."""
        if call.tried.total() >= self._options.attempts * max(1, len(self.servers)):
            return True
        if self.servers and not left:
            return True
        return self._source.ended() is not None and all(self._lost(server, call) for server in left)

    @contextmanager
    def visit(self, server: Server, call: Call) -> Iterator[None]:
        """Count the request as in flight at the server, and record its outcome: FailedCall or a complete answer."""
        if server.out:
            server.probe = call
        started = asyncio.get_running_loop().time()
        server.requests += 1
        server.tokens += call.size
        server.tally.requests += 1
        try:
            with self._clock.watched():
                yield
            server.served()
        except FailedCall as failed:
            self._note(server, call, failed.failure, started)
            raise
        finally:
            server.requests -= 1
            server.tokens -= call.size
            if server.probe is call:
                server.probe = None
            self._bell.ring()

    def gone(self) -> bool:
        """Whether no server answers at any address."""
        return all(
            server.out and server.last is not None and server.last.unreachable for server in self.servers
        )

    @property
    def worked(self) -> bool:
        """Whether any server has given a complete answer."""
        return any(server.tally.answers for server in self.known.values())

    def last_failure(self, call: Call) -> tuple[Server, Failure] | None:
        """Why a call was given up: its own last failure, else that of a server that stayed out; None without one."""
        if call.failed is not None:
            return call.failed
        return next(((server, server.last) for server in self.servers if server.last is not None), None)

    def _note(self, server: Server, call: Call, failure: Failure, started: float) -> None:
        server.tally.failures[failure.kind] += 1
        if failure.ours:
            delay = backoff(self._options, call.delays, None)
            call.delays += 1
            call.due[server.url] = asyncio.get_running_loop().time() + delay
            log.info("reasonrank: %s; sent again in %.1f s", failure.message, delay)
            return
        if call.failed is None or not failure.unreachable:
            call.failed = (server, failure)
        call.tried[server.url] += 1
        if not failure.retry:
            return
        known = server.out  # said when it went out
        delay = backoff(self._options, call.tried[server.url] - 1, failure.wait)
        call.due[server.url] = asyncio.get_running_loop().time() + delay
        what = f"attempt {call.tried[server.url]}: {failure.message}; retried there in {delay:.1f} s"
        if failure.crowded:
            server.rest(delay, crowded=True)
        elif failure.outage:
            again = call.tried[server.url] > 1
            if server.record_outage(failure, started=started, again=again):
                rest = backoff(self._options, server.rests - 1, failure.wait)
                server.rest(rest, crowded=False)
                what = f"{failure.message}; no requests there for {rest:.1f} s"
        where = "" if server.url in what else f"{server.url}: "
        loud = not (known and any(not other.out for other in self.servers)) and server.worth_a_warning()
        log.log(logging.WARNING if loud else logging.INFO, "reasonrank: %s%s", where, what)

    def _attempts(self, server: Server) -> int:
        met = any(other.answered for other in self.known.values())
        nobody = server.last is not None and server.last.unreachable
        every = self._options.attempts
        return min(FIRST_ATTEMPTS, every) if nobody and not met else every

    def _lost(self, server: Server, call: Call) -> bool:
        """Whether a server stayed out too long while the call was waiting."""
        return server.out and server.rests >= self._attempts(server) and server.out_since >= call.started


def _merit(server: Server, call: Call) -> tuple[int, int, int, int]:
    return call.tried[server.url], server.tokens, server.requests, server.streak


def backoff(options: Options, attempt: int, wait: float | None) -> float:
    """Seconds to wait after attempt number `attempt` (from 0): exponential with jitter, at least `wait`."""
    delay = min(options.max_backoff, options.backoff * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)
    return max(delay, wait or 0.0)
