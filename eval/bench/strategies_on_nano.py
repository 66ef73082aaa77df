"""nDCG@10, calls, rounds, passages and wall time of every strategy with the toy model nano as the judge, really run.

    python eval/bench/strategies_on_nano.py [--queries 48] [--json FILE]

BM25's top 40 of the first topics of nano/test, whose pairs of clues were never trained on, in windows of 10, the
size that nano was trained with. nano is a toy in a small artificial world: the table shows strategies with a real
judge's errors and says nothing about ReasonRank. Times depend on the machine and on what else runs there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compared_strategies import compared, named
from ratios import write_figures

from reasonrank_pyserini import Candidate, Query, Reranker, load_dataset
from reasonrank_pyserini.evaluation.statistics import bootstrap_mean
from reasonrank_pyserini.jobs import CollectionRequest, RetrieveRequest, retrieve
from reasonrank_pyserini.scoring import score
from reasonrank_pyserini.strategies import PooledWindows, RankingStrategy
from reasonrank_pyserini.types import Flow

DEPTH, SIZE, MEASURE = 40, 10, "nDCG@10"
NAMES = (
    "sliding 10/5", "passes 2", "single", "topdown", "tournament", "setwise", "groups, 2 epochs",
    "groups, 6 epochs", "pooled",
)  # fmt: skip
STRATEGIES: Mapping[str, RankingStrategy] = {
    **{row.name: row.strategy for row in named(NAMES, compared(SIZE))},
    "pooled, slope 0.1": PooledWindows(SIZE, slope=0.1),
    "pooled, slope 0.1, budget 14": PooledWindows(SIZE, slope=0.1, budget=14),
}


@dataclass(slots=True)
class Counted:
    """A strategy that counts its rounds."""

    inner: RankingStrategy
    rounds_made: list[int] = field(default_factory=list)

    def rank(self, n: int) -> Flow:
        flow, made = self.inner.rank(n), 0
        try:
            windows = next(flow)
            while True:
                made += 1
                windows = flow.send((yield windows))
        except StopIteration as end:
            self.rounds_made.append(made)
            order: tuple[int, ...] = end.value
            return order

    def calls(self, n: int) -> int:
        return self.inner.calls(n)

    def rounds(self, n: int) -> int:
        return self.inner.rounds(n)

    def passages(self, n: int) -> int:
        return self.inner.passages(n)


def line(
    name: str, reranker: Reranker, requests: Sequence[tuple[Query, list[Candidate]]], qrels: Mapping[str, Any]
) -> dict[str, Any]:
    """A strategy's figures, means of the queries."""
    reranker.strategy = counted = Counted(STRATEGIES[name])
    begin = time.monotonic()
    rankings = list(reranker.rerank_many(requests))
    seconds = time.monotonic() - begin
    steps = [step for ranking in rankings for step in ranking.steps]
    per_query = score(
        qrels, {ranking.query.id: list(ranking.ids) for ranking in rankings}, [MEASURE]
    ).per_query
    return {
        "strategy": name,
        "ndcg": bootstrap_mean([100 * values[MEASURE] for values in per_query.values()]),
        "calls": len(steps) / len(rankings),
        "rounds": sum(counted.rounds_made) / len(rankings),
        "passages": sum(len(step.window) for step in steps) / len(rankings),
        "seconds": seconds / len(rankings),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=48)
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    dataset = load_dataset("nano/test")
    queries = list(dataset.queries())[: flags.queries]
    found = retrieve(
        RetrieveRequest(collection=CollectionRequest(dataset=dataset), methods=("bm25",), k=DEPTH)
    ).run
    documents = dataset.documents.get_many(hit.id for query in queries for hit in found[query.id])
    requests = [
        (query, [Candidate(documents[hit.id], hit.score, at + 1) for at, hit in enumerate(found[query.id])])
        for query in queries
    ]
    qrels = {query.id: dataset.qrels()[query.id] for query in queries}
    print(f"nano, {len(queries)} queries of nano/test, top {DEPTH}, windows of {SIZE}\n")
    print("| strategy | nDCG@10 | calls | rounds | passages | seconds a query |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    lines = []
    with Reranker.from_pretrained("nano", depth=DEPTH) as reranker:
        for name in STRATEGIES:
            lines.append(each := line(name, reranker, requests, qrels))
            mean = each["ndcg"]
            print(
                f"| {name} | {mean.mean:.1f} [{mean.low:.1f}, {mean.high:.1f}] | {each['calls']:.1f} | "
                f"{each['rounds']:.1f} | {each['passages']:.0f} | {each['seconds']:.2f} |",
                flush=True,
            )
    write_figures(flags.json, {"queries": len(queries), "lines": lines})


if __name__ == "__main__":
    main()
