"""What the one process that drives many servers costs, and where it ends: processor time measured, GPUs modelled.

    python eval/bench/driver.py REQUESTS.jsonl TOKENIZER [--servers 1 8 64] [--rounds 5] [--json FILE]

Measured: windows of 20 passages of about 285 tokens (the texts of REQUESTS joined, TOKENIZER's tokens) through the
real Reranker, prompts, gate, HTTP engine, journal and trace, against servers of this machine that answer with 750
tokens in 24 parts, as vLLM sends them, prompt ids included. Milliseconds of processor time a window of the driver's
process, its threads included; of building the same prompts again without a cache; and of the HTTP engine alone with
requests of 5,687 ids, by the number of servers; medians over rounds with 95% intervals. Then for N modelled H200s,
one server each, all of BRIGHT as in `gpu_model.py`: seconds, windows a second, and the cores that the driver needs.
All but the tokenizer's own work is done by one thread at a time, so a driver ends at little more than one core. The
last line is for a collection that keeps every GPU full.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpu_model import SETS, WINDOWS, Bench, distributions
from ratios import Interval, median, requests_of, write_figures
from simulated_gpu import Speed

from reasonrank_pyserini import Document, Query, Reranker
from reasonrank_pyserini.engines import EngineConfig
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.journal import Journal, Recorded
from reasonrank_pyserini.engines.openai.http_engine import OpenAIEngine
from reasonrank_pyserini.engines.servers import FixedServers, OwnServers
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.models.cost import GPUS, WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS
from reasonrank_pyserini.models.identity import load_tokenizer
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.types import Prompt, Sampling

PART, PAUSE, TOGETHER = 32, 0.01, 128
"""Tokens in one part of an answer, seconds between two parts, and requests that the HTTP engine alone has under way."""
CHARACTERS, CONTEXT = 1_100, 32_768
PARTS = ("driver", "prompts", "http")
SAMPLING = Sampling(max_tokens=3_172)
QUERIES = sum(SETS.values())
TEXT = "because of this, and of that too, " * 90 + "</think><answer>"
ANSWER = TEXT + " > ".join(f"[{number}]" for number in range(20, 0, -1)) + "</answer>"


def events() -> Iterator[bytes]:
    """An answer as vLLM streams it with `return_token_ids`."""
    count = -(-WINDOW_NEW_TOKENS // PART)
    size = -(-len(ANSWER) // count)
    for number in range(count):
        text, last = ANSWER[number * size : (number + 1) * size], number == count - 1
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": "stop" if last else None}
        choice |= {"logprobs": None, "token_ids": list(range(1_000, 1_000 + PART))}
        choice["prompt_token_ids"] = None if number else [150_000] * WINDOW_PROMPT_TOKENS
        yield b"data: %s\n\n" % json.dumps({"id": "cmpl-1", "choices": [choice], "usage": None}).encode()
    usage = {"prompt_tokens": 2 * WINDOW_PROMPT_TOKENS, "completion_tokens": WINDOW_NEW_TOKENS}  # none is cut
    yield b"data: %s\n\ndata: [DONE]\n\n" % json.dumps({"choices": [], "usage": usage}).encode()


async def serve(count: int) -> None:
    """That many servers in this process; prints their ports."""
    body = list(events())
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(
        b"".join(body)
    )

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if asked.startswith("get "):
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    continue
                await reader.readexactly(int(asked.split("content-length: ")[1].split("\r\n")[0]))
                writer.write(head)
                for part in body:
                    await asyncio.sleep(PAUSE)
                    writer.write(part)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listening = [
        await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024, limit=1 << 20)
        for _ in range(count)
    ]
    print(json.dumps([one.sockets[0].getsockname()[1] for one in listening]), flush=True)
    await asyncio.gather(*(one.serve_forever() for one in listening))


@contextmanager
def servers(count: int) -> Iterator[tuple[str, ...]]:
    """The base URLs of `count` servers."""
    command = [sys.executable, __file__, "--serve", str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield tuple(f"http://127.0.0.1:{port}/v1" for port in json.loads(process.stdout.readline()))
        finally:
            process.kill()


def http_engine(urls: Sequence[str]) -> ThrottledEngine:
    """As the vllm engine makes it for the servers that it has started."""

    def fields(sampling: Sampling) -> Mapping[str, Any]:
        return {"priority": 0, "return_token_ids": True, "spaces_between_special_tokens": False}

    config, own = EngineConfig("model"), OwnServers("key", TOGETHER, fields)
    return ThrottledEngine(OpenAIEngine.of_own_servers(config, FixedServers(tuple(urls)), own))


async def http_alone(urls: Sequence[str]) -> float:
    """Milliseconds of processor time a request."""
    prompts = [Prompt(tuple([100_000 + number] * WINDOW_PROMPT_TOKENS)) for number in range(QUERIES)]
    async with http_engine(urls) as engine:
        await engine.complete(prompts[0], SAMPLING)
        before = time.process_time()
        free = asyncio.Semaphore(TOGETHER)

        async def ask(prompt: Prompt) -> None:
            async with free:
                await engine.complete(prompt, SAMPLING)

        await asyncio.gather(*map(ask, prompts))
        return 1e3 * (time.process_time() - before) / QUERIES


def requests(path: Path) -> list[tuple[Query, list[Document]]]:
    """Queries with 100 passages each, made of the texts in the file, none used twice."""
    texts = list(dict.fromkeys(text for one in requests_of(path) for _, text, _ in one["candidates"]))
    joined, part = [], ""
    for text in texts:
        part += text + " "
        if len(part) >= CHARACTERS:
            joined.append(part[: CHARACTERS + 200])
            part = ""
    passages = [Document(str(number), text) for number, text in enumerate(joined)]
    return [
        (Query(str(start), passages[start].text[:200]), passages[start : start + 100])
        for start in range(0, len(passages) - 99, 100)
    ]


def whole_driver(urls: Sequence[str], tokenizer: Any, given: Sequence[Any]) -> dict[str, float]:
    """Milliseconds of processor time a window: all of the driver, and its prompts; the mean length of a prompt."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "out"
        builder = PromptBuilder("reasonrank", tokenizer, context=CONTEXT)
        engine = Recorded(http_engine(urls), Journal(folder / "journal"))
        judge = LLMJudge(builder, engine, SAMPLING)
        with (
            RunFolder(folder, {}) as results,
            Reranker(judge, engine=engine, observe=results.trace) as reranker,
        ):
            before = time.process_time()
            rankings = list(reranker.rerank_many(given))
            spent = time.process_time() - before
    shown = [(one.query, step.window) for one in rankings for step in one.steps]
    prompts, tokens = prompts_alone(tokenizer, shown, {one.id: one for _, found in given for one in found})
    return {"driver": 1e3 * spent / len(shown), "prompts": prompts, "tokens": tokens, "windows": len(shown)}


