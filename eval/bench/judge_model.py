"""A model of a judge with noise on real first-stage runs: utilities of passages, orders of windows, nDCG@10.

The utility of a passage is a x relevant + N(0, 1) - 0.25 ln(1 + rank), rank from 1, drawn once for a query and seed.
A call orders its window by utility + N(0, noise), drawn again for every passage and call. `a` is fitted per task so
that sliding windows give the published score.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log, log2
from pathlib import Path
from statistics import fmean

from reasonrank_pyserini import SlidingWindow, read_run
from reasonrank_pyserini.runfile import read_qrels
from reasonrank_pyserini.strategies import RankingStrategy
from reasonrank_pyserini.types import Verdict, Window

DEPTH, CUT, RANK_SLOPE = 100, 10, 0.25


@dataclass(frozen=True, slots=True)
class Case:
    """A query: the grades of its candidates in first-stage order and the best DCG@10 that there is."""

    id: str
    grades: tuple[int, ...]
    ideal: float

    def ndcg(self, order: Sequence[int]) -> float:
        return dcg([self.grades[at] for at in order[:CUT]]) / self.ideal if self.ideal else 0.0


@dataclass(frozen=True, slots=True)
class Spent:
    """A query's nDCG@10 and what it took; means where there are several seeds."""

    ndcg: float
    calls: float
    rounds: float
    passages: float


def dcg(grades: Sequence[int]) -> float:
    return sum(grade / log2(2 + at) for at, grade in enumerate(grades))


def read_cases(folder: Path, task: str) -> list[Case]:
    """The judged queries of a task, excluded documents taken out of the run."""
    run = read_run(next((folder / "runs").glob(f"{task}.*")))
    qrels = read_qrels(folder / "qrels" / f"{task}.txt")
    path = folder / "excluded" / f"{task}.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    excluded = {tuple(line.split(" ", 1)) for line in lines}
    cases = []
    for query, judged in qrels.items():
        hits = sorted(run.get(query, []), key=lambda hit: -hit.score)
        ids = [hit.id for hit in hits if (query, hit.id) not in excluded][:DEPTH]
        best = sorted((max(0, grade) for grade in judged.values()), reverse=True)[:CUT]
        cases.append(Case(query, tuple(max(0, judged.get(id, 0)) for id in ids), dcg(best)))
    return cases


class NoisyJudge:
    """Judges windows of one query; `order_noise` is redrawn in every call.

    Windows of one get their utility with noise as score, larger ones an order without scores.
    """

    def __init__(self, case: Case, a: float, order_noise: float, seed: int) -> None:
        chance = random.Random(f"{seed}\0{case.id}")
        self.utilities = [
            a * (grade > 0) + chance.gauss(0, 1) - RANK_SLOPE * log(2 + at)
            for at, grade in enumerate(case.grades)
        ]
        self.noise, self._chance = order_noise, chance

    def judge(self, window: Window) -> Verdict:
        seen = [self.utilities[one] + self._chance.gauss(0, self.noise) for one in window]
        order = sorted(range(len(window)), key=lambda at: -seen[at])
        return Verdict(tuple(order), scores=tuple(seen) if len(window) == 1 else None)


def judged(
    strategy: RankingStrategy, case: Case, judge: Callable[[Window], Verdict], *, fuse: bool = False
) -> Spent:
    """What the strategy gives for a query, and what it took; `fuse`: its order fused with the first stage's."""
    flow, calls, rounds, passages = strategy.rank(len(case.grades)), 0, 0, 0
    try:
        windows = next(flow)
        while True:
            calls, rounds = calls + len(windows), rounds + 1
            passages += sum(map(len, windows))
            windows = flow.send([judge(window) for window in windows])
    except StopIteration as end:
        order: tuple[int, ...] = end.value
    return Spent(case.ndcg(fused(order) if fuse else order), calls, rounds, passages)


def fused(order: Sequence[int], k: int = 60) -> tuple[int, ...]:
    """An order fused with the first stage's by reciprocal ranks."""
    place = {candidate: at for at, candidate in enumerate(order)}
    value = {one: 1 / (k + 1 + one) + 1 / (k + 1 + place[one]) for one in order}
    return tuple(sorted(range(len(order)), key=lambda one: -value[one]))


def fitted(cases: Sequence[Case], target: float, noise: float, seeds: Sequence[int]) -> float:
    """The `a` at which sliding windows 20/10 give the target mean nDCG@10 over the seeds, by bisection."""
    sliding = SlidingWindow()

    def mean(a: float) -> float:
        return fmean(
            judged(sliding, case, NoisyJudge(case, a, noise, seed).judge).ndcg
            for seed in seeds
            for case in cases
        )

    low, high = -4.0, 12.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < target else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class World:
    """The tasks' queries with the `a` of each task, at one level of noise."""

    cases: Mapping[str, Sequence[Case]]
    a: Mapping[str, float]
    noise: float

    def results(
        self, strategy: RankingStrategy, tasks: Sequence[str], seeds: Sequence[int], *, fuse: bool = False
    ) -> dict[str, list[Spent]]:
        """By task, each query's mean over the seeds."""
        found = {}
        for task in tasks:
            found[task] = [self._one(strategy, task, case, seeds, fuse) for case in self.cases[task]]
        return found

    def _one(
        self, strategy: RankingStrategy, task: str, case: Case, seeds: Sequence[int], fuse: bool
    ) -> Spent:
        each = [
            judged(strategy, case, NoisyJudge(case, self.a[task], self.noise, seed).judge, fuse=fuse)
            for seed in seeds
        ]
        return Spent(*(fmean(getattr(one, name) for one in each) for name in Spent.__slots__))


@cache
def published(task: str) -> float:
    """ReasonRank-7B's published nDCG@10 on a task, between 0 and 1."""
    from reasonrank_pyserini.reproduce.conditions import find_condition

    return find_condition("bright", "reasonrank-7b").published[task.replace("_", "-")] / 100
