"""FirstStageFusion: the reranked order fused with the first stage's scores or ranks of the same candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from ..errors import InputError, UnknownNameError
from ..first_stages.fusion import fuse_rankings
from ..strategies.scored_order import ScoredOrder
from ..types import ScoredDocument

FUSIONS = ("rrf", "min-max", "z-score")
"""How the reranked order can be fused: by ranks, or by scores scaled within the query."""


@dataclass(frozen=True, slots=True)
class FirstStageFusion:
    """How a reranked order is fused: a `method` of `FUSIONS`, and the reranker's `weight`, 0 to 1; the first stage has
    the rest.

    `rrf` adds weight / (60 + rank). The others add scores. The reranker's are those of a strategy that orders by scores
    (a candidate without one counts as the lowest); of an order alone they are n for the first of n candidates to 1 for
    the last, as a run file has them. So do the first stage's where all of them are equal.
    """

    method: str
    weight: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in FUSIONS:
            raise UnknownNameError("fusion", self.method, FUSIONS)
        if not 0 <= self.weight <= 1:
            raise InputError(
                f"`fuse_weight` is {self.weight}: it must be between 0 and 1, the reranker's share"
            )

    def order(self, first_stage: Sequence[float], judged: ScoredOrder) -> tuple[int, ...]:
        """The fused order of the candidates, from the first stage's scores in its own order.

        Ties: the better best rank, then the reranker's order.
        """
        n, counted = len(first_stage), len(set(first_stage)) < 2
        before = [float(n - at) if counted else score for at, score in enumerate(first_stage)]
        fused = fuse_rankings(
            [_hits(judged.order, _scores(judged)), _hits(range(n), before)],
            self.method,
            (self.weight, 1 - self.weight),
        )
        return tuple(int(hit.id) for hit in fused)

    def __str__(self) -> str:
        return f"{self.method}, weight {self.weight:g}"


def _hits(order: Sequence[int], scores: Sequence[float]) -> list[ScoredDocument]:
    return [ScoredDocument(str(candidate), scores[candidate]) for candidate in order]


def _scores(judged: ScoredOrder) -> list[float]:
    """The reranker's scores by candidate."""
    finite = [score for score in judged.scores or () if isfinite(score)]
    if judged.scores is None or not finite:
        place = {candidate: at for at, candidate in enumerate(judged.order)}
        return [float(len(place) - place[candidate]) for candidate in range(len(place))]
    return [score if isfinite(score) else min(finite) for score in judged.scores]
