"""Seconds that one query takes on one modelled GPU, alone and among eight; nothing is measured.

    python eval/bench/latency.py [--json FILE]

ReasonRank-7B on every GPU class of `costmodel` that holds it: 1 window (20 candidates), 3 in a row (40) and 9 in a
row (100), each of 5,687 tokens in and 750 out, through the real Reranker and gate on `simulated_gpu`. Building
prompts, the network and reading the answer are not in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gpu_model import DOCUMENTS, Bench
from ratios import write_figures
from simulated_gpu import Speed

from reasonrank_pyserini import Query, SlidingWindow
from reasonrank_pyserini.models.cost import GPUS, WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS, Gpu
from reasonrank_pyserini.models.profiles import shipped_profile

CANDIDATES, TOGETHER = (20, 40, 100), (1, 8)


def latency(speed: Speed, candidates: int, together: int) -> float:
    """Mean seconds of `together` queries that arrive at the same moment."""
    windows = SlidingWindow().calls(candidates)
    lengths = {str(number): [WINDOW_NEW_TOKENS] * windows for number in range(together)}
    queries = [(Query(name, "0"), DOCUMENTS[:candidates]) for name in lengths]
    ends = Bench(speed, lengths).ends(1, [queries])
    return sum(ends) / len(ends)


def row(gpu: Gpu, speed: Speed) -> dict[str, str | float]:
    cells = {f"top {n} x{m}": latency(speed, n, m) for m in TOGETHER for n in CANDIDATES}
    return {"gpu": gpu.name, **cells}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    profile = shipped_profile("reasonrank-7b")
    speeds = {name: Speed.of(profile, gpu) for name, gpu in GPUS.items()}
    fitting = [name for name in GPUS if speeds[name].room >= WINDOW_PROMPT_TOKENS + WINDOW_NEW_TOKENS]
    rows = [row(GPUS[name], speeds[name]) for name in fitting]
    print("modelled seconds of a query, x8: mean of eight asked at once")
    print(f"{'gpu':<12}" + "".join(f"{name:>13}" for name in rows[0] if name != "gpu"))
    for each in rows:
        values = "".join(f"{value:>13.1f}" for value in each.values() if not isinstance(value, str))
        print(f"{each['gpu']:<12}{values}")
    write_figures(flags.json, rows)


if __name__ == "__main__":
    main()
