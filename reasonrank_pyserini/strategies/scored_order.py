"""ScoredOrder: a strategy's final order with the scores that it comes from, where there are any."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..types import Verdict, Window
from .ranking_strategy import RankingStrategy


@dataclass(frozen=True, slots=True)
class ScoredOrder:
    """The final order of all candidates; `scores` and `deviations` are by candidate, in first-stage order.

    `scores`: the order is that of falling scores, candidates without one (NaN) last; None where the strategy only
    orders. `deviations`: the standard deviations of the scores, None where they are not known.
    """

    order: tuple[int, ...]
    scores: tuple[float, ...] | None = None
    deviations: tuple[float, ...] | None = None


ScoringFlow = Generator[list[Window], list[Verdict], ScoredOrder]
"""A flow that returns scores with its order."""


@runtime_checkable
class ScoringStrategy(RankingStrategy, Protocol):
    """A strategy that orders by scores: `rank_scored` is `rank` with the scores that its order comes from."""

    def rank_scored(self, n: int) -> ScoringFlow: ...


def scored_flow(strategy: RankingStrategy, n: int) -> ScoringFlow:
    """The strategy's flow for `n` candidates, with scores where it has them."""
    if isinstance(strategy, ScoringStrategy):
        return (yield from strategy.rank_scored(n))
    return ScoredOrder((yield from strategy.rank(n)))