def prompts_alone(
    tokenizer: Any, shown: Sequence[tuple[Query, Sequence[str]]], texts: Mapping[str, Document]
) -> tuple[float, float]:
    """Milliseconds of processor time for the prompt of a window, built again without a cache, and its mean length."""
    builder = PromptBuilder("reasonrank", tokenizer, context=CONTEXT)
    before = time.process_time()
    built = [builder.build(q.text, [texts[id] for id in window], answer_tokens=1) for q, window in shown]
    spent = time.process_time() - before
    return 1e3 * spent / len(shown), sum(one.tokens for one in built) / len(shown)


def measured(path: Path, tokenizer: Any, counts: Sequence[int], rounds: int) -> dict[int, dict[str, Any]]:
    given = requests(path)
    rows: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for number in range(-1, rounds):
        for count in counts:
            with servers(count) as urls:
                row = whole_driver(urls, tokenizer, given) | {"http": asyncio.run(http_alone(urls))}
            if number >= 0:
                rows[count].append(row)
    found: dict[int, dict[str, Any]] = {}
    for count, each in rows.items():
        found[count] = {name: median([row[name] for row in each]) for name in PARTS}
        found[count] |= {"tokens": each[0]["tokens"], "windows": each[0]["windows"]}
        figures = ", ".join(f"{name} {found[count][name]}" for name in PARTS)
        about = f"{each[0]['windows']} windows of {each[0]['tokens']:,.0f} tokens"
        print(f"{count:>3} servers, ms of CPU a window: {figures} ({about})", flush=True)
    return found


def modelled(cost: float, gpus: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each number of GPUs with all of BRIGHT, and what a full GPU asks of the driver."""
    speed = Speed.of(shipped_profile("reasonrank-7b"), GPUS["h200"])
    drawn = {name: each for name, each in distributions().items() if name != "mixed"}
    rows: list[dict[str, Any]] = []
    print(f"{'GPUs':>4}  " + "  ".join(f"{name + ': s':>14} {'windows/s':>9} {'cores':>6}" for name in drawn))
    for count in gpus:
        row: dict[str, Any] = {"gpus": count}
        for name, lengths in drawn.items():
            seconds = Bench(speed, lengths).seconds(count, [Bench(speed, lengths).queries()])
            rate = QUERIES * WINDOWS / seconds
            row[name] = {"seconds": seconds, "windows_per_second": rate, "driver_cores": cost / 1e3 * rate}
        rows.append(row)
        cells = [row[name].values() for name in drawn]
        print(f"{count:>4}  " + "  ".join(f"{s:>14.0f} {r:>9.1f} {c:>6.2f}" for s, r, c in cells), flush=True)
    full = rows[0]["constant"]["windows_per_second"] / gpus[0]
    print(
        f"a full GPU: {full:.2f} windows/s; one driver is full at {1e3 / cost / full:.0f} GPUs that are full"
    )
    return rows


def largest(found: Mapping[int, Mapping[str, Any]]) -> float:
    """The most that a window costs, over the numbers of servers."""
    values: list[Interval] = [row["driver"] for row in found.values()]
    return max(one.value for one in values)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("requests", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measured(given.requests, load_tokenizer(given.tokenizer), given.servers, given.rounds)
    rows = modelled(largest(found), given.gpus)
    write_figures(given.json, {"measured": found, "modelled": rows})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2])))
    main()
