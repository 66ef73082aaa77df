"""The nano teacher as an OpenAI-compatible chat server, with the standard library alone."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ...errors import InputError
from .rule_teacher import Taught, Teacher

MODEL = "nano-teacher"
HOST = "127.0.0.1"
MOST_BYTES = 16 << 20
"""The longest request body that is read."""


class TeacherServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 once it is made; `serve_forever` answers. `port` 0 takes a free one.

    InputError for a port that cannot be used.
    """

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, teacher: Teacher, port: int = 0) -> None:
        self.teacher = teacher
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot listen on {HOST}:{port} ({reason}): give another `port`") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show errors, except those of clients that hang up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://{HOST}:{self.server_address[1]}/v1"


@contextmanager
def serving(teacher: Teacher, port: int = 0) -> Iterator[str]:
    """A running server; yields its base URL."""
    with TeacherServer(teacher, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="nano-teacher")
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TeacherServer

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._fail(404, f"no page {self.path}: there are /v1/models and /v1/chat/completions")
        row = {"id": MODEL, "object": "model", "created": 0, "owned_by": "reasonrank-pyserini"}
        return self._json(200, {"object": "list", "data": [row]})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_BYTES:
            self.close_connection = True
            return self._fail(400, f"the body needs a Content-Length of at most {MOST_BYTES} bytes")
        body = self.rfile.read(int(length))
        if self.path != "/v1/chat/completions":
            return self._fail(404, f"no page {self.path}: there are /v1/models and /v1/chat/completions")
        try:
            request = _request(body)
            taught, read = self.server.teacher.answer(request["messages"]), _words(request["messages"])
        except InputError as error:
            return self._fail(400, str(error))
        if request.get("model", MODEL) != MODEL:
            return self._fail(404, f"no model {request['model']!r}, only {MODEL}")
        finish = "stop"
        if (most := _budget(request)) is not None:
            taught, finish = _cut(taught, most)
        usage = _usage(read, len(taught.reasoning.split()) + len(taught.text.split()))
        if request.get("stream"):
            return self._send(200, "text/event-stream", _events(taught, finish, usage))
        message = {"role": "assistant", "content": taught.text, "reasoning_content": taught.reasoning}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return self._json(200, {**_head("chat.completion"), "choices": [choice], "usage": usage})

    def _fail(self, status: int, message: str) -> None:
        self._json(status, {"error": {"message": message, "type": "invalid_request_error", "code": status}})

    def _json(self, status: int, value: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def _request(body: bytes) -> Mapping[str, Any]:
    """The request in a body; InputError for a body that is not one."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("the body is not JSON") from None
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list) or not messages:
        raise InputError("the body has no list of messages")
    if not all(isinstance(m, dict) and isinstance(m.get("content"), str) for m in messages):
        raise InputError("every message needs a text in content")
    return dict(request)


def _budget(request: Mapping[str, Any]) -> int | None:
    most = request.get("max_completion_tokens", request.get("max_tokens"))
    return most if isinstance(most, int) and most > 0 else None


def _cut(taught: Taught, most: int) -> tuple[Taught, str]:
    """The answer cut to `most` tokens (here words), and its finish_reason."""
    reasoning, text = taught.reasoning.split(), taught.text.split()
    if len(reasoning) + len(text) <= most:
        return taught, "stop"
    kept = Taught(" ".join(reasoning[:most]), " ".join(text[: max(0, most - len(reasoning))]))
    return kept, "length"


def _words(messages: Sequence[Mapping[str, str]]) -> int:
    return sum(len(message["content"].split()) for message in messages)


def _usage(read: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _head(kind: str) -> dict[str, Any]:
    return {"id": "nano", "object": kind, "created": int(time.time()), "model": MODEL}


def _events(taught: Taught, finish: str, usage: Mapping[str, int]) -> bytes:
    """The whole stream: reasoning, answer, end, usage."""
    head = _head("chat.completion.chunk")
    deltas: tuple[dict[str, str], ...] = (
        {"role": "assistant", "reasoning_content": taught.reasoning},
        {"content": taught.text},
        {},
    )
    ends: tuple[str | None, ...] = (None, None, finish)
    records = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
        for delta, end in zip(deltas, ends, strict=True)
    ]
    records.append({**head, "choices": [], "usage": usage})
    return "".join(f"data: {text}\n\n" for text in (*map(json.dumps, records), "[DONE]")).encode()
