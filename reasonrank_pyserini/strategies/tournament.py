"""Tournament: groups judged in parallel, the best of each go on, until one window holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..types import Flow
from .option_values import check_least
from .partitions import group_count, strided_groups
from .verdict_orders import apply_verdicts


@dataclass(frozen=True, slots=True)
class Tournament:
    """Rounds of strided groups of at most `size`; the best `keep` of each go on; the last window orders them.

    Those left behind in a later round come before those of an earlier one, within a round by their place in the group,
    then in the order before it. A judge without errors gives the true best `keep`. `keep` None: half of `size`.
    """

    size: int = 20
    keep: int | None = None

    def __post_init__(self) -> None:
        check_least("tournament", {"size": (self.size, 2), "keep": (self._kept, 1)})
        if self._kept > self.size // 2:
            raise InputError(
                f"strategy tournament: keep is {self.keep}, it must be at most {self.size // 2}, half of a group"
            )

    @property
    def _kept(self) -> int:
        return self.size // 2 if self.keep is None else self.keep

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: one round after another."""
        order, behind = tuple(range(n)), tuple[int, ...]()
        while len(order) > 1:
            windows = strided_groups(order, group_count(len(order), self.size))
            groups = apply_verdicts(windows, (yield windows))
            if len(groups) == 1:
                return (*groups[0], *behind)
            before = {candidate: at for at, candidate in enumerate(order)}
            places = [
                (place, before[candidate], candidate)
                for group in groups
                for place, candidate in enumerate(group)
            ]
            by_place = sorted(places)
            order = tuple(candidate for place, _, candidate in by_place if place < self._kept)
            behind = (*(candidate for place, _, candidate in by_place if place >= self._kept), *behind)
        return (*order, *behind)

    def calls(self, n: int) -> int:
        return sum(group_count(left, self.size) for left in self._sizes(n))

    def rounds(self, n: int) -> int:
        return sum(1 for _ in self._sizes(n))

    def passages(self, n: int) -> int:
        return sum(self._sizes(n))

    def _sizes(self, n: int) -> Iterator[int]:
        """How many candidates are judged in each round."""
        while n > 1:
            yield n
            groups = group_count(n, self.size)
            if groups == 1:
                return
            small, more = divmod(n, groups)
            n = more * min(small + 1, self._kept) + (groups - more) * min(small, self._kept)
