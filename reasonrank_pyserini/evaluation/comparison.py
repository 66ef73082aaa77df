"""The paired comparison of two runs, query by query."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError, UnknownNameError
from ..scoring import Scores
from .statistics import bootstrap_mean, paired_tests

_TIE = 1e-12
"""Differences up to this are rounding errors, and count as ties."""


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


@dataclass(frozen=True, slots=True)
class Changes:
    """The queries that a run helped, hurt and left unchanged, those with the largest change first."""

    helped: tuple[str, ...]
    hurt: tuple[str, ...]
    unchanged: tuple[str, ...]


def compare(
    scores: Scores, baseline: Scores, *, seed: int = 0, samples: int = 10_000
) -> dict[str, Comparison]:
    """The paired comparison for every measure of both; equal seeds give equal results."""
    _check(scores, baseline)
    return {
        measure: _compare(measure, scores, baseline, seed, samples)
        for measure in scores.means
        if measure in baseline.means
    }


def changes(scores: Scores, baseline: Scores, measure: str) -> Changes:
    """Which queries the run helped, hurt and left unchanged by that measure, against the baseline."""
    _check(scores, baseline)
    if measure not in scores.means or measure not in baseline.means:
        raise UnknownNameError("measure of both runs", measure, scores.means.keys() & baseline.means.keys())
    differences = {
        query: mine[measure] - baseline.per_query[query][measure] for query, mine in scores.per_query.items()
    }
    by_size = sorted(differences, key=lambda query: -abs(differences[query]))
    return Changes(
        tuple(query for query in by_size if differences[query] > _TIE),
        tuple(query for query in by_size if differences[query] < -_TIE),
        tuple(query for query in differences if abs(differences[query]) <= _TIE),
    )


def _check(scores: Scores, baseline: Scores) -> None:
    if scores.per_query.keys() != baseline.per_query.keys():
        raise InputError("the two runs were scored over different queries; use the same qrels")


def _compare(measure: str, scores: Scores, baseline: Scores, seed: int, samples: int) -> Comparison:
    import numpy

    pairs = [(mine[measure], baseline.per_query[query][measure]) for query, mine in scores.per_query.items()]
    differences = numpy.array([mine - theirs for mine, theirs in pairs])
    ties = numpy.isclose(differences, 0.0, rtol=0.0, atol=_TIE)
    differences[ties] = 0.0
    interval = bootstrap_mean(differences.tolist(), seed=seed, samples=samples)
    tests = paired_tests(differences.tolist(), seed=seed, samples=samples)
    wins = int((differences > 0).sum())
    return Comparison(
        mean=scores.means[measure],
        baseline=baseline.means[measure],
        difference=scores.means[measure] - baseline.means[measure],
        low=interval.low,
        high=interval.high,
        p_t=None if tests is None else tests.p_t,
        p_randomisation=None if tests is None else tests.p_randomisation,
        wins=wins,
        ties=int(ties.sum()),
        losses=len(pairs) - wins - int(ties.sum()),
    )
