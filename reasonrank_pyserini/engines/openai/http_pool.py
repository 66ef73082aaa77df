"""Several servers as one: which gets the next request, and when a request is given up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from .http_failures import FailedCall, Failure
from .http_options import Options
from .http_servers import Broadcast, Server, open_server

log = logging.getLogger(__name__)

FIRST_ATTEMPTS = 3
"""Attempts while no server has answered at all, so that a wrong address is reported soon."""


@dataclass(slots=True)
class Call:
    """One request, whichever servers it is sent to.

    `size` is prompt plus `max_tokens`; `tried` counts its failures and `due` is when it may be sent again, by
    address; `failed` is the last failure, if possible one other than that no server answers.
    """

    size: int
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    tried: Counter[str] = field(default_factory=Counter)
    due: dict[str, float] = field(default_factory=dict)
    failed: tuple[Server, Failure] | None = None


class Pool:
    """The servers of one engine, at least one; used inside one event loop.

    A request goes, as soon as possible, to a server that has room: to the one that failed it least, then to the one
    with the fewest outstanding tokens. `attempts` applies to each server: a request is given up when every server
    has either failed it that often or stayed out for as many pauses.
    """

    def __init__(self, options: Options, most: float) -> None:
        self._options, self._bell = options, Broadcast()
        self.servers: Sequence[Server] = [open_server(url, options, self._bell, most) for url in options.urls]

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
            if able:
                return min(able, key=lambda server: _merit(server, call))
            if all(self._lost(server, call) for server in left):
                return None
            times = [max(server.resting_until, call.due.get(server.url, now)) - now for server in left]
            soon = min((seconds for seconds in times if seconds > 0), default=None)
            await self._bell.wait(soon and soon * random.uniform(1.0, 1.2))

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

    def last_failure(self, call: Call) -> tuple[Server, Failure]:
        """Why a call was given up: its own last failure, else that of a server that stayed out."""
        if call.failed is not None:
            return call.failed
        return next((server, server.last) for server in self.servers if server.last is not None)

    def _note(self, server: Server, call: Call, failure: Failure, started: float) -> None:
        if call.failed is None or not failure.unreachable:
            call.failed = (server, failure)
        call.tried[server.url] += 1
        server.tally.failures[failure.kind] += 1
        if not failure.retry:
            return
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
        log.log(
            logging.WARNING if server.worth_a_warning() else logging.INFO, "reasonrank: %s%s", where, what
        )

    def _attempts(self, server: Server) -> int:
        met = any(other.answered for other in self.servers)
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
