"""Groups: every candidate in a few groups with others, judged in one round, as GroupRank does."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..errors import UnknownNameError
from ..types import Flow, Window
from .option_values import check_least, check_most
from .partitions import even_slices, group_count, strided_groups
from .scored_order import ScoredOrder, ScoringFlow
from .verdict_orders import apply_verdicts
from .verdict_scores import ScoreSheet

LAYOUTS = ("shuffled", "strided")


@dataclass(frozen=True, slots=True)
class Groups:
    """`epochs` times all candidates in groups of at most `size`, all judged in one round; the order by mean score.

    `layout`: `shuffled` groups depend on `seed`, the number of candidates and the epoch alone; `strided` ones mix
    ranks without chance. A judge of groups scores every passage; where no verdict of the query has scores, the places
    in the orders count instead (1 for the first to 0 for the last). Unreadable answers and scores that are not finite
    count for nothing; a candidate without any score comes after all others. Ties are in first-stage order.

    `compat` is GroupRank's code for one query: groups of exactly `size` from one random stream over the epochs (its
    program seeds with 666), an unreadable answer is 0 for its whole group, ties in the order of first scoring. (That
    code loses candidates without a score, which come last here, and draws from the same stream for all queries.)
    """

    size: int = 20
    epochs: int = 2
    layout: str = "shuffled"
    seed: int = 0
    compat: bool = False

    def __post_init__(self) -> None:
        check_least("groups", {"size": (self.size, 2), "epochs": (self.epochs, 1)})
        check_most("groups", epochs=self.epochs)
        if self.layout not in LAYOUTS:
            raise UnknownNameError("layout", self.layout, LAYOUTS)

    def windows(self, n: int) -> list[Window]:
        """The groups of all epochs for `n` candidates; none for fewer than two."""
        if n < 2:
            return []
        if self.compat:
            return self._authors_windows(n)
        count, windows = group_count(n, self.size), list[Window]()
        for epoch in range(self.epochs):
            if self.layout == "strided":
                windows += strided_groups(range(n), count, epoch)
                continue
            order = list(range(n))
            random.Random(f"{self.seed}\0{n}\0{epoch}").shuffle(order)
            windows += even_slices(order, count)
        return windows

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: one round of all groups."""
        return (yield from self.rank_scored(n)).order

    def rank_scored(self, n: int) -> ScoringFlow:
        """`rank` with the mean scores, or the mean places where the judge gives no scores."""
        windows = self.windows(n)
        if not windows:
            return ScoredOrder(tuple(range(n)))
        verdicts = yield windows
        apply_verdicts(windows, verdicts)
        sheet = ScoreSheet()
        if self.compat or any(verdict.scores is not None for verdict in verdicts):
            sheet.add(windows, verdicts, failed=0.0 if self.compat else None)
        else:
            sheet.add_places(windows, verdicts)
        first_scored = [*sheet.scores, *(one for one in range(n) if one not in sheet.scores)]
        return ScoredOrder(sheet.order(first_scored if self.compat else range(n)), sheet.means(n))

    def calls(self, n: int) -> int:
        return self.epochs * group_count(n, self.size) if n > 1 else 0

    def rounds(self, n: int) -> int:
        return 1 if n > 1 else 0

    def passages(self, n: int) -> int:
        return self.epochs * n if n > 1 else 0

    def _authors_windows(self, n: int) -> list[Window]:
        stream, order, windows = random.Random(self.seed), list(range(n)), list[Window]()
        for _ in range(self.epochs):
            stream.shuffle(order)
            windows += [tuple(order[begin : begin + self.size]) for begin in range(0, n, self.size)]
        return windows
