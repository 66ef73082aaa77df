"""Seconds a query of ReasonRank-7B and Rank1-7B, top 100, on modelled GPUs, by the number of queries at once.

Both models have Qwen2.5-7B's size; requests are those of `request_tokens.py`. ReasonRank makes 9 calls in 9 rounds,
Rank1 100 calls in one. The ways to run them:

    at once     all queries in one queue, as this package does
    barrier     all queries' first windows, then all second ones, as ReasonRank's authors' program does
    in turn     one query after the other; the calls of a round run together

The paper's four A800 are modelled as one engine four times as fast as an A100, which computes and reads as fast as an
A800: tensor parallelism without the cost of communication. How its authors used them was not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from request_tokens import DOCUMENTS, RANK1, REASONRANK, RequestTokens, SpendingJudge, Spent, by_place
from simulated_gpu import Speed
from virtual_run import Request, VirtualServers

from reasonrank_pyserini import Query, SlidingWindow
from reasonrank_pyserini.models.cost import GPUS, Gpu
from reasonrank_pyserini.models.profiles import shipped_profile
from reasonrank_pyserini.strategies import Pointwise, RankingStrategy, SingleWindow

CLASSES = ("a100-80g", "h100", "h200")
PAPER_GPU, PAPER_GPUS, PAPER_QUERIES = "a100-80g", 4, 116
"""What the paper ran Earth Science's 116 queries on."""
PUBLISHED = {"Earth Science": 4.8 / 1.8, "eight sets, least": 2.0, "eight sets, most": 2.7, "DL19": 1 / 6}
"""Seconds of Rank1 over those of ReasonRank, or of a pointwise over those of a listwise reranker."""
SHORT_PASSAGE, SHORT_QUERY, QUERY = 80, 10, 112
"""Tokens of a passage and a query of a web search, such as DL19's, and of a query of BRIGHT: assumptions."""


SAMPLE = 16
"""Queries whose mean stands for a query alone."""
WAYS = (
    "one query alone",
    "all queries at once",
    "all at once, ReasonRank with barriers",
    "ReasonRank with barriers, Rank1 one query at a time",
)


def short(tokens: RequestTokens, places_of_query: int) -> RequestTokens:
    """The same reranker on a web search."""
    frame = tokens.frame - places_of_query * (QUERY - SHORT_QUERY)
    return replace(tokens, frame=frame, passage=SHORT_PASSAGE)


def speed_of(name: str, joined: int = 1) -> Speed:
    """The speed of `joined` GPUs as one engine."""
    gpu = GPUS[name]
    whole = Gpu(gpu.name, gpu.flops * joined, gpu.bandwidth * joined, gpu.memory * joined)
    return Speed.of(shipped_profile("reasonrank-7b"), whole)


@dataclass(frozen=True, slots=True)
class Reranker7B:
    """A reranker of 7B: its requests and its strategy."""

    tokens: RequestTokens
    strategy: RankingStrategy

    def at_once(self, speed: Speed, queries: int) -> float:
        """Seconds a query: the time until all are done, shared among them."""
        return self._last(speed, [requests(queries)]) / queries

    def in_turn(self, speed: Speed, queries: int) -> float:
        return self._last(speed, [[request] for request in requests(queries)]) / queries

    def barrier(self, speed: Speed, queries: int) -> float:
        rounds = range(self.strategy.rounds(len(DOCUMENTS)))
        batches = [[(Query(f"{q.id} {n}", ""), docs[:20]) for q, docs in requests(queries)] for n in rounds]
        return replace(self, strategy=SingleWindow())._last(speed, batches) / queries

    def spent(self, queries: int) -> dict[str, float]:
        """Calls, and tokens in and out, of a query."""
        spent = Spent()
        self._last(speed_of("h200"), [requests(queries)], spent)
        counted = {"calls": spent.calls, "in": spent.prompt_tokens, "out": spent.new_tokens}
        return {name: value / queries for name, value in counted.items()}

    def _last(self, speed: Speed, batches: Sequence[Sequence[Request]], spent: Spent | None = None) -> float:
        return VirtualServers(speed).ends(
            lambda engine: SpendingJudge(engine, self.tokens, by_place, spent or Spent()),
            batches,
            self.strategy,
        )[-1]


