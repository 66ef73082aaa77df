"""PooledWindows: every judged window is an observation of its passages; the answer is what is believed in the end."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from ..errors import InputError
from ..types import Flow, ParseStatus, Verdict, Window
from .belief import Belief, pooled
from .option_values import check_budget, check_least, check_most
from .partitions import group_count, strided_groups
from .sampled import check_samples, samples_of
from .scored_order import ScoredOrder, ScoringFlow
from .verdict_orders import apply_verdicts


@dataclass(frozen=True, slots=True)
class PooledWindows:
    """Strided windows over all candidates, over the best 2/5 and over the best 1/5 of the belief; the order by mean.

    For 100 candidates in windows of 20 these are 5 + 2 + 1 windows in three rounds. The belief starts from the
    first-stage ranks (`slope`) and takes in the order of each window with an error of standard deviation `noise` (see
    `belief.Belief`). Windows that could not be read change nothing. `budget` scales the plan to that many calls.

    Each window is judged `samples` times in its round, from the second time on in a shuffled order
    (see `sampled.samples_of`); every sample is an observation. Calls and passages are multiplied, rounds are not.

    `adaptive`: after the first round one window at a time shows the candidates that may be the best (mean plus
    `margin` standard deviations), until a window leaves the best `top` the same ones or the budget (by default the
    plan's calls) is spent. Its cost is an upper bound.

    The order is a weighing of first stage and windows, so even a judge without errors does not decide it alone.
    """

    size: int = 20
    budget: int | None = None
    adaptive: bool = False
    top: int = 10
    margin: float = 1.0
    slope: float = 0.5
    noise: float = 0.8
    samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_least("pooled", {"size": (self.size, 2), "top": (self.top, 1)})
        check_budget("pooled", self.budget)
        check_most("pooled", budget=self.budget or 1)
        check_samples("pooled", self.samples)
        if self.budget is not None and self.budget < self.samples:
            raise InputError(
                f"pooled: a budget of {self.budget} calls is less than the {self.samples} samples of one window"
            )
        for name in ("margin", "slope", "noise"):
            value, least = getattr(self, name), 0.01 if name == "noise" else 0
            if not least <= value <= 100:
                raise InputError(f"strategy pooled: {name} is {value}, it must be between {least} and 100")

    @property
    def varies(self) -> bool:
        """Whether the cost is an upper bound."""
        return self.adaptive

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates; the order of the last belief."""
        return (yield from self.rank_scored(n)).order

    def rank_scored(self, n: int) -> ScoringFlow:
        """`rank` with the means and standard deviations of the last belief."""
        belief = yield from self.believe(n)
        return ScoredOrder(belief.order(), belief.means, tuple(map(sqrt, belief.variances)))

    def believe(self, n: int) -> Generator[list[Window], list[Verdict], Belief]:
        """The same flow with the belief as its result."""
        belief, first, more = Belief.of_ranks(n, self.slope), *self._adaptive(n)
        for count, over in first:
            shown = self._samples(self._windows(belief.order()[:over], count))
            belief = self._after(belief, shown, (yield shown))
        for _ in range(more):
            best = belief.order()[: self.top]
            shown = self._samples([belief.promising(self.size, self.margin)])
            belief = self._after(belief, shown, (yield shown))
            if set(best) == set(belief.order()[: self.top]):
                break
        return belief

    def calls(self, n: int) -> int:
        """The plan's calls; an upper bound if adaptive."""
        first, more = self._adaptive(n)
        return self.samples * (sum(count for count, _ in first) + more)

    def rounds(self, n: int) -> int:
        """The plan's rounds; an upper bound if adaptive."""
        first, more = self._adaptive(n)
        return len(first) + more

    def passages(self, n: int) -> int:
        """The plan's passages; an upper bound if adaptive."""
        first, more = self._adaptive(n)
        shown = sum(len(window) for count, over in first for window in self._windows(range(over), count))
        return self.samples * (shown + more * min(n, self.size))

    def _samples(self, windows: Sequence[Window]) -> list[Window]:
        return [shown for window in windows for shown in samples_of(window, self.samples, self.seed)]

    def _after(self, belief: Belief, windows: Sequence[Window], verdicts: Sequence[Verdict]) -> Belief:
        judged = apply_verdicts(windows, verdicts)
        read = [
            (window, order)
            for window, order, verdict in zip(windows, judged, verdicts, strict=True)
            if verdict.status is not ParseStatus.FAILED
        ]
        return pooled(belief, read, self.noise)

    def _adaptive(self, n: int) -> tuple[list[tuple[int, int]], int]:
        """The rounds that are planned, and how many windows may follow one at a time."""
        plan = self._plan(n)
        if not self.adaptive or not plan:
            return plan, 0
        count, over = plan[0]
        first = min(count, group_count(over, self.size))
        return [(first, over)], sum(planned for planned, _ in plan) - first

    def _plan(self, n: int) -> list[tuple[int, int]]:
        """For each round, how many windows over how many of the best."""
        if n < 2:
            return []
        overs = [n]
        for share in (0.4, 0.2):
            over = max(self.size, ceil(share * n))
            if over < overs[-1]:
                overs.append(over)
        if self.budget is None:
            return [(group_count(over, self.size), over) for over in overs]
        budget = self.budget // self.samples
        last = max(1, budget // 8) if len(overs) > 1 and budget > 1 else 0
        middle = budget // 4 if len(overs) > 2 else 0
        rounds = [(budget - middle - last, n), (middle, overs[len(overs) // 2]), (last, overs[-1])]
        return [(count, min(over, count * self.size)) for count, over in rounds if count]

    def _windows(self, best: Sequence[int], count: int) -> list[Window]:
        """`count` strided windows; more than hold all of the best mix other neighbours, in a shuffled order."""
        each, windows = group_count(len(best), self.size), list[Window]()
        for epoch in range(group_count(count, each)):
            for window in strided_groups(best, each, epoch):
                shown = list(window)
                if epoch:
                    random.Random(f"{len(best)}\0{epoch}").shuffle(shown)
                windows.append(tuple(shown))
        return windows[:count]
