"""CountedMean: a figure that never goes without what it was counted over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass

from ..statistics import bootstrap_ratio

FEW_QUERIES = 10
"""Figures over fewer queries are marked: their intervals cannot be relied on."""


_SAMPLES = 2000
"""Of the bootstrap: a diagnosis has some sixty intervals a task, and 10,000 would not change their second digit."""


@dataclass(frozen=True, slots=True)
class CountedMean:
    """A mean over `count` things (pairs, windows, passages) of `queries` queries; each thing weighs the same.

    `low`, `high`: bootstrap 95% interval over queries, None for a single one. Without anything to count the mean is
    None.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    count: int = 0
    queries: int = 0

    @property
    def few(self) -> bool:
        return 0 < self.queries < FEW_QUERIES


class Tally:
    """Totals and counts of named figures, query by query."""

    def __init__(self) -> None:
        self._by_query: dict[Hashable, dict[str, list[float]]] = defaultdict(dict)

    def add(self, figure: Hashable, query_id: str, value: float, count: int = 1) -> None:
        """`count` more things of a query, whose values sum to `value`."""
        sums = self._by_query[figure].setdefault(query_id, [0.0, 0])
        sums[0] += value
        sums[1] += count

    def mean(self, figure: Hashable) -> CountedMean:
        """The figure's mean so far; equal sums give equal intervals, whatever the order of the queries."""
        by_query = self._by_query.get(figure, {})
        parts = [(total, count) for _, (total, count) in sorted(by_query.items()) if count]
        if not parts:
            return CountedMean()
        interval, several = bootstrap_ratio(parts, samples=_SAMPLES), len(parts) > 1
        return CountedMean(
            interval.mean,
            interval.low if several else None,
            interval.high if several else None,
            round(sum(count for _, count in parts)),
            len(parts),
        )
