"""Belief: what is known of every candidate's utility, as a Gaussian, after some judged windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import log, sqrt
from statistics import NormalDist, fmean, pvariance

from ..types import Window


@dataclass(frozen=True, slots=True)
class Belief:
    """A mean and a variance of utility for every candidate; candidates are independent of one another.

    The unit is the standard deviation of utilities around what the first-stage rank predicts. A mean says something
    only in comparison with the query's other candidates: it is not a probability of relevance and not comparable
    across queries. Its uncertainty is the square root of the variance.
    """

    means: tuple[float, ...]
    variances: tuple[float, ...]

    @classmethod
    def of_ranks(cls, n: int, slope: float) -> Belief:
        """The belief before any window: -`slope` * ln(1 + rank), rank from 1, and variance 1."""
        return cls(tuple(-slope * log(2 + at) for at in range(n)), (1.0,) * n)

    def updated(self, window: Window, judged: Window, noise: float) -> Belief:
        """The belief after a window was put in the order `judged`.

        The order's normal scores, moved and stretched to the window's expected mean and spread, are observations of
        the utilities with the error variance `noise` squared. A window of one says nothing.
        """
        if len(window) < 2:
            return self
        inside = [self.means[candidate] for candidate in window]
        error = noise * noise
        spread = sqrt(pvariance(inside) + fmean(self.variances[candidate] for candidate in window) + error)
        centre, means, variances = fmean(inside), list(self.means), list(self.variances)
        for score, candidate in zip(normal_scores(len(judged)), judged, strict=True):
            gain = variances[candidate] / (variances[candidate] + error)
            means[candidate] += gain * (centre + spread * score - means[candidate])
            variances[candidate] *= 1 - gain
        return replace(self, means=tuple(means), variances=tuple(variances))

    def order(self) -> tuple[int, ...]:
        """The candidates by mean, ties in first-stage order."""
        return tuple(sorted(range(len(self.means)), key=lambda candidate: -self.means[candidate]))

    def promising(self, count: int, margin: float) -> Window:
        """The `count` candidates that may be the best: highest mean plus `margin` standard deviations; by mean."""
        bound = [
            mean + margin * sqrt(spread) for mean, spread in zip(self.means, self.variances, strict=True)
        ]
        chosen = set(sorted(range(len(bound)), key=lambda candidate: -bound[candidate])[:count])
        return tuple(candidate for candidate in self.order() if candidate in chosen)


@cache
def normal_scores(n: int) -> tuple[float, ...]:
    """The expected values of `n` ordered standard normal draws, the largest first (Blom's approximation)."""
    normal = NormalDist()
    return tuple(-normal.inv_cdf((place + 0.625) / (n + 0.25)) for place in range(n))


def pooled(belief: Belief, windows: Sequence[tuple[Window, Window]], noise: float) -> Belief:
    """The belief after several windows, each as shown and as judged, in turn."""
    for window, judged in windows:
        belief = belief.updated(window, judged, noise)
    return belief
