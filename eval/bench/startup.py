"""How long a command takes to start: `reasonrank --help`, the import, Python alone, and RankLLM's imports.

    python eval/bench/startup.py [--rounds 15] [--rankllm-python VENV/bin/python] [--json FILE]

Rounds alternate between the rows; medians with 95% bootstrap intervals, by the clock and of CPU time, and what is
above Python alone.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratios import ROOT, median, write_figures

PYTHON = "python -c pass"


def rows(rankllm_python: str | None) -> dict[str, list[str]]:
    """The commands by label."""
    found = {
        PYTHON: [sys.executable, "-c", "pass"],
        "import reasonrank_pyserini": [sys.executable, "-c", "import reasonrank_pyserini"],
        "reasonrank --help": [
            sys.executable,
            "-c",
            "from reasonrank_pyserini.cli import main; main()",
            "--help",
        ],
    }
    if rankllm_python is not None:
        found["import rank_llm.data"] = [rankllm_python, "-c", "import rank_llm.data"]
        found["import rank_llm.rerank.listwise"] = [rankllm_python, "-c", "import rank_llm.rerank.listwise"]
    return found


@dataclass(frozen=True, slots=True)
class Start:
    """Milliseconds of one start."""

    clock: float
    cpu: float


def started(command: list[str]) -> Start:
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Start(1e3 * (end - begin), 1e3 * cpu)


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, list[Start]]:
    """Every start of every row; the first of each is thrown away."""
    found: dict[str, list[Start]] = {label: [] for label in commands}
    for _ in range(rounds + 1):
        for label, command in commands.items():
            found[label].append(started(command))
    return {label: starts[1:] for label, starts in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rankllm-python")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    times = measure(rows(given.rankllm_python), given.rounds)
    figures: dict[str, Any] = {}
    print(f"{'ms, median (95% interval)':<30} {'clock':>24} {'CPU':>24} {'CPU above Python alone':>24}")
    for label, starts in times.items():
        above = median([start.cpu - bare.cpu for start, bare in zip(starts, times[PYTHON], strict=True)])
        clock, cpu = median([start.clock for start in starts]), median([start.cpu for start in starts])
        figures[label] = {"clock_ms": clock, "cpu_ms": cpu, "cpu_above_python_ms": above}
        print(f"{label:<30} {clock!s:>24} {cpu!s:>24} {above!s:>24}")
    write_figures(given.json, figures)


if __name__ == "__main__":
    main()
