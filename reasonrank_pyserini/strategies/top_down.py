"""TopDown: partitions compared with a pivot, after Parry, MacAvaney and Ganguly (2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from ..types import Flow, Window
from .option_values import check_budget, check_least
from .partitions import even_slices, group_count
from .verdict_orders import apply_verdict, apply_verdicts


@dataclass(frozen=True, slots=True)
class TopDown:
    """The first window gives a pivot, the rest is compared with it in parallel, those above it are ranked again.

    The pivot is the passage at place `cutoff` (None: half of `size`) of the first window of `size`. Every other window
    shows the pivot first and at most `size` - 1 of the remaining passages. What is ranked above the pivot, at most the
    `candidates` best of it by place (None: one window's, 0: all), is ranked in the same way, until it fits into one
    window; the pivot and what is below it follow. If all are ranked again, a judge without errors gives the true best
    `cutoff`.

    `depth`: only so many are partitioned, the others follow unchanged. `budget`: the most calls; the depth is lowered
    until they suffice. Cost: an upper bound, as fewer calls are made where few passages are above the pivot.
    Source: "Top-Down Partitioning for Efficient List-Wise Ranking", arXiv 2405.14589. Its authors' program (github
    Parry-Parry/TDPart at 8dd49c8) judges the partitions one after the other and stops once it has `candidates` of them,
    so it may make fewer calls, in more rounds; of more than `candidates` it keeps the first, here the best by place.
    """

    varies: ClassVar[bool] = True

    size: int = 20
    cutoff: int | None = None
    candidates: int | None = None
    depth: int | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        check_least("topdown", {"size": (self.size, 2), "cutoff": (self._place, 1)})
        if self._place >= self.size:
            raise InputError(
                f"strategy topdown: cutoff {self.cutoff} must be smaller than the window of {self.size}: the passage "
                "at this place of the first window becomes the pivot"
            )
        if self.candidates:
            check_least("topdown", {"candidates": (self.candidates, self._place)})
        if self.depth is not None:
            check_least("topdown", {"depth": (self.depth, 1)})
        check_budget("topdown", self.budget)

    @property
    def _place(self) -> int:
        """The place of the pivot, from 1."""
        return self.size // 2 if self.cutoff is None else self.cutoff

    def _limit(self, above: int) -> int:
        """How many of those above the pivot are ranked again."""
        return self.size if self.candidates is None else self.candidates or above

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: the first window, the partitions together, then those above the pivot."""
        reach = self._reach(n)
        order = yield from self._ranked(tuple(range(reach)))
        return (*order, *range(reach, n))

    def calls(self, n: int) -> int:
        """The most windows judged."""
        return sum(calls for calls, _ in self._levels(self._reach(n)))

    def rounds(self, n: int) -> int:
        """The most rounds: two for each level with partitions, one for the last window."""
        return sum(min(calls, 2) for calls, _ in self._levels(self._reach(n)))

    def passages(self, n: int) -> int:
        """The most passages shown, the pivot counted in each window."""
        return sum(shown for _, shown in self._levels(self._reach(n)))

    def _ranked(self, listed: Window) -> Flow:
        if len(listed) < 2:
            return listed
        first, rest = listed[: self.size], listed[self.size :]
        first = apply_verdict(first, (yield [first]))
        if not rest:
            return first
        at = self._place - 1
        pivot, above, below = first[at], list(first[:at]), list(first[at + 1 :])
        place = {candidate: at for at, candidate in enumerate(above)}
        partitions = [(pivot, *part) for part in even_slices(rest, group_count(len(rest), self.size - 1))]
        for judged in apply_verdicts(partitions, (yield partitions)):
            at = judged.index(pivot)
            above += judged[:at]
            below += judged[at + 1 :]
            place.update({candidate: at for at, candidate in enumerate(judged[:at])})
        if len(above) < self._place:  # nothing of the rest is above the pivot: `above` is in order already
            return (*above, pivot, *below)
        kept, left = self._best(above, place)
        order = yield from self._ranked(kept)
        return (*order, *left, pivot, *below)

    def _best(self, above: Sequence[int], place: dict[int, int]) -> tuple[Window, Window]:
        """Those that are ranked again, in the order found, and the others by place."""
        if len(above) <= (limit := self._limit(len(above))):
            return tuple(above), ()
        by_place = sorted(above, key=lambda candidate: place[candidate])
        kept = set(by_place[:limit])
        return tuple(one for one in above if one in kept), tuple(by_place[limit:])

    def _levels(self, n: int) -> list[tuple[int, int]]:
        """The most calls and passages of each level for `n` candidates without a budget."""
        levels: list[tuple[int, int]] = []
        while n > 1:
            rest = max(0, n - self.size)
            partitions = group_count(rest, self.size - 1)
            levels.append((1 + partitions, min(n, self.size) + rest + partitions))
            most = n - 1 - (self.size - self._place) if rest else 0
            n = min(most, self._limit(most))
        return levels

    def _reach(self, n: int) -> int:
        """How many of `n` candidates depth and budget allow to rank."""
        reach = n if self.depth is None else min(n, self.depth)
        while self.budget is not None and sum(calls for calls, _ in self._levels(reach)) > self.budget:
            reach -= 1
        return reach
