"""vLLM inside this process against a vLLM server that is a child of it: start, memory, cost of a request, a run.

    python eval/bench/vllm_child.py [--rounds 40] [--windows 60] [--json FILE]

Both engines run the shipped nano with the same arguments: first one after the other over the same windows, greedily,
then side by side in alternating rounds of single requests. The prefix of these requests, `PROMPT` ids long, is cached,
so that they cost what the way costs and not the model: time by the clock, and this process's own processor time. Memory
is what each process holds for itself alone (USS) after the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from constrained import nano_windows
from ratios import median, ratio, write_figures

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.engines import Engine, EngineConfig, load_engine
from reasonrank_pyserini.files.hub import SHIPPED
from reasonrank_pyserini.types import Prompt, Sampling

PROMPT, CONTEXT, KEY = 6_000, 8_192, "REASONRANK_SERVER_KEY"
MODEL = str(SHIPPED["nano"])
OVERRIDES = {"max_position_embeddings": CONTEXT}
ARGS: dict[str, Any] = {"kv_cache_memory_bytes": 1 << 29, "max_num_seqs": 32, "hf_overrides": OVERRIDES}
SMALLEST = Sampling(temperature=0.0, max_tokens=1)


@dataclass(slots=True)
class Way:
    """What was measured of one way; seconds."""

    start: float = 0.0
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    seconds: float = 0.0
    answers: list[str] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)


@contextmanager
def child() -> Iterator[str]:
    """The address of a server of nano, once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, "--port", str(port)),
        *("--host", "127.0.0.1", "--served-model-name", MODEL, "--max-model-len", str(CONTEXT)),
        *("--kv-cache-memory-bytes", str(ARGS["kv_cache_memory_bytes"]), "--max-num-seqs", "32"),
        *(
            "--hf-overrides",
            f'{{"max_position_embeddings": {CONTEXT}}}',
            "--enforce-eager",
            "--dtype",
            "float32",
        ),
        *("--scheduling-policy", "priority", "--generation-config", "vllm", "--disable-log-stats"),
    ]
    environment = {**os.environ, "VLLM_API_KEY": os.environ[KEY], "VLLM_NO_USAGE_STATS": "1"}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            while server.poll() is None:
                with suppress(urllib.error.URLError, OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                    break
                time.sleep(0.2)
            else:
                log.seek(0)
                raise RuntimeError(log.read()[-2000:].decode("utf-8", "replace"))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(60)


def prompt(seed: int) -> Prompt:
    chance = random.Random(seed)
    return Prompt(tuple(chance.randrange(10, 2000) for _ in range(PROMPT)))


async def one(engine: Engine, way: Way, asked: Prompt) -> None:
    started, spent = time.perf_counter(), time.process_time()
    await engine.complete(asked, SMALLEST)
    way.wall.append(time.perf_counter() - started)
    way.processor.append(time.process_time() - spent)


def reranked(way: Way, windows: int, **engine: Any) -> None:
    """The windows of nano by one way; its start, without the two windows that warm it up, is `way.start`."""
    started = time.perf_counter()
    with Reranker.from_pretrained(
        MODEL, profile="nano", tokenizer=MODEL, constrained=False, **engine
    ) as reranker:
        list(reranker.rerank_many(nano_windows(2)))
        way.start += time.perf_counter() - started
        started = time.perf_counter()
        for ranking in reranker.rerank_many(nano_windows(windows)):
            completion = ranking.steps[0].verdict.completion
            way.answers.append(completion.text if completion else "")
        way.seconds = time.perf_counter() - started


async def requests(ways: dict[str, tuple[Way, EngineConfig, str]], rounds: int) -> None:
    """Requests whose prefix is cached, in alternating rounds, on both engines at once."""
    async with AsyncExitStack() as stack:
        engines = {}
        for name, (_, config, kind) in ways.items():
            engines[name] = await stack.enter_async_context(load_engine(kind, config))
            for _ in range(3):
                await one(engines[name], Way(), prompt(0))
        for _ in range(rounds):
            for name, (way, _, _) in ways.items():
                await one(engines[name], way, prompt(0))
        ways["in process"][0].memory = memory(lambda line: "vllm.entrypoints" not in line)
        ways["child"][0].memory = memory(lambda line: "vllm.entrypoints" in line)


def memory(mine: Callable[[str], bool]) -> dict[str, int]:
    """MiB that each process of a tree below this one holds for itself alone."""
    import psutil

    found = {"this process": psutil.Process().memory_full_info().uss >> 20}
    for child in psutil.Process().children():
        line = " ".join(child.cmdline())
        for process in (child, *child.children(recursive=True)):
            with suppress(psutil.Error):
                if mine(line) and "resource_tracker" not in " ".join(process.cmdline()):
                    found[f"{process.name()} {process.pid}"] = process.memory_full_info().uss >> 20
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ[KEY] = secrets.token_hex(16)
    inside, served = Way(), Way()
    started = time.perf_counter()
    with child() as url:
        served.start = time.perf_counter() - started
        reranked(served, given.windows, engine="openai", base_url=url, engine_args={"api_key_env": KEY})
        reranked(inside, given.windows, engine="vllm", engine_args=ARGS)
        ways = {
            "in process": (inside, EngineConfig(MODEL, max_model_len=CONTEXT, args=ARGS), "vllm"),
            "child": (served, EngineConfig(MODEL, base_urls=(url,), args={"api_key_env": KEY}), "openai"),
        }
        asyncio.run(requests(ways, given.rounds))
    same = sum(a == b for a, b in zip(inside.answers, served.answers, strict=True))
    figures = {
        "seconds to the second window": {"in process": inside.start, "child": served.start},
        "seconds of a run": {"in process": inside.seconds, "child": served.seconds},
        "answers": {"windows": given.windows, "the same": same},
        "ms a request, in process": median([1000 * seconds for seconds in inside.wall]),
        "ms a request, child": median([1000 * seconds for seconds in served.wall]),
        "ms of this process's processor a request, in process": median([1000 * s for s in inside.processor]),
        "ms of this process's processor a request, child": median([1000 * s for s in served.processor]),
        "request, child divided by in process": ratio(served.wall, inside.wall),
        "processor, child divided by in process": ratio(served.processor, inside.processor),
        "MiB": {"in process": inside.memory, "child": served.memory},
    }
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
