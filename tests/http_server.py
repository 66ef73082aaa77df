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

`peak` is the most requests that were in flight together; `gone` counts clients that hung up before their
answer was complete. `stop()` kills it half way: open connections are reset, the port refuses.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """One request as it came in: lower-case header names, `body` from JSON, `at` by the monotonic clock."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    at: float

    @property
    def chat(self) -> bool:
        return "/chat/" in self.path


@dataclass
class Exchange:
    """One answer in the making."""

    server: Server
    request: Request
    writer: asyncio.StreamWriter
    finished: bool = False

    async def whole(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        await self._head(status, {"Content-Length": str(len(body)), **(headers or {})})
        await self._send(body)
        self.finished = True

    async def json(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        lines = {"Content-Type": "application/json", **(headers or {})}
        await self.whole(status, json.dumps(body).encode(), lines)

    async def start_stream(self) -> None:
        await self._head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})

    async def event(self, data: Any) -> None:
        """One server-sent event: JSON, or a string as it is."""
        text = data if isinstance(data, str) else json.dumps(data)
        await self.raw(f"data: {text}\n\n".encode())

    async def raw(self, data: bytes) -> None:
        """One chunk of the streamed body."""
        await self._send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self._send(b"0\r\n\r\n")
        self.finished = True

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self._send(f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode())

    async def _send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass
class Server:
    """The server; a context manager.

    `rank` maps a prompt's text to the answer's text, `decode` token ids to text (without it a prompt of ids
    is ranked as if it showed 20 passages), `delay` is the seconds before an answer.
    """

    rank: Callable[[str], str] | None = None
    decode: Callable[[list[int]], str] | None = None
    delay: float = 0.0
    models: Iterable[str] = ("tiny",)
    always: Behaviour | None = None
    choose: Callable[[Request], Behaviour | None] | None = None
    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    gone: int = 0
    _script: deque[Behaviour] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def script(self, *behaviours: Behaviour) -> None:
        """What to do with the next completion requests, in order of arrival."""
        self._script.extend(behaviours)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), name="http-server")
        self._thread.start()
        started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End at once: open connections are reset, new ones refused."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    async def _main(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        listener = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.port = listener.sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
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


def reversed_ranking(text: str) -> str:
    """The rule: reasoning, then every passage shown, last first."""
    found = re.search(r"with (\d+) passages", text)
    count = int(found.group(1)) if found else len(re.findall(r"^\[\d+\] ", text, re.MULTILINE)) or 20
    order = " > ".join(f"[{number}]" for number in range(count, 0, -1))
    return f"<think> the later the better </think> <answer> {order} </answer>"


def prompt_text(server: Server, request: Request) -> str:
    """What a request asks, as text."""
    if request.chat:
        return "\n".join(message["content"] for message in request.body["messages"])
    prompt = request.body["prompt"]
    if isinstance(prompt, str):
        return prompt
    return server.decode(prompt) if server.decode else ""


def choice(
    request: Request, *, text: str | None = None, finish: str | None = None, **fields: Any
) -> dict[str, Any]:
    """The `choices` entry of a streamed chunk; `fields` join a chat delta (`reasoning_content=...`)."""
    if not request.chat:
        return {"index": 0, "text": text or "", "finish_reason": finish}
    delta = {"content": text, **fields} if text is not None or fields else {}
    return {"index": 0, "delta": delta, "finish_reason": finish}


def answer(
    text: str | None = None,
    *,
    reasoning: str | None = None,
    name: str = "reasoning_content",
    finish: str = "stop",
    pieces: int = 3,
    pause: float = 0.0,
    usage: bool = True,
    stream: bool = True,
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
) -> Behaviour:
    """A completion: `text` (None: by the server's rule), before it `reasoning` in the field `name`.

    Streamed in `pieces` with `pause` seconds between, or whole (`stream=False`: some servers do).
    """

    async def behave(exchange: Exchange) -> None:
        request, server = exchange.request, exchange.server
        await asyncio.sleep(server.delay)
        said = text if text is not None else (server.rank or reversed_ranking)(prompt_text(server, request))
        prompt = request.body.get("prompt")
        read = prompt_tokens or (len(prompt) if isinstance(prompt, list) else 7)
        wrote = completion_tokens or max(1, len(said.split()))
        counted = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
        extra = {} if reasoning is None else {name: reasoning}
        if not (stream and request.body.get("stream")):
            message = {"role": "assistant", "content": said, **extra}
            whole = {"message": message} if request.chat else {"text": said}
            body = {"choices": [{"index": 0, "finish_reason": finish, **whole}], "usage": counted}
            await exchange.json(body)
            return
        await exchange.start_stream()
        for key, value in extra.items():
            for piece in _pieces(value, pieces):
                await exchange.event({"choices": [choice(request, **{key: piece})]})
        for piece in _pieces(said, pieces):
            await asyncio.sleep(pause)
            await exchange.event({"choices": [choice(request, text=piece)]})
        await exchange.event({"choices": [choice(request, finish=finish)]})
        if usage and request.body.get("stream_options", {}).get("include_usage"):
            await exchange.event({"choices": [], "usage": counted})
        await exchange.event("[DONE]")
        await exchange.end_stream()

    return behave


def _pieces(text: str, count: int) -> list[str]:
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]


def status(
    number: int, message: str = "it broke", *, headers: Mapping[str, str] | None = None, **more: Any
) -> Behaviour:
    """An HTTP error in OpenAI's form (`more`: further fields of `error`, such as `code="..."`)."""
    return reply({"error": {"message": message, **more}}, number, headers)


def reply(body: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Any JSON value as the whole answer: `reply({"error": {...}})` is an error behind HTTP 200."""

    async def behave(exchange: Exchange) -> None:
        await exchange.json(body, code, headers)

    return behave


def garbage(body: bytes, content_type: str = "application/json") -> Behaviour:
    """Bytes that are not what the client expects, behind HTTP 200."""

    async def behave(exchange: Exchange) -> None:
        await exchange.whole(200, body, {"Content-Type": content_type})

    return behave


def events(*chunks: Any, end: bool = True) -> Behaviour:
    """A stream of exactly these events (JSON values or raw strings); `end=False` cuts the connection."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        for chunk in chunks:
            await exchange.event(chunk)
        if end:
            await exchange.end_stream()

    return behave


def cut(text: str = "<think> half a", *, clean: bool = False) -> Behaviour:
    """A stream that stops after some text, without a finish reason: connection reset, or ended cleanly."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.event({"choices": [choice(exchange.request, text=text)]})
        if clean:
            await exchange.end_stream()

    return behave


def close() -> Behaviour:
    """The connection closed without a byte."""

    async def behave(exchange: Exchange) -> None:
        return None

    return behave


def hang(seconds: float = 60.0, *, after: str | None = None) -> Behaviour:
    """Silence: before any byte, or after the headers and some text."""

    async def behave(exchange: Exchange) -> None:
        if after is not None:
            await exchange.start_stream()
            await exchange.event({"choices": [choice(exchange.request, text=after)]})
        await asyncio.sleep(seconds)

    return behave


def trickle(text: str, pause: float) -> Behaviour:
    """A completion letter by letter, `pause` seconds apart: slow, but alive."""
    return answer(text, pieces=len(text), pause=pause)
