"""`reasonrank serve` under load: latency, errors and memory by number of callers, with nano and with an instant engine.

    python eval/bench/serve_load.py [--seconds 60] [--callers 1 8 32] [--documents 20] [--json FILE]

Each caller sends its next request when the last one is answered: a query of the nano world with passages drawn from it,
so that no request is repeated. With the instant engine (`instant_engine.py`) the same requests are also ranked by the
library in this process: the difference is what HTTP and the server add. Memory is that of the server process (USS),
after the first request and at the end. Callers, server and model share the machine. The last lines are the rows of
README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx  # noqa: E402
import psutil  # noqa: E402
from ratios import write_figures  # noqa: E402
from serve_kit import serve_command  # noqa: E402

from reasonrank_pyserini import Reranker, load_dataset  # noqa: E402

INSTANT = ("--engine", "instant_engine:Instant")
PYTHONPATH = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Load:
    """What a number of callers saw: seconds at the percentiles, answers by status (0: no answer), MiB of the server."""

    engine: str
    callers: int
    p50: float
    p95: float
    p99: float
    per_second: float
    statuses: dict[int, int]
    cut_short: int
    memory_start: float
    memory_end: float

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)


@cache
def nano_world() -> tuple[list[str], list[str]]:
    """Its queries and passages."""
    dataset = load_dataset("nano/test")
    return [query.text for query in dataset.queries()], [document.text for document in dataset.documents]


def bodies(documents: int, seed: int) -> Iterator[dict[str, Any]]:
    """Requests without end, no two alike."""
    queries, texts = nano_world()
    chance = random.Random(seed)
    while True:
        yield {"query": chance.choice(queries), "documents": chance.sample(texts, documents)}


def percentile(values: Sequence[float], percent: int) -> float:
    return (
        statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
    )


async def load(
    url: str, callers: int, seconds: float, documents: int
) -> tuple[list[float], Counter[int], int]:
    """Seconds of every answer, statuses, and how many answers were cut short."""
    took: list[float] = []
    statuses: Counter[int] = Counter()
    cut_short = 0
    end = time.monotonic() + seconds

    async def caller(number: int) -> None:
        nonlocal cut_short
        async with httpx.AsyncClient(base_url=url, timeout=300) as client:
            for body in bodies(documents, number):
                begin = time.monotonic()
                if begin >= end:
                    return
                try:
                    reply = await client.post("/v2/rerank", json=body)
                except httpx.HTTPError:
                    statuses[0] += 1
                    continue
                statuses[reply.status_code] += 1
                if reply.status_code == 200:
                    took.append(time.monotonic() - begin)
                    cut_short += reply.json()["meta"]["cut_short"]

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return took, statuses, cut_short


def measure(engine: str, options: Sequence[str], given: argparse.Namespace) -> list[Load]:
    """One server for each number of callers, so that its memory is its own."""
    rows = []
    for callers in given.callers:
        with serve_command("--model", "nano", *options, environment={"PYTHONPATH": PYTHONPATH}) as server:
            httpx.post(f"{server.url}/v2/rerank", json=next(bodies(given.documents, -1)), timeout=300)
            process = psutil.Process(server.process.pid)
            start, begin = process.memory_full_info().uss, time.monotonic()
            took, statuses, cut_short = asyncio.run(load(server.url, callers, given.seconds, given.documents))
            lasted = time.monotonic() - begin
            rows.append(
                Load(
                    engine, callers, percentile(took, 50), percentile(took, 95), percentile(took, 99),
                    len(took) / lasted, dict(statuses), cut_short, start / MIB, process.memory_full_info().uss / MIB,
                )
            )  # fmt: skip
            print(shown(rows[-1]), flush=True)
    return rows


def in_process(seconds: float, documents: int) -> float:
    """The median of the library's own seconds for the same requests with the instant engine, one after the other."""
    took = list[float]()
    with Reranker.from_pretrained("nano", engine=INSTANT[1], depth=20) as reranker:
        end = time.monotonic() + seconds
        for body in bodies(documents, 0):
            begin = time.monotonic()
            if begin >= end:
                return statistics.median(took)
            reranker.rerank(body["query"], body["documents"])
            took.append(time.monotonic() - begin)
    raise AssertionError


def shown(row: Load) -> str:
    times = " ".join(
        f"{name} {value * 1000:.4g} ms"
        for name, value in (("p50", row.p50), ("p95", row.p95), ("p99", row.p99))
    )
    return (
        f"{row.engine}, callers {row.callers}: {times}, {row.per_second:.3g} requests/s, errors {row.errors} "
        f"{row.statuses}, cut short {row.cut_short}, {row.memory_start:.0f} to {row.memory_end:.0f} MiB"
    )


def table(rows: Sequence[Load], library: float, given: argparse.Namespace) -> Iterator[str]:
    """The rows of README.md."""
    command = "| stated | `serve_load.py` |"
    for engine, unit, scale in (("nano", "s", 1.0), ("instant", "ms", 1000.0)):
        of = [row for row in rows if row.engine == engine]
        callers = ", ".join(str(row.callers) for row in of)
        times = "; ".join(
            f"{row.p50 * scale:.3g}, {row.p95 * scale:.3g}, {row.p99 * scale:.3g}" for row in of
        )
        yield (
            f"| `reasonrank serve`, {engine}, {given.documents} documents, {given.seconds:g} s with {callers} callers: "
            f"p50, p95, p99 in {unit} | {times} {command}"
        )
        yield (
            f"| the same: requests/s; requests that failed; MiB (USS) at start and end | "
            f"{', '.join(f'{row.per_second:.3g}' for row in of)}; {', '.join(str(row.errors) for row in of)}; "
            f"{', '.join(f'{row.memory_start:.0f} to {row.memory_end:.0f}' for row in of)} {command}"
        )
    one = min((row for row in rows if row.engine == "instant"), key=lambda row: row.callers)
    yield (
        f"| p50 of an instant engine over HTTP, one caller; the library's own part of it; the rest, ms | "
        f"{one.p50 * 1000:.3g}; {library * 1000:.3g}; {(one.p50 - library) * 1000:.3g} "
        "| 5 to 7 in a prototype | `serve_load.py` |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}")
    rows = [*measure("nano", (), given), *measure("instant", INSTANT, given)]
    library = in_process(min(given.seconds, 10), given.documents)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}\n")
    print("\n".join(table(rows, library, given)))
    if given.json:
        write_figures(given.json, {"loads": [asdict(row) for row in rows], "library_seconds": library})


if __name__ == "__main__":
    main()
