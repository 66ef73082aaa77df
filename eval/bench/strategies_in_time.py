"""Seconds and GPU-seconds of every strategy on modelled GPUs, with the modelled nDCG@10; nothing is measured.

    python eval/bench/strategies_in_time.py [--gpu h200] [--gpus 1 8 64] [--picture FILE.png] [--json FILE]

ReasonRank-7B, the top 100 of every query: all 1,384 queries of BRIGHT asked at once, and single queries one after the
other (means of `--alone` queries). The Reranker, its strategies, scheduler and gate are the real ones; the GPUs
(`simulated_gpu.py`) and the clock are modelled, with a server on each GPU. Tokens in and out are those of
`request_tokens.py`, whose answers are in proportion to the passages shown; the row `answers of 750` shows what small
windows cost if their answers are as long as those of 20 passages. Without a prefix cache: the prompts of two windows
share only their beginning, 290 of 5,687 tokens. Building prompts, the network and reading answers are left out.

nDCG@10 and its difference from sliding windows 20/10, with intervals, are those of eval/results/strategies.md (order
noise 0.8), a modelled judge too. Which windows `topdown`, `setwise` and adaptive `pooled` ask for depends on the
answers: they come from the same model of a judge (a = 1) on made-up lists with five relevant passages each.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compared_strategies import Compared, compared, named
from judge_model import Case, NoisyJudge, dcg
from quality_table import Quality, read_quality
from ratios import ROOT, write_figures
from request_tokens import DOCUMENTS, REASONRANK, RequestTokens, SpendingJudge, Spent
from simulated_gpu import Speed
from time_pictures import draw_strategies
from virtual_run import VirtualServers

from reasonrank_pyserini import Query
from reasonrank_pyserini.models.cost import GPUS, WINDOW_NEW_TOKENS
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.types import Verdict, Window

NAMES = (
    "sliding 20/10", "sliding 20/10 + first stage", "sliding 10/5", "single", "topdown", "tournament", "setwise",
    "groups, 2 epochs", "groups, 2 epochs + first stage", "groups, 6 epochs", "pooled, budget 5", "pooled",
    "pooled, adaptive, budget 12",
)  # fmt: skip
QUALITY = ROOT / "eval" / "results" / "strategies.md"
RELEVANT, A, ORDER_NOISE = 5, 1.0, 0.8
LONG_ANSWERS = replace(REASONRANK, answer=WINDOW_NEW_TOKENS, answer_passage=0)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the tables: a strategy, what its requests take, and its modelled quality."""

    name: str
    compared: Compared
    tokens: RequestTokens
    quality: Quality


def rows(quality: Mapping[str, Quality], names: Sequence[str] = NAMES) -> list[Row]:
    found = [Row(row.name, row, REASONRANK, quality[row.name]) for row in named(names, compared())]
    small = [replace(row, name=f"{row.name}, answers of 750", tokens=LONG_ANSWERS) for row in found]
    return [*found, *(row for row in small if row.compared.name == "sliding 10/5")]


def noisy(query_id: str) -> Callable[[Window], Verdict]:
    """A noisy judge of a made-up list, whose relevant passages become rarer with rank."""
    chance, grades = random.Random(query_id), [0] * len(DOCUMENTS)
    for _ in range(RELEVANT):
        grades[int(len(grades) ** chance.random()) - 1] = 1
    case = Case(query_id, tuple(grades), dcg([1] * sum(grades)))
    return NoisyJudge(case, A, ORDER_NOISE, seed=0).judge


@dataclass(frozen=True, slots=True)
class Workload:
    """What is timed: a number of queries at once, and a number one after the other."""

    together: int
    alone: int

    def times(self, row: Row, servers: VirtualServers) -> dict[str, float]:
        """Seconds of all queries at once and of a query alone, and what the queries at once take on average."""
        spent = Spent()
        queries = [(Query(str(number), ""), DOCUMENTS) for number in range(max(self.together, self.alone))]

        def seconds(batches: Sequence[Any]) -> float:
            return servers.ends(
                lambda engine: SpendingJudge(engine, row.tokens, noisy, spent), batches, row.compared.strategy
            )[-1]

        alone = seconds([[query] for query in queries[: self.alone]]) / self.alone
        spent = Spent()
        together = seconds([queries[: self.together]])
        each = {
            "calls": spent.calls,
            "prompt_tokens": spent.prompt_tokens,
            "new_tokens": spent.new_tokens,
        }
        return {
            "together": together,
            "alone": alone,
            **{name: value / self.together for name, value in each.items()},
        }


