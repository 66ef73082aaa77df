"""Pointwise and TwoPass: every candidate alone, ordered by its score."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import ClassVar

from ..types import Flow, Verdict, Window
from .option_values import check_least, check_most
from .scored_order import ScoredOrder, ScoringFlow
from .verdict_orders import apply_verdicts
from .verdict_scores import ScoreSheet


@dataclass(frozen=True, slots=True)
class Pointwise:
    """Windows of one passage, all in one round, ordered by score.

    Ties are in first-stage order; a candidate without a finite score comes after all others.
    """

    needs_scores: ClassVar[bool] = True

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: one round."""
        return (yield from self.rank_scored(n)).order

    def rank_scored(self, n: int) -> ScoringFlow:
        """`rank` with the judge's scores."""
        if n < 2:
            return ScoredOrder(tuple(range(n)))
        sheet = yield from _judged(tuple(range(n)), 1, compat=False)
        return ScoredOrder(sheet.order(range(n)), sheet.means(n))

    def calls(self, n: int) -> int:
        return n if n > 1 else 0

    def rounds(self, n: int) -> int:
        return 1 if n > 1 else 0

    def passages(self, n: int) -> int:
        return self.calls(n)


@dataclass(frozen=True, slots=True)
class TwoPass:
    """Pointwise over all, then `samples` judgements of each of the `best`, ordered by their mean (Retro*).

    The others follow in the order of the first pass. Ties of the second pass are in the order of the first, those of
    the first in first-stage order. Samples without a finite score are left out of the mean; with `compat` they count
    as 0, as in Retro*'s code (which also drops all but the best).
    """

    needs_scores: ClassVar[bool] = True

    best: int = 30
    samples: int = 16
    compat: bool = False

    def __post_init__(self) -> None:
        check_least("two-pass", {"best": (self.best, 1), "samples": (self.samples, 1)})
        check_most("two-pass", samples=self.samples)

    def rank(self, n: int) -> Flow:
        """The flow for `n` candidates: two rounds."""
        if n < 2:
            return tuple(range(n))
        first = yield from scored(tuple(range(n)), compat=self.compat)
        best = yield from scored(first[: self.best], self.samples, compat=self.compat)
        return (*best, *first[self.best :])

    def calls(self, n: int) -> int:
        return n + self.samples * min(n, self.best) if n > 1 else 0

    def rounds(self, n: int) -> int:
        return 2 if n > 1 else 0

    def passages(self, n: int) -> int:
        return self.calls(n)


def scored(listed: Window, samples: int = 1, *, compat: bool = False) -> Flow:
    """The candidates by the mean score of `samples` judgements each, in one round; ties in the order given."""
    return (yield from _judged(listed, samples, compat=compat)).order(listed)


def _judged(
    listed: Window, samples: int, *, compat: bool
) -> Generator[list[Window], list[Verdict], ScoreSheet]:
    """The scores of `samples` judgements of each candidate, in one round."""
    windows: list[Window] = [(candidate,) for candidate in listed for _ in range(samples)]
    verdicts = yield windows
    apply_verdicts(windows, verdicts)
    sheet = ScoreSheet()
    sheet.add(windows, verdicts, failed=0.0 if compat else None)
    return sheet
