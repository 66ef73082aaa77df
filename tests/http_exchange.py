"""One request to the server of `http_server`, and one answer in the making: whole, or streamed in events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from http_server import Server


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
