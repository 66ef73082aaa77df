"""The event loop's freedom while a collection is reranked: how long any piece of work keeps it, how late it wakes.

    python eval/bench/loop.py REQUESTS.jsonl TOKENIZER [--requests 64] [--delay 0.02] [--json FILE]

Everything runs but a model: prompts, gate, journal, trace, a scripted engine that answers after --delay seconds.
The longest block is CPU time of the loop's thread in one callback (what another process takes from the machine
does not count); the lag is how much later than asked a heartbeat of 1 ms wakes, other processes included.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ratios import write_figures

from reasonrank_pyserini import Reranker
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.engines.journal import Journal, Recorded
from reasonrank_pyserini.engines.scripted import ScriptedEngine
from reasonrank_pyserini.files.requests import read_requests
from reasonrank_pyserini.jobs.run_folder import RunFolder
from reasonrank_pyserini.prompts import PromptBuilder
from reasonrank_pyserini.ranking.listwise_judge import LLMJudge
from reasonrank_pyserini.types import Prompt, Sampling

BEAT = 0.001
SAMPLING = Sampling(max_tokens=3_172, reasoning_tokens=3_072)


def answer(prompt: Prompt, sampling: Sampling) -> str:
    """A reasoned answer of about 750 tokens over 20 passages, different for every prompt."""
    chance = random.Random(sum(prompt.token_ids or ()))
    order = chance.sample(range(1, 21), 20)
    return f"<think>{'because of this and that ' * 125}</think><answer>{' > '.join(f'[{i}]' for i in order)}</answer>"


@contextmanager
def timed_callbacks(thread: threading.Thread) -> Iterator[list[tuple[float, str]]]:
    """CPU milliseconds of every callback that runs in the thread's loop, with what ran."""
    found: list[tuple[float, str]] = []
    original = asyncio.Handle._run

    def run(self: asyncio.Handle) -> None:
        before = time.thread_time()
        original(self)
        spent = 1e3 * (time.thread_time() - before)
        if threading.current_thread() is thread:
            found.append((spent, repr(self)[:300] if spent > 3 else ""))

    asyncio.Handle._run = run  # type: ignore[method-assign]
    try:
        yield found
    finally:
        asyncio.Handle._run = original  # type: ignore[method-assign]


async def heartbeat(lags: list[float]) -> None:
    while True:
        asked = time.perf_counter() + BEAT
        await asyncio.sleep(BEAT)
        lags.append(1e3 * (time.perf_counter() - asked))


def percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in at.items()}
    return {**found, "max": ordered[-1]}


def measure(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from transformers import AutoTokenizer

    builder = PromptBuilder("reasonrank", AutoTokenizer.from_pretrained(given.tokenizer), context=32768)
    scripted = ScriptedEngine(answer, requests=given.requests, delay=given.delay)
    engine = Recorded(ThrottledEngine(scripted), Journal(folder / "journal"))
    judge = LLMJudge(builder, engine, SAMPLING)
    requests = [(request.query, request.candidates) for request in read_requests(given.collection)]
    lags: list[float] = []
    with (
        RunFolder(folder, {}) as results,
        Reranker(judge, engine=engine, observe=results.trace) as reranker,
        timed_callbacks(reranker.background.thread) as callbacks,
    ):
        beating = asyncio.run_coroutine_threadsafe(heartbeat(lags), reranker.background.loop)
        gc.freeze()  # a program's own choice: one collection over all loaded objects takes about 250 ms
        begin = time.perf_counter()
        for _ in reranker.rerank_many(requests):
            pass
        seconds = time.perf_counter() - begin
        beating.cancel()
    worst = sorted(callbacks, reverse=True)[:5]
    return {
        "windows": scripted.calls,
        "seconds": seconds,
        "most_in_flight": scripted.most_in_flight,
        "block_ms": percentiles([spent for spent, _ in callbacks]),
        "loop_cpu_ms_per_window": sum(spent for spent, _ in callbacks) / scripted.calls,
        "lag_ms": percentiles(lags),
        "worst": worst,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--requests", type=int, default=64, help="the engine's limit")
    parser.add_argument("--delay", type=float, default=0.02)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(given, Path(folder) / "out")
    print(
        f"{figures['windows']} windows in {figures['seconds']:.1f} s, {figures['most_in_flight']} at once at most"
    )
    print(f"{'ms':<28} {'p50':>8} {'p99':>8} {'p99.9':>8} {'max':>8}")
    for label, name in (("one callback, CPU", "block_ms"), ("heartbeat's lag, clock", "lag_ms")):
        print(f"{label:<28} " + " ".join(f"{value:>8.3f}" for value in figures[name].values()))
    print(f"the loop's CPU: {figures['loop_cpu_ms_per_window']:.3f} ms a window")
    for spent, what in figures["worst"]:
        print(f"  {spent:.2f} ms {what}")
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
