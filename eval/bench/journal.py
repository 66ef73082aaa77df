"""What recording a completion costs the event loop, in microseconds, and reading a journal back.

    python eval/bench/journal.py [--records 5000] [--folder DIR on the disk to measure] [--json FILE]

Answers of 3,300 characters (750 tokens, as on BRIGHT's economics). `put` and `put in a worker thread` take turns,
so they meet the same disk and the same neighbours; of their ratio there is a 95% interval over batches of 100.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from ratios import Interval, ratio, write_figures

from reasonrank_pyserini.engines.journal import Journal
from reasonrank_pyserini.types import Completion

SAID = Completion("The query describes lamps. [1] fits, others differ. \N{EM DASH} " * 58, 5687, 750)
BATCH = 100


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


async def put_both_ways(journal: Journal, records: int) -> tuple[list[float], list[float]]:
    """Seconds of every put, made alternately in the loop and in a worker thread."""
    inside, thread = list[float](), list[float]()
    for number in range(records):
        name = key(number)
        begin = time.perf_counter()
        if number // BATCH % 2:
            await asyncio.to_thread(journal.put, name, SAID)
        else:
            journal.put(name, SAID)
        (thread if number // BATCH % 2 else inside).append(time.perf_counter() - begin)
    return inside, thread


def compared(inside: list[float], thread: list[float]) -> Interval:
    """Thread to loop, over the medians of batches."""
    medians = [
        [statistics.median(one[i : i + BATCH]) for i in range(0, min(len(inside), len(thread)), BATCH)]
        for one in (thread, inside)
    ]
    return ratio(*medians)


def spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1e6 * one for one in seconds)
    return {
        name: round(ordered[int(part * (len(ordered) - 1))], 1)
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.records < 2 * BATCH:
        parser.error(f"--records is {2 * BATCH} or more: a batch of each kind")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        journal = Journal(name)
        inside, thread = asyncio.run(put_both_ways(journal, asked.records))
        got = []
        for number in range(asked.records):
            wanted, begin = key(number), time.perf_counter()
            journal.get(wanted)
            got.append(time.perf_counter() - begin)
        journal.close()
        begin = time.perf_counter()
        read = len(Journal(name))
        seconds = time.perf_counter() - begin
    found = {
        "put": spread(inside), "put in a worker thread": spread(thread), "get": spread(got),
        "thread to loop": asdict(compared(inside, thread)),
        "opening, a record": {"p50": round(1e6 * seconds / read, 1)},
    }  # fmt: skip
    for what, figures in found.items():
        print(f"{what:<24} " + "  ".join(f"{kind} {value:>8.2f}" for kind, value in figures.items()))
    write_figures(asked.json, found)


if __name__ == "__main__":
    main()