def timed(row: Row, workload: Workload, speed: Speed, counts: Sequence[int]) -> dict[str, Any]:
    """A row's figures on each number of GPUs."""
    by_count = {count: workload.times(row, VirtualServers(speed, count)) for count in counts}
    first = by_count[counts[0]]
    return {
        "strategy": row.name,
        "ndcg": row.quality.ndcg,
        "gain": row.quality.gain,
        "rounds": row.quality.rounds,
        **{name: first[name] for name in ("calls", "prompt_tokens", "new_tokens")},
        "together": {count: times["together"] for count, times in by_count.items()},
        "alone": {count: times["alone"] for count, times in by_count.items()},
    }


def all_timed(
    listed: Sequence[Row], workload: Workload, speed: Speed, counts: Sequence[int]
) -> list[dict[str, Any]]:
    """Every row's figures; rows that differ only in fusion take the same time, which is modelled once."""
    known: dict[Any, dict[str, Any]] = {}
    lines = []
    for row in listed:
        key = (row.compared.strategy, row.tokens)
        if key not in known:
            known[key] = timed(row, workload, speed, counts)
        lines.append(known[key] | {"strategy": row.name, "ndcg": row.quality.ndcg, "gain": row.quality.gain})
    return lines


def tables(lines: Sequence[Mapping[str, Any]], counts: Sequence[int]) -> str:
    """Two Markdown tables: all queries at once, and one query alone."""
    on = [f"on {count}" for count in counts]
    together = markdown(
        ["strategy", "nDCG@10", "calls", "tokens in + out"]
        + [f"seconds {where}" for where in on]
        + [f"GPU-seconds {where}" for where in on],
        [
            [line["strategy"], str(line["ndcg"]), f"{line['calls']:.1f}"]
            + [f"{line['prompt_tokens']:,.0f} + {line['new_tokens']:,.0f}"]
            + [f"{line['together'][count]:,.0f}" for count in counts]
            + [f"{line['together'][count] * count:,.0f}" for count in counts]
            for line in lines
        ],
    )
    alone = markdown(
        ["strategy", "against sliding 20/10", "rounds"] + [f"seconds {where}" for where in on],
        [
            [line["strategy"], str(line["gain"]), f"{line['rounds']:.1f}"]
            + [f"{line['alone'][count]:.1f}" for count in counts]
            for line in lines
        ],
    )
    return f"all queries at once, tokens a query\n\n{together}\n\none query alone\n\n{alone}"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first two columns are words."""
    rule = ["---"] * 2 + ["---:"] * (len(head) - 2)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *body))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", choices=GPUS, default="h200")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--queries", type=int, default=1384, help="asked at once")
    parser.add_argument("--alone", type=int, default=24, help="asked one after the other")
    parser.add_argument("--strategies", nargs="+", default=NAMES, metavar="NAME", help="as in strategies.md")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    speed = Speed.of(shipped_profile("reasonrank-7b"), GPUS[flags.gpu])
    listed = rows(read_quality(QUALITY), flags.strategies)
    lines = all_timed(listed, Workload(flags.queries, flags.alone), speed, flags.gpus)
    print(f"modelled, not measured: ReasonRank-7B on {flags.gpu}, {flags.queries:,} queries, top 100\n")
    print(tables(lines, flags.gpus))
    write_figures(
        flags.json, {"gpu": flags.gpu, "gpus": flags.gpus, "queries": flags.queries, "lines": lines}
    )
    if flags.picture:
        draw_strategies(lines, flags.gpus, flags.gpu.upper(), flags.picture)


if __name__ == "__main__":
    main()
