"""A real HTTP server on loopback that speaks the OpenAI API and misbehaves on request.

It answers `/v1/completions`, `/v1/chat/completions` (streaming or not) and `/v1/models` from its own thread.
Left alone it ranks by a rule: `[n] > ... > [1]` for a prompt that shows passages `[1]` to `[n]`. A test
chooses other behaviour for the next requests (`server.script(status(500), cut(), answer("..."))`), for all
(`server.always = hang()`) or by request (`server.choose = lambda request: status(500) if ... else None`,
None: the usual answer).

    with Server() as server:
        server.script(status(500))
        ...                              # an engine at server.url
        assert [r.path for r in server.requests] == ["/v1/completions"] * 2

`stall_after = n` lets requests hang once n have come, and `until_stalled` waits until those who ask can do nothing
more: the moment for a kill that is the same however slow the machine is.

`peak` is the most requests that were in flight together; `gone` counts clients that hung up before their
answer was complete. `stop()` kills it half way: open connections are reset, the port refuses. Until the block ends no
other process is given the port, so that another server can take it: `Server(port=server.port)`.

The behaviours are in `http_behaviours`, one request and its answer in `http_exchange`; tests take every name from here.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from http_behaviours import (
    answer,
    choice,
    close,
    cut,
    events,
    garbage,
    hang,
    prompt_text,
    reply,
    reversed_ranking,
    status,
    trickle,
)
from http_exchange import Behaviour, Exchange, Request
from ports import kept_port

__all__ = [
    "Behaviour", "Exchange", "Request", "Server", "answer", "choice", "close", "cut", "events", "garbage", "hang",
    "prompt_text", "reply", "reversed_ranking", "status", "trickle",
]  # fmt: skip


@dataclass
class Server:
    """The server; a context manager.

    `rank` maps a prompt's text to the answer's text, `decode` token ids to text (without it a prompt of ids
    is ranked as if it showed 20 passages), `delay` is the seconds before an answer, `port` 0 any free one.
    """

    rank: Callable[[str], str] | None = None
    decode: Callable[[list[int]], str] | None = None
    delay: float = 0.0
    models: Iterable[str] = ("tiny",)
    port: int = 0
    always: Behaviour | None = None
    choose: Callable[[Request], Behaviour | None] | None = None
    stall_after: int | None = None
    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    gone: int = 0
    _script: deque[Behaviour] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _refused: OSError | None = None
    _kept: ExitStack = field(default_factory=ExitStack)

    def script(self, *behaviours: Behaviour) -> None:
        """What to do with the next completion requests, in order of arrival."""
        self._script.extend(behaviours)

    def until_stalled(self, in_flight: int, process: subprocess.Popen[Any]) -> None:
        """Wait until that many requests hang, all that the process makes at once."""
        assert self.stall_after is not None
        while len(self.requests) < self.stall_after + in_flight:
            assert process.poll() is None, "it ended before it was stalled"
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self.port = self._kept.enter_context(kept_port(self.port))
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), name="http-server")
        self._thread.start()
        started.wait()
        if self._refused is not None:
            self._thread.join()
            self._kept.close()
            raise self._refused
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._kept.close()

    def stop(self) -> None:
        """End at once: open connections are reset, new ones refused."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    async def _main(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        try:
            listener = await asyncio.start_server(self._connected, "127.0.0.1", self.port, backlog=1024)
        except OSError as error:  # the port is taken
            self._refused = error
            started.set()
            return
        self.port = listener.sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
        # A closed listener drops what it just accepted without a word: that first gets as far as `_tasks`.
        self._loop.remove_reader(listener.sockets[0])
        for _ in range(10):
            await asyncio.sleep(0)
        listener.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            early: bytes | None = b""
            while early is not None and (request := await self._read(reader, early)) is not None:
                early = await self._serve(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone += 1
        except asyncio.CancelledError:
            pass  # stop(): the connection is reset below
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader, early: bytes) -> Request | None:
        try:
            head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.IncompleteReadError:
            return None
        method, path, _ = head[0].split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, path, headers, json.loads(body) if body else None, time.monotonic())

    async def _serve(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer one request while watching for the client to hang up.

        What was read of the next request comes back, None when the connection is over.
        """
        exchange = Exchange(self, request, writer)
        if request.method == "GET":
            await self._about(exchange)
            return b""
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        work = asyncio.ensure_future(self._behaviour(request)(exchange))
        hangup = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, hangup}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.gone += 1
                return None
            work.result()
            if not exchange.finished:
                return None
            return hangup.result() if hangup.done() else b""
        finally:
            self.in_flight -= 1
            for task in (work, hangup):
                task.cancel()
            await asyncio.gather(work, hangup, return_exceptions=True)

    def _behaviour(self, request: Request) -> Behaviour:
        if self._script:
            return self._script.popleft()
        if self.stall_after is not None and len(self.requests) > self.stall_after:
            return hang()
        chosen = self.choose(request) if self.choose else None
        return chosen or self.always or answer()

    async def _about(self, exchange: Exchange) -> None:
        if exchange.request.path.endswith("/models"):
            rows = [{"id": name, "root": f"/models/{name}", "max_model_len": 4096} for name in self.models]
            await exchange.json({"object": "list", "data": rows})
        elif exchange.request.path == "/version":
            await exchange.json({"version": "0.0.test"})
        else:
            await exchange.json({"error": {"message": "no such page"}}, status=404)
