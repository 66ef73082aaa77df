"""Fusion of first stages: reciprocal ranks and weighted scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

from ..errors import InputError, UnknownNameError
from ..types import Query, ScoredDocument
from .base import Excluded, FirstStage, check_k, unique, without

Rankings = Sequence[Sequence[ScoredDocument]]
"""One query's candidates from each stage, best first."""

Normalise = Literal["min-max", "z-score", "none"]
NORMALISATIONS: tuple[Normalise, ...] = ("min-max", "z-score", "none")
METHODS = ("rrf", *NORMALISATIONS)
"""Fusions of rankings: by ranks, and by scores as they are normalised."""


def reciprocal_ranks(
    rankings: Rankings, *, rrf_k: float = 60, weights: Sequence[float] | None = None
) -> list[ScoredDocument]:
    """One ranking by the sum of weight / (rrf_k + rank), ranks from 1 (Cormack et al., SIGIR 2009).

    Ties: the better best rank, then the earlier stage, then the docid.
    """
    if rrf_k < 0:
        raise InputError(f"rrf_k is {rrf_k}: give 0 or more (60 is usual)")
    shares = _weights(weights, len(rankings))
    parts = [
        {hit.id: share / (rrf_k + rank) for rank, hit in enumerate(unique(hits), 1)}
        for share, hits in zip(shares, rankings, strict=True)
    ]
    return _summed(parts)


def weighted_scores(
    rankings: Rankings, weights: Sequence[float] | None = None, normalise: Normalise = "min-max"
) -> list[ScoredDocument]:
    """One ranking by the weighted sum of scores; a stage without a document adds nothing for it.

    `min-max` first maps each stage's scores of this query to [0, 1] (all 1 when they are equal); `z-score` to mean 0
    and population deviation 1 (all 0 when they are equal); `none` takes them as they are.
    Ties: the better best rank, then the earlier stage, then the docid.
    """
    shares = _weights(weights, len(rankings))
    parts = [
        {docid: share * score for docid, score in _scaled(unique(hits), normalise).items()}
        for share, hits in zip(shares, rankings, strict=True)
    ]
    return _summed(parts)


def fuse_rankings(
    rankings: Rankings, method: str, weights: Sequence[float] | None = None, *, rrf_k: float = 60
) -> list[ScoredDocument]:
    """One ranking by a method of `METHODS`: `rrf` is `reciprocal_ranks`, the others are `weighted_scores`."""
    if method == "rrf":
        return reciprocal_ranks(rankings, rrf_k=rrf_k, weights=weights)
    for normalise in NORMALISATIONS:
        if method == normalise:
            return weighted_scores(rankings, weights, normalise)
    raise UnknownNameError("fusion", method, METHODS)


@dataclass(frozen=True, slots=True)
class ReciprocalRankFusion:
    """Stages fused by `reciprocal_ranks`, each asked for `depth` candidates (or k, if larger).

    Excluded documents are removed from each stage before ranks are counted.
    """

    stages: Sequence[FirstStage]
    rrf_k: float = 60
    weights: Sequence[float] | None = None
    depth: int = 1000
    excluded: Excluded | None = None

    def __post_init__(self) -> None:
        reciprocal_ranks([()] * len(self.stages), rrf_k=self.rrf_k, weights=self.weights)

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        rankings = _ask(self.stages, self.excluded, queries, k, self.depth)
        return [reciprocal_ranks(one, rrf_k=self.rrf_k, weights=self.weights)[:k] for one in rankings]


@dataclass(frozen=True, slots=True)
class WeightedFusion:
    """Stages fused by `weighted_scores`, each asked for `depth` candidates (or k, if larger).

    Excluded documents are removed from each stage before scores are normalised.
    """

    stages: Sequence[FirstStage]
    weights: Sequence[float] | None = None
    normalise: Normalise = "min-max"
    depth: int = 1000
    excluded: Excluded | None = None

    def __post_init__(self) -> None:
        weighted_scores([()] * len(self.stages), self.weights, self.normalise)

    def candidates(self, queries: Sequence[Query], k: int) -> list[list[ScoredDocument]]:
        rankings = _ask(self.stages, self.excluded, queries, k, self.depth)
        return [weighted_scores(one, self.weights, self.normalise)[:k] for one in rankings]


def _ask(
    stages: Sequence[FirstStage], excluded: Excluded | None, queries: Sequence[Query], k: int, depth: int
) -> list[tuple[list[ScoredDocument], ...]]:
    check_k(k)
    answers = [without(stage, excluded).candidates(queries, max(depth, k)) for stage in stages]
    return list(zip(*answers, strict=True))


def _weights(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if count < 1:
        raise InputError("nothing to fuse: give at least one first stage")
    if weights is None:
        return (1.0,) * count
    if len(weights) != count:
        raise InputError(f"{len(weights)} weights for {count} first stages: give one for each")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise InputError(f"weights {', '.join(map(str, weights))}: give numbers from 0 up, not all 0")
    return tuple(weights)


def _scaled(hits: Sequence[ScoredDocument], normalise: Normalise) -> dict[str, float]:
    if normalise not in NORMALISATIONS:
        raise InputError(f"unknown normalisation {normalise!r}: {', '.join(NORMALISATIONS)}")
    odd = next((hit for hit in hits if not math.isfinite(hit.score)), None)
    if odd is not None:
        raise InputError(f"docid {odd.id!r} has the score {odd.score}: weighted fusion needs finite scores")
    if normalise == "none" or not hits:
        return {hit.id: hit.score for hit in hits}
    if normalise == "z-score":
        mean = _mean([hit.score for hit in hits])
        deviation = math.sqrt(_mean([(hit.score - mean) ** 2 for hit in hits]))
        return {hit.id: (hit.score - mean) / deviation if deviation else 0.0 for hit in hits}
    low, high = min(hit.score for hit in hits), max(hit.score for hit in hits)
    return {hit.id: (hit.score - low) / (high - low) if high > low else 1.0 for hit in hits}


def _mean(values: Sequence[float]) -> float:
    """The mean, added up one by one: `sum` compensates rounding from Python 3.12 on."""
    return reduce(add, values) / len(values)


def _summed(parts: Sequence[dict[str, float]]) -> list[ScoredDocument]:
    """Documents by the sum of their parts; fsum, so that the order of the stages does not change the last digit."""
    best: dict[str, tuple[int, int]] = {}
    for stage, part in enumerate(parts):
        for rank, docid in enumerate(part):
            best[docid] = min(best.get(docid, (rank, stage)), (rank, stage))
    total = {docid: math.fsum(part[docid] for part in parts if docid in part) for docid in best}
    return [
        ScoredDocument(docid, total[docid])
        for docid in sorted(best, key=lambda docid: (-total[docid], best[docid], docid))
    ]
