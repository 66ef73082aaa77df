"""Sampled: every window of a strategy judged several times, its verdicts pooled into one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from statistics import fmean

from ..types import Flow, ParseStatus, Verdict, Window
from .belief import Belief, pooled
from .option_values import check_least, check_most
from .ranking_strategy import RankingStrategy
from .scored_order import ScoredOrder, ScoringFlow, scored_flow
from .verdict_orders import apply_verdicts

NOISE = 0.8
"""The error of a window's order, as in `pooled_windows.PooledWindows`; all samples have the same."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Another strategy whose windows are each judged `samples` times in the same round.

    The first sample shows a window as the strategy does, the others in shuffled orders that depend on `seed`, the
    window and the number of the sample alone. The strategy receives one verdict for each window: the order by the mean
    of a belief that knows nothing but the samples, and the mean of each passage's scores where there are any. Samples
    that could not be read change nothing. Calls and passages are multiplied, rounds are not.
    """

    strategy: RankingStrategy
    samples: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_samples("sampled windows", self.samples)

    @property
    def varies(self) -> bool:
        """Whether the cost is an upper bound."""
        return bool(getattr(self.strategy, "varies", False))

    @property
    def needs_scores(self) -> bool:
        """Whether the judge has to score passages."""
        return bool(getattr(self.strategy, "needs_scores", False))

    def rank(self, n: int) -> Flow:
        """The strategy's flow for `n` candidates, with all samples of a round's windows in that round."""
        return (yield from self.rank_scored(n)).order

    def rank_scored(self, n: int) -> ScoringFlow:
        """`rank` with the strategy's scores, where it has them."""
        flow = scored_flow(self.strategy, n)
        try:
            windows = next(flow)
            while True:
                shown = [samples_of(window, self.samples, self.seed) for window in windows]
                verdicts = yield [sample for samples in shown for sample in samples]
                judged = apply_verdicts([sample for samples in shown for sample in samples], verdicts)
                windows = flow.send(
                    [
                        self._pooled(
                            samples, verdicts[at : at + len(samples)], judged[at : at + len(samples)]
                        )
                        for at, samples in zip(range(0, len(judged), self.samples), shown, strict=True)
                    ]
                )
        except StopIteration as end:
            found: ScoredOrder = end.value
            return found
        finally:
            flow.close()

    def calls(self, n: int) -> int:
        return self.samples * self.strategy.calls(n)

    def rounds(self, n: int) -> int:
        return self.strategy.rounds(n)

    def passages(self, n: int) -> int:
        return self.samples * self.strategy.passages(n)

    def _pooled(
        self, samples: Sequence[Window], verdicts: Sequence[Verdict], judged: Sequence[Window]
    ) -> Verdict:
        """One verdict on the window that the first sample shows."""
        first = samples[0]
        if len(samples) == 1:
            return verdicts[0]
        read = [at for at, verdict in enumerate(verdicts) if verdict.status is not ParseStatus.FAILED]
        if not read:
            return Verdict(tuple(range(len(first))), ParseStatus.FAILED)
        place = {candidate: at for at, candidate in enumerate(first)}
        orders = [
            (tuple(range(len(first))), tuple(place[candidate] for candidate in judged[at])) for at in read
        ]
        order = pooled(Belief.of_ranks(len(first), 0.0), orders, NOISE).order()
        return Verdict(order, scores=_mean_scores(first, samples, verdicts))


def samples_of(window: Window, samples: int, seed: int) -> list[Window]:
    """The window `samples` times: as it is, then in shuffled orders."""
    shown = [window]
    for number in range(1, samples):
        again = list(window)
        random.Random(f"{seed}\0{number}\0{window}").shuffle(again)
        shown.append(tuple(again))
    return shown


def check_samples(strategy: str, samples: int) -> None:
    """InputError for a number of samples that cannot be."""
    check_least(strategy, {"samples": (samples, 1)})
    check_most(strategy, samples=samples)


def _mean_scores(
    first: Window, samples: Sequence[Window], verdicts: Sequence[Verdict]
) -> tuple[float, ...] | None:
    """The mean of each passage's finite scores in the order of `first`, NaN for one without; None without any."""
    found: dict[int, list[float]] = {}
    for shown, verdict in zip(samples, verdicts, strict=True):
        for candidate, score in zip(shown, verdict.scores or (), strict=False):
            if isfinite(score):
                found.setdefault(candidate, []).append(score)
    if all(verdict.scores is None for verdict in verdicts):
        return None
    return tuple(fmean(found[candidate]) if candidate in found else nan for candidate in first)
