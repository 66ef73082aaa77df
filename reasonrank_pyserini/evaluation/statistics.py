"""Statistics of values per query, by scipy.stats: intervals of means, significance, equivalence; Holm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError

_BATCH = 1 << 20
"""How many resampled values are in memory at a time."""

_GROUPED_BATCH = 1 << 24
"""The same for several groups: 10,000 samples of up to 1,677 queries at once.

scipy draws group after group within a batch, so that a smaller number would shift the intervals.
"""

_CONSTANT = 1e-14
"""Values whose standard deviation is at most this are constant but for rounding: they have no t-test."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its bootstrap 95% interval (percentiles), in the unit of the values."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided t-tests of a mean against a target.

    `difference`: mean minus target; `low`, `high`: its 90% interval; `p`: the larger of the two p values.
    `equivalent`: p is below 0.05, which means that the interval lies within the margin on both sides.
    """

    difference: float
    low: float
    high: float
    p: float
    equivalent: bool


@dataclass(frozen=True, slots=True)
class PairedTests:
    """Two-sided p values that a mean difference is 0: the paired t-test's and the randomisation test's."""

    p_t: float
    p_randomisation: float


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, samples: int = 10_000) -> Interval:
    """The mean of the values and its interval over resampled queries; equal seeds give equal results."""
    return stratified_mean({"": values}, seed=seed, samples=samples)


def stratified_mean(
    groups: Mapping[str, Sequence[float]], *, seed: int = 0, samples: int = 10_000
) -> Interval:
    """The mean of the groups' means and its interval, queries resampled within each group.

    Every group has equal weight, whatever its size; the order of the groups does not matter.
    """
    import numpy
    from scipy import stats

    if not groups:
        raise InputError("no groups to average over")
    if samples < 1:
        raise InputError(f"{samples} bootstrap samples: at least one is needed")
    columns = [_column(groups[name]) for name in sorted(groups)]

    def mean(*drawn: Any, axis: int = -1) -> Any:
        return sum(one.mean(axis=axis) for one in drawn) / len(drawn)

    found = stats.bootstrap(
        [one if len(one) > 1 else numpy.repeat(one, 2) for one in columns],  # scipy refuses single values
        mean,
        n_resamples=samples,
        batch=max(1, (_BATCH if len(columns) == 1 else _GROUPED_BATCH) // sum(map(len, columns))),
        vectorized=True,
        method="percentile",
        rng=numpy.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Interval(float(mean(*columns)), float(interval.low), float(interval.high))


def bootstrap_ratio(
    parts: Sequence[tuple[float, float]], *, seed: int = 0, samples: int = 10_000
) -> Interval:
    """The sum of all first values over the sum of all second ones, and its interval over resampled pairs.

    A pair is one query's total and count, the count above 0: so queries weigh as much as they have to count.
    """
    import numpy
    from scipy import stats

    totals, counts = _column([total for total, _ in parts]), _column([count for _, count in parts])
    if not (counts > 0).all():
        raise InputError("a ratio needs counts above 0")

    def ratio(totals: Any, counts: Any, axis: int = -1) -> Any:
        return totals.sum(axis=axis) / counts.sum(axis=axis)

    repeats = 2 if len(totals) == 1 else 1  # scipy refuses single values
    found = stats.bootstrap(
        (numpy.repeat(totals, repeats), numpy.repeat(counts, repeats)),
        ratio,
        n_resamples=samples,
        batch=max(1, _BATCH // len(totals)),
        paired=True,
        vectorized=True,
        method="percentile",
        rng=numpy.random.default_rng(seed),
    )
    interval = found.confidence_interval
    return Interval(float(ratio(totals, counts)), float(interval.low), float(interval.high))


def paired_tests(differences: Sequence[float], *, seed: int = 0, samples: int = 10_000) -> PairedTests | None:
    """Whether the mean of paired differences is 0; None for fewer than two differences.

    The randomisation test draws `samples` sign patterns (its smallest p is then 2 / (samples + 1)); where no more
    exist it takes each once (10,000: up to 13 differences).
    """
    import numpy
    from scipy import stats

    column = _column(differences)
    if len(column) < 2:
        return None
    if float(column.std(ddof=1)) <= _CONSTANT:
        p_t = 1.0 if column.mean() == 0 else 0.0
    else:
        p_t = float(stats.ttest_1samp(column, 0.0).pvalue)
    randomised = stats.permutation_test(
        (column,),
        numpy.mean,
        permutation_type="samples",  # of one sample: the signs
        n_resamples=samples,
        batch=max(1, _BATCH // len(column)),
        vectorized=True,
        rng=numpy.random.default_rng(seed),
    )
    return PairedTests(p_t, float(randomised.pvalue))


def equivalence(values: Sequence[float], target: float, margin: float) -> Equivalence:
    """Whether the mean is within `margin` of the target (two one-sided t-tests), both in the unit of the values.

    Raises InputError for fewer than two values and for a margin that is not positive.
    """
    from scipy import stats

    column = _column(values)
    if len(column) < 2:
        raise InputError("an equivalence test needs the values of two queries or more")
    if not 0 < margin < math.inf or not math.isfinite(target):
        raise InputError(f"the margin {margin} must be above 0 and the target {target} a finite number")
    difference = float(column.mean()) - target
    if float(column.std(ddof=1)) <= _CONSTANT:
        same = abs(difference) < margin
        return Equivalence(difference, difference, difference, 0.0 if same else 1.0, same)
    above = stats.ttest_1samp(column, target - margin, alternative="greater")
    below = stats.ttest_1samp(column, target + margin, alternative="less")
    interval = stats.ttest_1samp(column, target).confidence_interval(0.9)
    p = float(max(above.pvalue, below.pvalue))
    return Equivalence(difference, float(interval.low) - target, float(interval.high) - target, p, p < 0.05)


def holm(pvalues: Mapping[str, float]) -> dict[str, float]:
    """The p values corrected for testing all of them (Holm's step-down), by the same names.

    Written out because scipy has no such correction.
    """
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(pvalues, key=lambda one: pvalues[one])):
        if not 0 <= pvalues[name] <= 1:
            raise InputError(f"{pvalues[name]} is not a p value ({name})")
        largest = max(largest, min(1.0, (len(pvalues) - rank) * pvalues[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in pvalues}


def _column(values: Sequence[float]) -> Any:
    import numpy

    column = numpy.asarray(values, dtype=float)
    if column.ndim != 1 or not len(column) or not numpy.isfinite(column).all():
        raise InputError("a mean needs the finite value of at least one query")
    return column
