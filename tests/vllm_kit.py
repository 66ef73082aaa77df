"""Shared by the tests of the vllm engine: the marks, a loop, a small model, prompts, and the processes of servers."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from reasonrank_pyserini.engines import Engine
from reasonrank_pyserini.types import Completion, Prompt, Sampling

NEEDS_VLLM = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
T = TypeVar("T")


class Loop:
    """An event loop in a thread of its own, as a Reranker has one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = 800.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    running = Loop()
    yield running
    running.close()


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model; its tokens 1 and 3 are renamed to a `</think>` and a `<|tool|>`, both special."""
    folder = tmp_path_factory.mktemp("special-think") / "model"
    shutil.copytree(tiny_model, folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    names = {number: name for name, number in vocabulary.items()}
    for number, name in ((1, "</think>"), (3, "<|tool|>")):
        del vocabulary[names[number]]
        vocabulary[name] = number
    added = tokenizer["added_tokens"]
    added[1]["content"] = "</think>"
    added.append({**added[1], "id": 3, "content": "<|tool|>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def prompt(number: int, length: int = 100) -> Prompt:
    return Prompt(token_ids=tuple(3 + (number * 37 + place * place * 11) % 250 for place in range(length)))


async def together(engine: Engine, requests: list[tuple[Prompt, Sampling]], width: int) -> list[Completion]:
    gate = asyncio.Semaphore(width)

    async def one(request: Prompt, sampling: Sampling) -> Completion:
        async with gate:
            return await engine.complete(request, sampling)

    return await asyncio.gather(*(one(*request) for request in requests))


def descendants() -> list[int]:
    """The processes of the servers that this one has started as an engine's user, not as a test's server."""
    import psutil

    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "serve_child.py" in " ".join(child.cmdline()):
                found += [child.pid, *(below.pid for below in child.children(recursive=True))]
    return found


def gone(pids: list[int], seconds: float = 200.0) -> bool:
    """Whether these processes end; a wait in vain takes that long."""
    deadline = time.monotonic() + seconds
    while any(map(_lives, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _lives(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def named(pids: list[int], name: str) -> int:
    """The last of the processes with that in its command line."""
    import psutil

    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            if name in " ".join(psutil.Process(pid).cmdline()):
                found.append(pid)
    return found[-1]


def idle(pid: int, seconds: float = 0.5) -> None:
    """Wait until a process has done nothing for that long."""
    import psutil

    process = psutil.Process(pid)
    before, since = sum(process.cpu_times()[:2]), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.05)
        if (now := sum(process.cpu_times()[:2])) > before:
            before, since = now, time.monotonic()
