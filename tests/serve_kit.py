"""Real servers for tests of `server`: an application in a thread, and the command in a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from http_behaviours import reversed_ranking

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.engines import Engine
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.scripted import Script, ScriptedEngine
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.server import ServedModel, ServerSettings, make_app
from reasonrank_pyserini.strategies import SlidingWindow
from reasonrank_pyserini.types import Completion, Prompt, Sampling

MODEL = ServedModel("scripted-model")
QUERY = "why do moths circle lamps"
TEXTS = ["about moths", "about lamps", "about brass", "about bread"]


def backwards(prompt: Prompt, sampling: Sampling) -> Completion:
    """Every window in reverse, with reasoning; 100 tokens read, 20 written."""
    return Completion(reversed_ranking(prompt.messages[-1]["content"]), 100, 20)


class GatedEngine(ScriptedEngine):
    """Answers no call before `open` is set; `asked` counts the calls, `cancelled` those that were."""

    def __init__(self, script: Script = backwards, *, requests: int = 64) -> None:
        super().__init__(script, requests=requests)
        self.open, self.asked, self.cancelled = threading.Event(), 0, 0

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.in_flight += 1
        self.asked += 1
        try:
            while not self.open.is_set():
                await asyncio.sleep(0.002)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        return await super().complete(prompt, sampling)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread brings about; the test's own time limit ends a wait in vain."""
    while not condition():
        time.sleep(0.002)


def scripted_reranker(engine: Engine, *, depth: int = 20, size: int = 20) -> Reranker:
    """A Reranker whose prompts need no tokenizer."""
    gate = ThrottledEngine(engine)
    judge = LLMJudge(PromptBuilder("reasonrank", None), gate, Sampling())
    return Reranker(
        judge, engine=gate, depth=depth, strategy=SlidingWindow(size=size, step=max(1, size // 2))
    )


@contextmanager
def serving(reranker: Reranker, settings: ServerSettings | None = None) -> Iterator[httpx.Client]:
    """A client of a running server around the Reranker, which ends with the block."""
    config = uvicorn.Config(
        make_app(reranker, settings or ServerSettings(MODEL)), lifespan="off", log_level="warning"
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listening],), name="server")
        thread.start()
        until(lambda: server.started)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
            reranker.close()


@contextmanager
def served(engine: Engine, settings: ServerSettings | None = None, **options: int) -> Iterator[httpx.Client]:
    """A client of a running server over the engine."""
    with serving(scripted_reranker(engine, **options), settings) as client:
        yield client


class ServeCommand:
    """`reasonrank serve` in a process of its own; `url` once it answers, `log` all that it has printed."""

    def __init__(
        self,
        *options: object,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        python: Path | str = sys.executable,
    ) -> None:
        words = [str(python), "-m", "reasonrank_pyserini", "serve", "--port", "0", *map(str, options)]
        self.process = subprocess.Popen(
            words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=folder,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self.log, self.url = "", ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line
            if (found := re.search(r"is served at (\S+)", line)) is not None:
                self.url = found[1]
                break
        assert self.url, self.log
        self._rest = threading.Thread(target=self._read, daemon=True)
        self._rest.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait; the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; the exit status."""
        status = self.process.wait()
        self._rest.join()
        return status


@contextmanager
def serve_command(
    *options: object, environment: Mapping[str, str] | None = None, python: Path | str = sys.executable
) -> Iterator[ServeCommand]:
    """A running `reasonrank serve`, which is killed at the end of the block if it still runs."""
    command = ServeCommand(*options, environment=environment, python=python)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.wait()
        assert command.process.stderr is not None
        command.process.stderr.close()
