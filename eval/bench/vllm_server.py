"""What a vLLM server costs the process that starts it and asks it: processor time a request, memory, time to start.

    python eval/bench/vllm_server.py [--rounds 20] [--starts 5] [--json FILE]

The vllm engine with a two-layer random-weight model generates 20 tokens after 6,000 prompt ids, all prompts
different, 8 at a time; rounds of 48 requests with the written ids in the answer (`return_token_ids`, as the engine
asks for them) and without take turns. Medians over rounds with 95% intervals: milliseconds of processor time a
request of each process. Then `reasonrank rerank` with the shipped nano is started again and again until its first
window is answered: seconds by the clock and of processor time, and each process's memory (USS) at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kill import of_vllm
from kill_trials import CODE, ENVIRONMENT
from ratios import Interval, median, write_figures
from server_processes import MINE, cpu_seconds, parts, unique_memory

from reasonrank_pyserini.engines import Engine, EngineConfig
from reasonrank_pyserini.engines.vllm.vllm_engine import VLLMEngine
from reasonrank_pyserini.files.hub import SHIPPED
from reasonrank_pyserini.types import Prompt, Sampling

PROMPT, ANSWER, TOGETHER, REQUESTS = 6_000, 20, 8, 48
SMALL = {"kv_cache_memory_bytes": 1 << 27, "max_num_seqs": TOGETHER}
MAKE_MODEL = "import sys, throughput; throughput.make_model(*sys.argv[1:])"
STARTED = 600.0


class Asking(VLLMEngine):
    """The vllm engine; `ids`: whether answers come with their token ids."""

    ids = True

    def _fields(self, sampling: Sampling) -> dict[str, Any]:
        fields = super()._fields(sampling)
        return fields if self.ids else {**fields, "return_token_ids": False}


def prompts(number: int) -> Iterator[Prompt]:
    """Prompts of a round; no two of all rounds begin alike."""
    for place in range(number * REQUESTS, (number + 1) * REQUESTS):
        yield Prompt(tuple(10 + (place * 7 + i * i * 11 + i) % 490 for i in range(PROMPT)))


def spent() -> dict[str, float]:
    """Seconds of processor time so far, by part; of this process more exactly than the system counts."""
    return cpu_seconds(parts()) | {MINE: time.process_time()}


async def asked(engine: Engine, number: int) -> dict[str, float]:
    """Milliseconds of processor time a request, by part."""
    free, sampling, before = asyncio.Semaphore(TOGETHER), Sampling(max_tokens=ANSWER), spent()

    async def ask(prompt: Prompt) -> None:
        async with free:
            done = await engine.complete(prompt, sampling)
            assert done.prompt_tokens == PROMPT

    await asyncio.gather(*(ask(prompt) for prompt in prompts(number)))
    after = spent()
    return {part: 1e3 * (after[part] - before[part]) / REQUESTS for part in after}


async def requests(rounds: int, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Every round of both ways."""
    model = [
        sys.executable,
        "-c",
        MAKE_MODEL,
        str(folder),
        str(SHIPPED["nano"]),
    ]  # torch stays out of this process
    subprocess.run(model, check=True, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
    ways = {"with token ids": True, "without": False}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    config = EngineConfig(str(folder), max_model_len=8192, args=SMALL)
    async with Asking.from_config(config) as engine:
        assert isinstance(engine, Asking)
        await asked(engine, 2 * rounds)
        for number in range(rounds):
            for place, name in enumerate(sorted(ways, reverse=number % 2 == 1)):
                engine.ids = ways[name]
                found[name].append(await asked(engine, 2 * number + place))
    return found


@dataclass(frozen=True, slots=True)
class Start:
    """A command when its first window was answered; processor time in seconds and memory in bytes, by part."""

    clock: float
    cpu: Mapping[str, float]
    memory: Mapping[str, float]


def started(command: list[str], folder: Path) -> Start:
    """Start the command and end it once a window is traced in its folder."""
    begin, trace = time.perf_counter(), folder / "trace.jsonl.part"
    with open(folder.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **ENVIRONMENT})
    while not (trace.exists() and trace.stat().st_size):
        if process.poll() is not None or time.perf_counter() - begin > STARTED:
            raise RuntimeError(f"no window was answered; see {log.name}")
        time.sleep(0.01)
    clock, found = time.perf_counter() - begin, parts(process.pid)
    measured = Start(clock, cpu_seconds(found), unique_memory(found))
    process.terminate()
    process.wait()
    return measured


def starts(count: int, folder: Path) -> list[Start]:
    command = [sys.executable, "-c", CODE, "rerank", *of_vllm(folder, 240), "-o"]
    return [started([*command, str(folder / f"run-{n}")], folder / f"run-{n}") for n in range(count)]


def by_part(rows: Sequence[Mapping[str, float]], scale: float = 1.0) -> dict[str, Interval]:
    return {part: median([scale * row[part] for row in rows]) for part in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, Any] = {}

    def show(title: str, row: dict[str, Interval]) -> None:
        figures[title] = row
        print(f"{title:<38} " + "  ".join(f"{part} {value}" for part, value in row.items()), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        if given.rounds:
            for way, rows in asyncio.run(requests(given.rounds, Path(folder) / "model")).items():
                show(f"ms of CPU a request, {way}", by_part(rows))
        if given.starts:
            found = starts(given.starts, Path(folder))
            clock, cpu = [one.clock for one in found], [sum(one.cpu.values()) for one in found]
            show("seconds to the first window", {"clock": median(clock), "CPU of all": median(cpu)})
            show("CPU seconds by then", by_part([one.cpu for one in found]))
            show("memory by then, MiB", by_part([one.memory for one in found], 1 / 2**20))
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
