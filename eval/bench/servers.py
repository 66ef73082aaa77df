"""Several servers behind the openai engine: two against one, and three of which one is killed half way.

    python eval/bench/servers.py [--windows 96] [--rounds 6] [--seconds 0.8] [--slots 8] [--json FILE]

Every server is a process that works on `--slots` requests at once and takes `--seconds` for each, so that what
is measured is the client: two servers should answer twice as much. Rounds alternate between one and two servers;
the interval is a bootstrap over rounds. Then a third server joins and is killed (SIGKILL) once half of the
windows are answered: the time against the least possible one, and how many requests had to be sent again. Prompts
are `PROMPT` token ids long, as windows of 20 passages are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ratios import write_figures

from reasonrank_pyserini.engines import EngineConfig, load_engine
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.evaluation.statistics import Interval, bootstrap_mean
from reasonrank_pyserini.models.cost import WINDOW_PROMPT_TOKENS as PROMPT
from reasonrank_pyserini.types import Prompt, Sampling

NUMBERS = {"windows": 96, "rounds": 6, "seconds": 0.8, "slots": 8}
SAMPLING = Sampling(max_tokens=750)
CHUNK = {"choices": [{"index": 0, "text": "<answer> [1] </answer>", "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": PROMPT, "completion_tokens": SAMPLING.max_tokens}}
BODY = f"data: {json.dumps(CHUNK)}\n\ndata: {json.dumps(USAGE)}\n\ndata: [DONE]\n\n".encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(BODY)
NO_PAGE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


async def serve(seconds: float, slots: int) -> None:
    """A server of fixed speed; prints its port."""
    free = asyncio.Semaphore(slots)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if head.startswith("get "):
                    writer.write(NO_PAGE)
                    continue
                await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
                async with free:
                    await asyncio.sleep(seconds)
                writer.write(HEAD + BODY)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


@dataclass(frozen=True)
class ServerProcess:
    process: subprocess.Popen[str]
    url: str

    @classmethod
    def start(cls, stack: ExitStack, seconds: float, slots: int) -> ServerProcess:
        command = [sys.executable, __file__, "--serve", str(seconds), str(slots)]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        assert process.stdout is not None
        return cls(process, f"http://127.0.0.1:{int(process.stdout.readline())}/v1")


@dataclass(frozen=True)
class Outcome:
    """One pass over the windows: seconds, and by server the requests sent and answered."""

    seconds: float
    requests: tuple[int, ...]
    answers: tuple[int, ...]


async def work(urls: list[str], windows: int, flying: int, kill: Callable[[], None] | None = None) -> Outcome:
    """Asks every window once; `kill` is called when half of them are answered."""
    config = EngineConfig("fixed", base_urls=tuple(urls), args={"concurrency": flying})
    async with load_engine("openai", config) as inner:
        engine, done = ThrottledEngine(inner), 0
        await engine.complete(Prompt(token_ids=(1,)), SAMPLING)  # connected, everything imported

        async def ask(number: int) -> None:
            nonlocal done
            await engine.complete(Prompt(token_ids=(number,) * PROMPT), SAMPLING)
            done += 1
            if kill is not None and done == windows // 2:
                kill()

        before = _told(inner)
        start = time.perf_counter()
        await asyncio.gather(*(ask(number) for number in range(windows)))
        seconds = time.perf_counter() - start
        assert done == windows
        counts = [
            tuple(now[key] - then[key] for now, then in zip(_told(inner), before, strict=True))
            for key in ("requests", "answers")
        ]
        return Outcome(seconds, *counts)


def _told(engine: Any) -> list[dict[str, int]]:
    servers: list[dict[str, int]] = engine.details["servers"]
    return servers


def main(arguments: argparse.Namespace) -> None:
    windows, rounds, seconds, slots = (getattr(arguments, name) for name in NUMBERS)
    with ExitStack() as stack:
        servers = [ServerProcess.start(stack, seconds, slots) for _ in range(3)]
        urls = [server.url for server in servers]
        flying = 6 * slots  # enough for three servers to be full and have as many waiting
        ones, twos = [], []
        for _ in range(rounds):
            ones.append(asyncio.run(work(urls[:1], windows, flying)).seconds)
            twos.append(asyncio.run(work(urls[:2], windows, flying)).seconds)
        ratio = bootstrap_mean([one / two for one, two in zip(ones, twos, strict=True)])
        killed = asyncio.run(work(urls, windows, flying, servers[2].process.kill))
    rate = slots / seconds
    least = windows / 2 / (3 * rate) + windows / 2 / (2 * rate)
    print(
        f"{windows} windows of {PROMPT:,} ids, {slots} at once a server, {seconds:g} s each, {rounds} rounds"
    )
    row("one server", sum(ones) / rounds, windows / rate)
    row("two servers", sum(twos) / rounds, windows / (2 * rate))
    print(f"throughput of two over one: {shown(ratio)}")
    row("three, one killed", killed.seconds, least)
    repeated = sum(killed.requests) - windows
    print(f"answers by server {killed.answers}, together {sum(killed.answers)}; sent again: {repeated}")
    if arguments.json:
        figures = {"ratio": asdict(ratio), "one": ones, "two": twos, "killed": asdict(killed)}
        figures |= {"least": least, "repeated": repeated, "arguments": vars(arguments) | {"json": None}}
        write_figures(arguments.json, figures)


def row(name: str, seconds: float, least: float) -> None:
    print(f"{name:<18} {seconds:>7.2f} s   least possible {least:>6.2f} s   ({seconds / least:.2f} times)")


def shown(interval: Interval) -> str:
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(float(sys.argv[2]), int(sys.argv[3])))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in NUMBERS.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--json", type=Path)
    main(parser.parse_args())
