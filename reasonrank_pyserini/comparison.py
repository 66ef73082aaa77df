"""The paired comparison of two runs, query by query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import InputError
from .lazy import require
from .scoring import Scores


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of a run against a baseline over the same queries, paired.

    `p_t`: two-sided paired t-test; `p_randomisation`: two-sided, random signs; both None with fewer than two
    queries, neither corrected for testing several measures. `low`, `high`: bootstrap 95% interval of the
    difference.
    """

    mean: float
    baseline: float
    difference: float
    low: float
    high: float
    p_t: float | None
    p_randomisation: float | None
    wins: int
    ties: int
    losses: int


def compare(
    scores: Scores, baseline: Scores, *, seed: int = 0, samples: int = 10_000
) -> dict[str, Comparison]:
    """The paired comparison for every measure that both hold; equal seeds give equal results."""
    if scores.per_query.keys() != baseline.per_query.keys():
        raise InputError("the two runs were scored over different queries; use the same qrels")
    return {
        measure: _compare(measure, scores, baseline, seed, samples)
        for measure in scores.means
        if measure in baseline.means
    }


def _compare(measure: str, scores: Scores, baseline: Scores, seed: int, samples: int) -> Comparison:
    import numpy

    pairs = [(mine[measure], baseline.per_query[query][measure]) for query, mine in scores.per_query.items()]
    differences = numpy.array([mine - theirs for mine, theirs in pairs])
    ties = numpy.isclose(differences, 0.0, rtol=0.0, atol=1e-12)
    differences[ties] = 0.0
    low, high, p_randomisation = _resampled(differences, seed, samples)
    wins = int((differences > 0).sum())
    return Comparison(
        mean=scores.means[measure],
        baseline=baseline.means[measure],
        difference=scores.means[measure] - baseline.means[measure],
        low=low,
        high=high,
        p_t=_t_test(differences),
        p_randomisation=p_randomisation if len(pairs) > 1 else None,
        wins=wins,
        ties=int(ties.sum()),
        losses=len(pairs) - wins - int(ties.sum()),
    )


def _resampled(differences: Any, seed: int, samples: int) -> tuple[float, float, float]:
    """(low, high) of the bootstrap interval and the p value of random signs, in chunks to bound memory."""
    import numpy

    random = numpy.random.default_rng(seed)
    observed, size = abs(differences.mean()), len(differences)
    extreme, means = 0, []
    for begin in range(0, samples, chunk := max(1, 1_000_000 // size)):
        count = min(chunk, samples - begin)
        signs = random.integers(0, 2, (count, size), dtype=numpy.int8) * 2 - 1
        extreme += int((abs((signs * differences).mean(axis=1)) >= observed - 1e-12).sum())
        means.append(differences[random.integers(0, size, (count, size))].mean(axis=1))
    low, high = numpy.percentile(numpy.concatenate(means), (2.5, 97.5))
    return float(low), float(high), (extreme + 1) / (samples + 1)


def _t_test(differences: Any) -> float | None:
    if len(differences) < 2:
        return None
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread <= 1e-15:
        return 1.0 if mean == 0 else 0.0
    stdtr = require("scipy.special", "the paired t-test").stdtr
    freedom = len(differences) - 1
    return float(2 * stdtr(freedom, -abs(mean) / (spread / (freedom + 1) ** 0.5)))