def requests(count: int) -> list[Request]:
    return [(Query(str(number), ""), DOCUMENTS) for number in range(count)]


def reasonrank(prefix_cache: bool = False) -> Reranker7B:
    return Reranker7B(replace(REASONRANK, prefix_cache=prefix_cache), SlidingWindow())


def rank1(answer: float, prefix_cache: bool = False) -> Reranker7B:
    return Reranker7B(replace(RANK1, answer=answer, prefix_cache=prefix_cache), Pointwise())


def by_load(
    loads: Sequence[int], answers: Sequence[float], prefix_cache: bool = False
) -> dict[str, list[float]]:
    """Seconds a query on the paper's GPUs by the number asked at once, of ReasonRank, and of Rank1 by its answers."""
    speed = speed_of(PAPER_GPU, PAPER_GPUS)
    listed = {"ReasonRank": reasonrank(prefix_cache)}
    listed |= {f"Rank1, {answer:g} tokens": rank1(answer, prefix_cache) for answer in answers}
    return {name: [one.at_once(speed, load) for load in loads] for name, one in listed.items()}


def by_class(answer: float, queries: int, prefix_cache: bool = False) -> list[dict[str, Any]]:
    """Seconds a query on one GPU of each class: one after the other, and all at once."""
    rows = []
    for gpu in CLASSES:
        speed = speed_of(gpu)
        both = (reasonrank(prefix_cache), rank1(answer, prefix_cache))
        alone = [one.in_turn(speed, min(queries, SAMPLE)) for one in both]
        full = [one.at_once(speed, queries) for one in both]
        rows.append({"gpu": gpu, "alone": compared(*alone), "full": compared(*full)})
    return rows


def compared(ours: float, theirs: float) -> dict[str, float]:
    return {"ReasonRank": ours, "Rank1": theirs, "ratio": theirs / ours}


def by_answer(
    answers: Sequence[float], queries: int, prefix_cache: bool = False
) -> dict[str, list[dict[str, float]]]:
    """Both rerankers' seconds a query on the paper's GPUs, by the way to run and the length of Rank1's answers."""
    speed, some = speed_of(PAPER_GPU, PAPER_GPUS), min(queries, SAMPLE)
    ours = reasonrank(prefix_cache)
    alone, queue, barrier = (
        ours.in_turn(speed, some),
        ours.at_once(speed, queries),
        ours.barrier(speed, queries),
    )
    found: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
    for answer in answers:
        theirs = rank1(answer, prefix_cache)
        in_turn, at_once = theirs.in_turn(speed, some), theirs.at_once(speed, queries)
        pairs = ((alone, in_turn), (queue, at_once), (barrier, at_once), (barrier, in_turn))
        for name, pair in zip(WAYS, pairs, strict=True):
            found[name].append(compared(*pair))
    return found


def web_search(answer: float, prefix_cache: bool = False) -> dict[str, float]:
    """Seconds of one query alone with short passages, on one of the paper's GPUs."""
    speed = speed_of(PAPER_GPU)
    ours, theirs = reasonrank(prefix_cache), rank1(answer, prefix_cache)
    return compared(
        replace(ours, tokens=short(ours.tokens, 2)).in_turn(speed, SAMPLE),
        replace(theirs, tokens=short(theirs.tokens, 1)).in_turn(speed, SAMPLE),
    )


def answer_at(ratio: float, answers: Sequence[float], ratios: Sequence[float]) -> float | None:
    """The length of Rank1's answers at which its seconds are that many times ReasonRank's, between two that were
    tried; None where they are not that far apart."""
    points = list(zip(answers, ratios, strict=True))
    for (left, below), (right, above) in pairwise(points):
        if below <= ratio <= above:
            return left + (right - left) * (ratio - below) / (above - below)
    return None
