"""Throughput of two replicas of a model over one, on the processor cores of this machine.

    python eval/bench/replicas.py [--rounds 8] [--windows 96] [--json FILE]

The vllm engine with the shipped nano, three ways: one server as the engine starts it (vLLM then leaves a core to the
API server, so on two cores its model has one), one server whose model has all cores, and two servers with half of the
cores each. All four servers stay up, and rounds of the same windows take turns; after a pass that does not count, all
prompts are in the prefix caches. Throughput of two replicas over one with 95% intervals over rounds: by the clock,
and by processor time of the servers (1: the split neither gains nor loses work). The runs are compared byte by byte.

What two processors of one machine can show: that the windows are divided, that the answers are the same, and what the
driver takes from the servers, which share the cores with it and with their API servers. If they are the hyperthreads
of one core, they also share its arithmetic units. What a second GPU gives, which shares none of that, they cannot show.
Run it on a machine that does nothing else: the model's threads wait for one another at every layer, so anything else
that runs makes the server with all cores look slow.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from constrained import SMALL, Window, nano_windows
from ratios import ratio, write_figures
from server_processes import cpu_seconds, of_servers, parts

from reasonrank_pyserini import Reranker, write_run
from reasonrank_pyserini.engines import engine_details
from reasonrank_pyserini.types import Ranking

BIND = "VLLM_CPU_OMP_THREADS_BIND"


ONE, ALL, TWO = "one", "one, all cores", "two"


def servers_of(way: str) -> Reranker:
    """The engine with its servers, all of them ready."""
    replicas = 2 if way == TWO else 1
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    with patch.dict(os.environ, {BIND: cores} if way == ALL else {}):
        reranker = Reranker.from_pretrained(
            "nano", engine="vllm", profile="nano", replicas=replicas, engine_args=SMALL
        )
    while len(_servers(reranker)) < replicas:
        time.sleep(0.5)
    return reranker


def _servers(reranker: Reranker) -> list[dict[str, Any]]:
    assert reranker.engine is not None
    servers: list[dict[str, Any]] = engine_details(reranker.engine)["servers"]
    return servers


def run_of(rankings: list[Ranking], folder: Path) -> bytes:
    """The bytes of the run file of these rankings."""
    orders = {one.query.id: list(one.ids) for one in rankings}
    write_run(folder / "run.trec", dict(sorted(orders.items())), "reasonrank")
    return (folder / "run.trec").read_bytes()


def measure(rounds: int, windows: list[Window]) -> dict[str, list[dict[str, Any]]]:
    """By way, the seconds of every round and its run."""
    found: dict[str, list[dict[str, Any]]] = {ONE: [], ALL: [], TWO: []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rerankers = {way: stack.enter_context(servers_of(way)) for way in found}
        for number in range(-1, rounds):
            for way in sorted(found, reverse=number % 2 == 1):
                begin, before = time.perf_counter(), of_servers(cpu_seconds(parts()))
                rankings = list(rerankers[way].rerank_many(windows))
                clock = time.perf_counter() - begin
                processor = of_servers(cpu_seconds(parts())) - before
                if number >= 0:
                    run = run_of(rankings, folder).decode()
                    found[way].append({"clock": clock, "processor": processor, "run": run})
        shares = [one["answers"] for one in _servers(rerankers[TWO])]
    print(f"answers of the two replicas: {shares}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--windows", type=int, default=96)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    windows = list(nano_windows(given.windows))
    found = measure(given.rounds, windows)
    figures: dict[str, Any] = {"windows": len(windows), "rounds": given.rounds}
    for kind in ("clock", "processor"):
        seconds = {way: [row[kind] for row in rows] for way, rows in found.items()}
        for way in (ONE, ALL):
            figures[f"throughput of two over {way}, {kind}"] = ratio(seconds[way], seconds[TWO])
        figures[f"windows a second, {kind}"] = {
            way: round(len(windows) * len(each) / sum(each), 2) for way, each in seconds.items()
        }
    runs = Counter(row["run"] for rows in found.values() for row in rows)
    figures["run files that differ"] = len(runs) - 1
    for name, value in figures.items():
        print(f"{name:<48} {value}")
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
