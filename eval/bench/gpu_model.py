"""All of BRIGHT on modelled GPUs: how near the scheduler comes to an engine that is always full. Nothing is measured.

    python eval/bench/gpu_model.py [--gpus 1 8 16 64 256] [--json FILE]

1,384 queries of 12 data sets, 9 windows each in a row, 5,687 tokens in and 750 out on average, ReasonRank-7B on
H200s (`simulated_gpu`). Answers are `constant`, all of 750 tokens, or `lognormal` (sigma 0.5, seed 0, cut to
50..3,172 tokens, then scaled to a mean of 750); `mixed` is lognormal with 1 to 9 windows a query. The Reranker,
its scheduler and gate are the real ones; only the engine and the clock are modelled. One plan a column, in seconds:

    ours        one queue, longest remaining first in the gate and in each GPU's queue
    server      the same, but GPUs take windows first come first served, as an HTTP server does
    fcfs        one queue, first come first served everywhere
    32          as fcfs, at most 32 windows in flight a GPU
    32 long     the same, and the queries with the most windows start first, as `tasks.run_tasks` has it
    barrier     set after set, window after window: all queries' first windows, then all second ones, ...

and bounds: `full`, the same engine when all windows are there at once and none waits for another; `chain`, the
longest query alone on a GPU; `even`, a GPU that has its even share of the windows and the longest query among them
(each of whose tokens is a step, and a step costs a pass over the weights however few windows are in it). `ratio`
is ours over the larger of the first two.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ratios import write_figures
from simulated_gpu import Speed
from virtual_run import Request, VirtualServers

from reasonrank_pyserini import Document, Query
from reasonrank_pyserini.engines.gate import ThrottledEngine
from reasonrank_pyserini.models.cost import GPUS, MAX_BATCH, STEP, WINDOW_NEW_TOKENS, WINDOW_PROMPT_TOKENS
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.types import Prompt, Sampling, Verdict

SETS = {
    "economics": 103, "earth-science": 116, "robotics": 101, "biology": 103, "psychology": 101, "stackoverflow": 117,
    "sustainable-living": 108, "leetcode": 142, "pony": 112, "aops": 111, "theoremqa-questions": 194,
    "theoremqa-theorems": 76,
}  # fmt: skip
WINDOWS = 9
DOCUMENTS = [Document(str(rank), "") for rank in range(100)]
Lengths = dict[str, list[int]]


class LengthJudge:
    """Asks for an answer of the window's length; a query's text is the number of its first window."""

    def __init__(self, engine: ThrottledEngine, lengths: Lengths) -> None:
        self.engine, self.lengths = engine, lengths

    async def judge(self, query: Query, documents: Sequence[Document], window: int = 0) -> Verdict:
        new = self.lengths[query.id][int(query.text) + window]
        await self.engine.complete(Prompt(text=f"{WINDOW_PROMPT_TOKENS} {new}"), Sampling())
        return Verdict(tuple(range(len(documents))))


@dataclass(frozen=True)
class Bench:
    """One plan after another over the same windows."""

    speed: Speed
    lengths: Lengths

    def seconds(self, gpus: int, batches: Sequence[Sequence[Request]], **plan: Any) -> float:
        """Virtual seconds until the last of the batches, one after the other, is done."""
        return self.ends(gpus, batches, **plan)[-1]

    def ends(self, gpus: int, batches: Sequence[Sequence[Request]], **plan: Any) -> list[float]:
        """When each ranking was there, in virtual seconds; `plan`: fields of `VirtualServers`."""
        servers = VirtualServers(self.speed, gpus, **plan)
        return servers.ends(lambda engine: LengthJudge(engine, self.lengths), batches)

    def queries(self) -> list[Request]:
        return [(Query(name, "0"), DOCUMENTS[: 10 * len(new) + 10]) for name, new in self.lengths.items()]

    def single_windows(self) -> Iterator[list[Request]]:
        """All windows of all sets as queries of their own, a list for each set and window number."""
        names = iter(self.lengths)
        for size in SETS.values():
            members = [next(names) for _ in range(size)]
            for window in range(WINDOWS):
                there = [name for name in members if window < len(self.lengths[name])]
                yield [(Query(name, str(window)), DOCUMENTS[:20]) for name in there]

    def chain(self) -> float:
        """The longest query alone: its windows one after the other on an idle GPU."""

        def window(new: int) -> float:
            first = STEP + self.speed.prefill(WINDOW_PROMPT_TOKENS)
            return first + self.speed.decode(new - 1, 1, WINDOW_PROMPT_TOKENS + 1)

        return max(sum(map(window, windows)) for windows in self.lengths.values())

    def even(self, gpus: int) -> float:
        """The work of a GPU that shares the windows evenly with the others and has the longest query."""
        every = [new for windows in self.lengths.values() for new in windows]
        prompts = self.speed.prefill(WINDOW_PROMPT_TOKENS) * len(every)
        read = sum((WINDOW_PROMPT_TOKENS + new / 2) * new for new in every) * self.speed.per_cached_token
        longest = max(map(sum, self.lengths.values()))
        steps = max(longest, sum(every) / gpus / MAX_BATCH)
        return (prompts + read) / gpus + steps * (STEP + self.speed.per_pass)

    def row(self, gpus: int) -> dict[str, float]:
        """Seconds of every plan and bound on `gpus` GPUs."""
        whole = [self.queries()]
        longest_first = sorted(self.queries(), key=lambda request: -len(request[1]))
        first_come: dict[str, Any] = {"patience": 0, "ordered": False}
        found = {
            "ours": self.seconds(gpus, whole),
            "server": self.seconds(gpus, whole, ordered=False),
            "fcfs": self.seconds(gpus, whole, **first_come),
            "32": self.seconds(gpus, whole, requests=32, **first_come),
            "32 long": self.seconds(gpus, [longest_first], requests=32, **first_come),
            "barrier": self.seconds(gpus, list(self.single_windows()), **first_come),
            "full": self.seconds(gpus, [list(chain.from_iterable(self.single_windows()))], **first_come),
            "chain": self.chain(),
            "even": self.even(gpus),
        }
        return {**found, "ratio": found["ours"] / max(found["full"], found["chain"])}


def lengths(draw: Callable[[], float]) -> Lengths:
    """Tokens out of every window of every query, all sets in a row, on average WINDOW_NEW_TOKENS."""
    names = [f"{name}-{number}" for name, size in SETS.items() for number in range(size)]
    drawn = {name: [min(max(draw(), 50.0), 3172.0) for _ in range(WINDOWS)] for name in names}
    mean = sum(map(sum, drawn.values())) / (WINDOWS * len(drawn))
    return {name: [round(one * WINDOW_NEW_TOKENS / mean) for one in each] for name, each in drawn.items()}


def distributions() -> dict[str, Lengths]:
    rng = random.Random(0)
    long_tailed = lengths(lambda: WINDOW_NEW_TOKENS * rng.lognormvariate(-0.125, 0.5))
    mixed = {name: each[: rng.randint(1, WINDOWS)] for name, each in long_tailed.items()}
    return {"constant": lengths(lambda: WINDOW_NEW_TOKENS), "lognormal": long_tailed, "mixed": mixed}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 16, 64, 256])
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    speed = Speed.of(shipped_profile("reasonrank-7b"), GPUS["h200"])
    rows = []
    for kind, drawn in distributions().items():
        for gpus in flags.gpus:
            row = Bench(speed, drawn).row(gpus)
            rows.append({"answers": kind, "gpus": gpus, **row})
            if len(rows) == 1:
                print(f"{'answers':<10}{'GPUs':>5}" + "".join(f"{name:>9}" for name in row))
            values = "".join(f"{value:>9.0f}" for name, value in row.items() if name != "ratio")
            print(f"{kind:<10}{gpus:>5}{values}{row['ratio']:>9.3f}", flush=True)
    write_figures(flags.json, rows)


if __name__ == "__main__":
    main()
