"""What the server of `http_server` can do with a request: answer by a rule or at will, fail, break off, hang."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from http_exchange import Behaviour, Exchange, Request

if TYPE_CHECKING:
    from http_server import Server


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


def hang(seconds: float = 600.0, *, after: str | None = None) -> Behaviour:
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
